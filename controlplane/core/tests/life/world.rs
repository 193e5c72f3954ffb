//! A model of API server and cloud that does what the plans say, and nothing else.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use terway_core::cloud::{CloudEni, EniKind, EniObservation, EniStatus};
use terway_core::intent::{Answer, Evidence, Limits, Lookup};
use terway_core::network_interface::{self as ni, Holder, Memory};
use terway_core::node::NodeFacts;
use terway_core::pod::{self, Action, PodFacts, Settings};
use terway_core::pod_eni::{self as pe, PodState};
use terway_core::vswitch::Candidate;
use terway_crds::names::{annotation, label};
use terway_crds::{
    AllocationType, AllocationTypeKind, NetworkInterface, Phase, PodEni, PodNetwork, ReleaseStrategy,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    Elastic,
    Fixed,
}

#[derive(Debug, Clone)]
pub enum Event {
    /// One round of a controller.
    Pods,
    PodEnis,
    Interfaces,
    /// The cloud completes what it accepted.
    Cloud,
    Time(i64),
    PodLeaves,
    PodGoes,
    PodExits,
    /// A pod of the name is there, on this node, if there is none.
    PodComes(usize),
    ReplyLost,
    Restart,
    RecordDeleted,
    InterfaceDeleted,
}

pub struct World {
    lifetime: Lifetime,
    now: Timestamp,
    term: u32,
    term_since: Timestamp,
    uids: u32,
    pod: Option<PodFacts>,
    record: Option<PodEni>,
    interfaces: BTreeMap<String, NetworkInterface>,
    cloud: BTreeMap<String, CloudEni>,
    tokens: BTreeMap<String, String>,
    /// Intent (owner and index) of every ENI ever made.
    made_for: BTreeMap<String, (String, String)>,
    /// Pod whose sandbox may use an ENI.
    used_by: BTreeMap<String, String>,
    lose_reply: bool,
    evidence: HashMap<(String, String), Evidence>,
    memory: HashMap<String, Memory>,
    made_here: BTreeSet<String>,
    watched: BTreeSet<String>,
    pub calls: Vec<&'static str>,
}

