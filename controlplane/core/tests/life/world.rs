//! A model of API server and cloud that does what the plans say, and nothing else.

mod enis;
mod pods;
mod records;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use terway_core::cloud::{CloudEni, EniKind, EniObservation, EniStatus, PrivateIp};
use terway_core::intent::{Evidence, Limits, Lookup, Reply};
use terway_core::network_interface::{self as ni, History, Holder};
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
    /// Somebody deletes the record between the two writes that record its next ENI, so that the second one fails.
    RecordDeletedInRecording,
    InterfaceDeleted,
    /// Somebody deletes an attached ENI in the cloud, and the list of the cluster's ENIs shows it.
    EniDeleted,
    /// Somebody detaches an attached ENI in the cloud, and the list shows it.
    EniDetached,
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
    delete_in_recording: bool,
    evidence: BTreeMap<(String, String), Evidence>,
    memory: BTreeMap<String, History>,
    made_here: BTreeSet<String>,
    watched: BTreeSet<String>,
    /// ENIs that somebody took away.
    taken: BTreeSet<String>,
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
            delete_in_recording: false,
            evidence: BTreeMap::new(),
            memory: BTreeMap::new(),
            made_here: BTreeSet::new(),
            watched: BTreeSet::new(),
            taken: BTreeSet::new(),
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
            Event::RecordDeletedInRecording => self.delete_in_recording = true,
            Event::EniDeleted => self.take_away(true),
            Event::EniDetached => self.take_away(false),
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
            for event in [
                Event::Pods,
                Event::PodEnis,
                Event::Interfaces,
                Event::Cloud,
                Event::Time(5),
            ] {
                self.happen(event);
            }
        }
    }

    /// The sweep deletes objects of ENIs whose record is gone. A record that was deleted while its ENI was recorded,
    /// and whose ENI is gone too, leaves such an object.
    pub fn sweep(&mut self) {
        let record = self
            .record
            .as_ref()
            .and_then(|record| record.metadata.uid.clone());
        for interface in self.interfaces.values_mut() {
            let owner = interface.spec.pod_eni_ref.as_ref();
            if owner.and_then(|owner| owner.uid.clone()) != record {
                interface
                    .metadata
                    .deletion_timestamp
                    .get_or_insert(Time(self.now));
            }
        }
        self.settle();
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
        let leaves = self
            .record
            .as_ref()
            .is_some_and(|r| r.metadata.deletion_timestamp.is_some());
        let interface_leaves = self
            .interfaces
            .values()
            .any(|i| i.metadata.deletion_timestamp.is_some());
        // The ENI of a Fixed record that somebody deleted by its object cannot come back: the object
        // that was made anew says so, and a person decides.
        let missing = |i: &NetworkInterface| {
            let conditions = i.status.as_ref().map(|status| status.conditions.as_slice());
            conditions.is_some_and(|all| all.iter().any(|c| c.reason == ni::ENI_NOT_FOUND))
        };
        let lost = self.lifetime == Lifetime::Fixed && self.interfaces.values().any(missing);
        // Also a record that is being deleted serves its pod.
        if lives && !interface_leaves && !lost {
            let (interfaces, cloud) = (&self.interfaces, &self.cloud);
            assert_eq!(
                self.phase(),
                Some(Phase::Bind),
                "{interfaces:?} {cloud:?} {:?}",
                self.memory
            );
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
            let open = self
                .record
                .as_ref()
                .is_some_and(|r| r.metadata.uid.as_ref() == Some(&intent.0));
            assert!(owned || open, "{id} is known to nobody");
        }
    }

    pub fn phase(&self) -> Option<Phase> {
        let record = self.record.as_ref()?;
        Some(
            record
                .status
                .as_ref()
                .map_or(Phase::Initial, |status| status.phase.clone()),
        )
    }

    pub fn message(&self) -> String {
        self.record
            .as_ref()
            .and_then(|r| r.status.as_ref())
            .map(|s| s.msg.clone())
            .unwrap_or_default()
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
        private_ips: vec![PrivateIp::primary([10, 0, 0, 5])],
        tags: terway_core::intent::own_tags("c"),
        creation_time: String::new(),
    }
}