impl World {
    pub fn new(lifetime: Lifetime) -> Self {
        let now = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1_000_000);
        Self {
            lifetime,
            now,
            term: 1,
            term_since: now,
            uids: 0,
            pod: None,
            record: None,
            interfaces: BTreeMap::new(),
            cloud: BTreeMap::new(),
            tokens: BTreeMap::new(),
            made_for: BTreeMap::new(),
            used_by: BTreeMap::new(),
            lose_reply: false,
            evidence: HashMap::new(),
            memory: HashMap::new(),
            made_here: BTreeSet::new(),
            watched: BTreeSet::new(),
            calls: Vec::new(),
        }
    }

    pub fn happen(&mut self, event: Event) {
        match event {
            Event::Pods => self.run_pods(),
            Event::PodEnis => self.run_pod_enis(),
            Event::Interfaces => self.run_interfaces(),
            Event::Cloud => self.complete(),
            Event::Time(seconds) => self.now += Duration::from_secs(seconds as u64),
            Event::PodLeaves => self.pod.iter_mut().for_each(|pod| pod.deleting = true),
            Event::PodGoes => self.pod = None,
            Event::PodExits => self.pod.iter_mut().for_each(|pod| pod.exited = true),
            Event::PodComes(node) => self.pod_comes(node),
            Event::ReplyLost => self.lose_reply = true,
            Event::Restart => self.restart(),
            Event::RecordDeleted => delete(&mut self.record, self.now),
            Event::InterfaceDeleted => {
                let now = self.now;
                if let Some(interface) = self.interfaces.values_mut().next() {
                    interface.metadata.deletion_timestamp.get_or_insert(Time(now));
                }
            }
        }
        self.check_always();
    }

    /// Everybody works, and time passes, until nothing changes any more.
    pub fn settle(&mut self) {
        for _ in 0..400 {
            for event in [Event::Pods, Event::PodEnis, Event::Interfaces, Event::Cloud, Event::Time(5)] {
                self.happen(event);
            }
        }
    }

    /// No plan has a step left, and a living pod has what it asked for.
    pub fn check_settled(&mut self) {
        let (calls, record) = (self.calls.len(), self.record.clone());
        let interfaces = self.interfaces.clone();
        self.happen(Event::Pods);
        self.happen(Event::PodEnis);
        self.happen(Event::Interfaces);
        assert_eq!(self.calls.len(), calls, "a call after everything had settled");
        assert_eq!(self.record, record);
        assert_eq!(self.interfaces, interfaces);
        let lives = self.pod.as_ref().is_some_and(|pod| !pod.exited && !pod.deleting);
        let leaves = self.record.as_ref().is_some_and(|r| r.metadata.deletion_timestamp.is_some());
        let interface_leaves = self.interfaces.values().any(|i| i.metadata.deletion_timestamp.is_some());
        if lives && !leaves && !interface_leaves {
            assert_eq!(self.phase(), Some(Phase::Bind), "{:?}", self.record);
        }
        let kept = self.pod.is_none() && self.record.is_some() && !leaves;
        if kept && !interface_leaves {
            assert_eq!(self.phase(), Some(Phase::Unbind), "{:?}", self.record);
        }
    }

    pub fn check_empty(&self) {
        assert!(self.cloud.is_empty(), "leaked: {:?}", self.cloud.keys());
        assert!(self.interfaces.is_empty(), "left: {:?}", self.interfaces);
        assert_eq!(self.record, None);
    }

    /// One intent never has two ENIs, and every ENI has somebody who knows of it.
    fn check_always(&self) {
        let mut intents = BTreeSet::new();
        for id in self.cloud.keys() {
            let intent = &self.made_for[id];
            assert!(intents.insert(intent.clone()), "two ENIs for {intent:?}");
            let owned = self.interfaces.contains_key(id);
            let open = self.record.as_ref().is_some_and(|r| r.metadata.uid.as_ref() == Some(&intent.0));
            assert!(owned || open, "{id} is known to nobody");
        }
    }

    pub fn phase(&self) -> Option<Phase> {
        let record = self.record.as_ref()?;
        Some(record.status.as_ref().map_or(Phase::Initial, |status| status.phase.clone()))
    }

    pub fn message(&self) -> String {
        self.record.as_ref().and_then(|r| r.status.as_ref()).map(|s| s.msg.clone()).unwrap_or_default()
    }

    pub fn eni_ids(&self) -> Vec<String> {
        self.cloud.keys().cloned().collect()
    }

    fn uid(&mut self) -> String {
        self.uids += 1;
        format!("uid-{}", self.uids)
    }

    fn pod_comes(&mut self, node: usize) {
        if self.pod.is_none() {
            let uid = self.uid();
            self.pod = Some(PodFacts {
                namespace: "ns".into(),
                name: "db-0".into(),
                uid,
                node: format!("node{node}"),
                wants_pod_eni: true,
                fixed_name: true,
                ..PodFacts::default()
            });
        }
    }

    fn restart(&mut self) {
        self.term += 1;
        self.term_since = self.now;
        self.evidence.clear();
        self.memory.clear();
        self.made_here.clear();
        self.watched.clear();
    }

    fn node(&self, name: &str) -> Option<NodeFacts> {
        let number = name.strip_prefix("node")?;
        Some(NodeFacts {
            name: name.into(),
            zone: "h".into(),
            instance_id: format!("i-{number}"),
            trunk_on: Some(format!("trunk-{number}")),
            ..NodeFacts::default()
        })
    }

    fn run_pods(&mut self) {
        let node = self.pod.as_ref().and_then(|pod| self.node(&pod.node));
        let action = pod::plan(self.pod.as_ref(), self.record.as_ref(), node.as_ref());
        match (action, self.record.is_some()) {
            (Action::Create, false) => self.make_record(),
            (Action::Rebind, true) => {
                let pod = self.pod.clone().expect("a plan for a pod");
                let meta = &mut self.record.as_mut().expect("a plan for a record").metadata;
                meta.annotations.get_or_insert_default().insert(annotation::POD_UID.into(), pod.uid);
                meta.labels.get_or_insert_default().insert(label::NODE.into(), pod.node);
            }
            (Action::SetPhase(phase), true) => {
                let record = self.record.as_mut().expect("a plan for a record");
                record.status = Some(pe::phase_only(record, phase, Some(self.now)));
            }
            (Action::Delete, true) => delete(&mut self.record, self.now),
            (Action::Nothing(_), _) => {}
            (other, _) => panic!("planned {other:?} for what is not there"),
        }
    }

    fn make_record(&mut self) {
        let pod = self.pod.clone().expect("a plan for a pod");
        let node = self.node(&pod.node).expect("a node");
        let fixed = self.lifetime == Lifetime::Fixed;
        let network = PodNetwork {
            security_group_ids: vec!["sg".into()],
            allocation_type: fixed.then(|| AllocationType {
                kind: AllocationTypeKind::Fixed,
                release_strategy: Some(ReleaseStrategy::Never),
                release_after: String::new(),
            }),
            ..PodNetwork::default()
        };
        let vswitch =
            Candidate { id: "vsw".into(), zone: "h".into(), cidr: "10.0.0.0/24".into(), available: 9 };
        let settings =
            Settings { cluster_id: "c".into(), vpc_id: "v".into(), enable_trunk: true, ipv6_count: 0 };
        let mut record = pod::build(&pod, &node, &[network], &[vswitch], &settings, self.now).expect("a record");
        let uid = self.uid();
        record.metadata.uid = Some(uid.clone());
        self.evidence.insert((uid, "0".into()), Evidence::fresh(1));
        self.record = Some(record);
    }

    fn pod_state(&self, record: &PodEni) -> PodState {
        match self.pod.as_ref().filter(|pod| pod.uid == pe::pod_uid(record)) {
            None => PodState::Gone,
            Some(pod) if pod.exited => PodState::Gone,
            Some(pod) if pod.deleting => PodState::Leaving,
            Some(_) => PodState::Living,
        }
    }

    fn run_pod_enis(&mut self) {
        let Some(record) = self.record.clone() else { return };
        let uid = record.metadata.uid.clone().expect("a uid");
        let interfaces: Vec<_> = record
            .spec
            .allocations
            .iter()
            .map(|a| self.interfaces.get(&a.eni.id).cloned().map(Arc::new))
            .collect();
        let evidence: Vec<_> = record
            .spec
            .allocations
            .iter()
            .enumerate()
            .map(|(index, allocation)| {
                let attempt = allocation.creation.as_ref().map_or(0, |c| c.attempt);
                let known = self.evidence.get(&(uid.clone(), index.to_string()));
                known.filter(|e| e.attempt == attempt).cloned().unwrap_or(Evidence::inherited(attempt))
            })
            .collect();
        let node = self.node(pe::node_name(&record));
        let observed = pe::Observed {
            record: &record,
            interfaces: &interfaces,
            pod: self.pod_state(&record),
            node: node.as_ref(),
            evidence: &evidence,
            quiet_since: self.term_since,
            now: self.now,
            limits: &Limits::default(),
        };
        let plan = pe::plan(&observed);
        match plan.steps.into_iter().next() {
            Some(step) => self.do_record_step(record, &uid, &evidence, step),
            None => {
                if let Some(status) = pe::waiting(&record, &plan.wait, self.now) {
                    self.record.as_mut().expect("the record").status = Some(status);
                }
            }
        }
    }

    fn do_record_step(&mut self, mut record: PodEni, uid: &str, evidence: &[Evidence], step: pe::Step) {
        let key = |index: usize| (uid.to_owned(), index.to_string());
        match step {
            pe::Step::Create { index } => {
                let mut evidence = evidence[index].clone();
                evidence.sending();
                let id = pe::intent_id(&record, index).expect("an intent");
                let eni = self.create(&id.client_token(), key(index));
                let lost = std::mem::take(&mut self.lose_reply);
                evidence.answered(if lost { Answer::Unknown } else { Answer::Created(Box::new(eni)) });
                self.evidence.insert(key(index), evidence);
                return;
            }
            pe::Step::LookUpByTag { index } | pe::Step::LookUpById { index, .. } => {
                let id = pe::intent_id(&record, index).expect("an intent");
                let found = self.tokens.get(&id.client_token()).and_then(|id| self.cloud.get(id));
                let mut evidence = evidence[index].clone();
                evidence.lookups.push(Lookup { at: self.now, found: found.cloned().map(Box::new) });
                self.evidence.insert(key(index), evidence);
                return;
            }
            pe::Step::Record { index, eni, attach_to } => {
                let allocation = pe::with_eni(&record.spec.allocations[index], &eni, None);
                self.make_interface(ni::build(&record, &allocation, attach_to));
                record.spec.allocations[index] = allocation;
            }
            pe::Step::MakeInterface { index, attach_to } => {
                self.make_interface(ni::build(&record, &record.spec.allocations[index], attach_to));
            }
            pe::Step::NextAttempt { index, refusal } => {
                let next = pe::next_attempt(
                    &record.spec.allocations[index],
                    &pe::Choice::default(),
                    refusal.as_ref(),
                    self.now,
                );
                let attempt = next.creation.as_ref().map_or(0, |c| c.attempt);
                record.spec.allocations[index] = next;
                self.evidence.insert(key(index), Evidence::fresh(attempt));
            }
            pe::Step::Replace { index } => {
                let lost = record.spec.allocations[index].eni.id.clone();
                record.spec.allocations[index] = pe::replaced(&record.spec.allocations[index], self.now);
                if let Some(interface) = self.interfaces.get_mut(&lost) {
                    interface.metadata.deletion_timestamp.get_or_insert(Time(self.now));
                }
            }
            pe::Step::SetTarget { index, attach_to } => {
                let id = &record.spec.allocations[index].eni.id;
                self.interfaces.get_mut(id).expect("an interface").spec.attach_to = attach_to;
            }
            pe::Step::DeleteInterface { index } => {
                let id = &record.spec.allocations[index].eni.id;
                let interface = self.interfaces.get_mut(id).expect("an interface");
                interface.metadata.deletion_timestamp.get_or_insert(Time(self.now));
            }
            pe::Step::SetStatus(status) => record.status = Some(*status),
            pe::Step::DeleteRecord => record.metadata.deletion_timestamp = Some(Time(self.now)),
            pe::Step::DropFinalizers => {
                self.record = None;
                return;
            }
        }
        self.record = Some(record);
    }

    fn make_interface(&mut self, mut interface: NetworkInterface) {
        interface.metadata.generation = Some(1);
        let id = interface.metadata.name.clone().expect("a name");
        if !self.interfaces.contains_key(&id) {
            self.made_here.insert(id.clone());
            self.interfaces.insert(id, interface);
        }
    }

    fn run_interfaces(&mut self) {
        for id in self.interfaces.keys().cloned().collect::<Vec<_>>() {
            let interface = self.interfaces[&id].clone();
            let mut memory = self
                .memory
                .get(&id)
                .cloned()
                .unwrap_or(Memory { made_here: self.made_here.contains(&id), ..Memory::default() });
            let seen = self.watched.contains(&id).then(|| {
                let eni = self.cloud.get(&id).cloned();
                eni.map_or(EniObservation::Absent, |eni| EniObservation::Present(Box::new(eni)))
            });
            match seen {
                Some(EniObservation::Absent) => {
                    memory.absent_since.get_or_insert(self.now);
                }
                _ => memory.absent_since = None,
            }
            self.memory.insert(id.clone(), memory.clone());
            let owner = self.record.as_ref().filter(|record| ni::is_of(&interface, record));
            let living = owner.is_some_and(|record| self.pod_state(record) != PodState::Gone);
            let observed = ni::Observed {
                interface: &interface,
                holder: if living { Holder::Living } else { Holder::Gone },
                memory: &memory,
                seen: seen.as_ref().map(|seen| (seen, self.now)),
                term: &self.term.to_string(),
                quiet_since: self.term_since,
                now: self.now,
            };
            match ni::plan(&observed) {
                Ok(step) => self.do_interface_step(&id, interface, memory, step),
                Err(ni::Wait::Done) => self.settle_interface(&id),
                Err(ni::Wait::NotFound) => {
                    let message = "gone".to_owned();
                    if let Some(status) = ni::not_ready(&interface, ni::ENI_NOT_FOUND, message, self.now) {
                        self.interfaces.get_mut(&id).expect("it").status = Some(status);
                    }
                }
                Err(_) => {}
            }
        }
    }

    fn settle_interface(&mut self, id: &str) {
        self.memory.remove(id);
        self.made_here.remove(id);
        self.watched.remove(id);
    }

    fn do_interface_step(&mut self, id: &str, mut interface: NetworkInterface, mut memory: Memory, step: ni::Step) {
        match step {
            ni::Step::AdoptTarget(target) => interface.spec.attach_to = Some(target),
            ni::Step::Watch => {
                self.watched.insert(id.to_owned());
            }
            ni::Step::WriteTerm => interface.status = Some(ni::with_term(&interface, &self.term.to_string())),
            ni::Step::Attach(target) => {
                self.calls.push("Attach");
                if let Some(eni) = self.cloud.get_mut(id) {
                    assert_eq!(eni.status, EniStatus::Available, "attach of what is not free");
                    eni.status = EniStatus::Attaching;
                    eni.instance_id = Some(target.instance_id);
                    eni.trunk_eni_id = Some(target.trunk_eni_id);
                }
                memory.attach_sent = Some(self.now);
                self.watched.insert(id.to_owned());
            }
            ni::Step::Detach { instance_id, .. } => {
                self.calls.push("Detach");
                self.check_unused(id);
                match self.cloud.get_mut(id) {
                    Some(eni) if eni.status == EniStatus::InUse => {
                        assert_eq!(eni.instance_id.as_ref(), Some(&instance_id));
                        eni.status = EniStatus::Detaching;
                    }
                    Some(eni) => assert_eq!(eni.status, EniStatus::InUse, "detach of what is not attached"),
                    None => memory.not_found = true,
                }
                memory.detach_sent = Some(self.now);
                memory.attach_sent = None;
                self.watched.insert(id.to_owned());
            }
            ni::Step::Delete => {
                self.calls.push("Delete");
                self.check_unused(id);
                match self.cloud.get_mut(id) {
                    Some(eni) => {
                        assert_eq!(eni.status, EniStatus::Available, "delete of what is attached");
                        eni.status = EniStatus::Deleting;
                    }
                    None => memory.not_found = true,
                }
                memory.delete_sent = Some(self.now);
                self.watched.insert(id.to_owned());
            }
            ni::Step::WriteAttached(eni) => {
                let target = interface.spec.attach_to.clone().expect("a target");
                interface.status = Some(ni::attached(&interface, &target, &eni, self.now));
                self.interfaces.insert(id.to_owned(), interface);
                return self.settle_interface(id);
            }
            ni::Step::WriteDetached => {
                interface.status = Some(ni::detached(&interface, self.now));
                self.interfaces.insert(id.to_owned(), interface);
                return self.settle_interface(id);
            }
            ni::Step::DropFinalizer => {
                assert!(!self.cloud.contains_key(id), "{id} was forgotten before it was gone");
                self.interfaces.remove(id);
                return self.settle_interface(id);
            }
        }
        self.interfaces.insert(id.to_owned(), interface);
        self.memory.insert(id.to_owned(), memory);
    }

    /// The sandbox that used the ENI last must be gone.
    fn check_unused(&self, id: &str) {
        let user = self.used_by.get(id);
        let lives = self.pod.as_ref().is_some_and(|pod| !pod.exited && Some(&pod.uid) == user);
        assert!(!lives, "{id} is taken from a living pod");
    }

    fn create(&mut self, token: &str, intent: (String, String)) -> CloudEni {
        self.calls.push("Create");
        let id = match self.tokens.get(token) {
            Some(id) => id.clone(),
            None => {
                let id = format!("eni-{}", self.tokens.len() + 1);
                self.tokens.insert(token.to_owned(), id.clone());
                self.made_for.insert(id.clone(), intent);
                self.cloud.insert(id.clone(), eni(&id));
                id
            }
        };
        // What the token made may be gone; the answer names it all the same.
        self.cloud.get(&id).cloned().unwrap_or_else(|| eni(&id))
    }

    fn complete(&mut self) {
        let user = self.pod.as_ref().map(|pod| pod.uid.clone());
        let mut gone = Vec::new();
        for (id, eni) in &mut self.cloud {
            match eni.status {
                EniStatus::Attaching => {
                    eni.status = EniStatus::InUse;
                    eni.kind = EniKind::Member;
                    eni.device_index = Some(1);
                    // The pod for which it was attached may use it from now on.
                    let owner = self.record.as_ref().filter(|r| r.spec.allocations.iter().any(|a| a.eni.id == *id));
                    let user = user.clone().filter(|uid| owner.is_some_and(|r| pe::pod_uid(r) == uid));
                    user.map(|uid| self.used_by.insert(id.clone(), uid));
                }
                EniStatus::Detaching => {
                    eni.status = EniStatus::Available;
                    (eni.instance_id, eni.trunk_eni_id, eni.device_index) = (None, None, None);
                    eni.kind = EniKind::Secondary;
                }
                EniStatus::Deleting => gone.push(id.clone()),
                _ => {}
            }
        }
        for id in gone {
            self.cloud.remove(&id);
        }
    }
}

fn delete(record: &mut Option<PodEni>, now: Timestamp) {
    if let Some(record) = record {
        record.metadata.deletion_timestamp.get_or_insert(Time(now));
    }
}

fn eni(id: &str) -> CloudEni {
    CloudEni {
        id: id.into(),
        status: EniStatus::Available,
        kind: EniKind::Secondary,
        mac: "00:16:3e:00:00:01".into(),
        zone_id: "h".into(),
        vpc_id: "v".into(),
        vswitch_id: "vsw".into(),
        security_group_ids: vec!["sg".into()],
        resource_group_id: String::new(),
        instance_id: None,
        trunk_eni_id: None,
        device_index: None,
        network_card_index: None,
        primary_ip: Some([10, 0, 0, 5].into()),
        private_ips: vec![[10, 0, 0, 5].into()],
        tags: BTreeMap::new(),
        creation_time: String::new(),
    }
}
