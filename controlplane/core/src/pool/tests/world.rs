//! A node, its pods, its agent and its cloud, as values; and a process that may lose its memory.

mod calls;
mod cloud;
mod invariants;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use terway_crds::node::{Flavor, NodeCap, NodeEni, Pool, Reclaim};
use terway_crds::node_runtime::{RUNTIME_DELETED, RUNTIME_INITIAL, RuntimePod, RuntimePodStatus};
use terway_crds::{
    EniKind, NodeRuntime, NodeRuntimeStatus, TerwayNode, TerwayNodeStatus, TrafficMode,
    VSwitchSelectionPolicy,
};

pub use self::cloud::{Cloud, Fate};
use crate::binding;
use crate::cloud::{EniObservation, EniStatus};
use crate::intent::Limits;
use crate::pod::PodFacts;
use crate::pool::draft::addresses;
use crate::pool::*;
use crate::vswitch::Candidate;

pub const PER_ADAPTER: usize = 5;
pub const ADAPTERS: i32 = 4;
const INSTANCE: &str = "i-1";

pub struct World {
    pub record: TerwayNode,
    pub pods: BTreeMap<String, PodFacts>,
    /// Sandboxes that the agent reported gone, and when.
    pub gone: BTreeMap<String, Timestamp>,
    pub has_agent: bool,
    pub cloud: Cloud,
    pub fates: VecDeque<Fate>,
    pub settings: Settings,
    pub known: BTreeMap<String, Evidence>,
    pub seen: BTreeMap<String, (EniObservation, Timestamp)>,
    pub watched: BTreeSet<String>,
    pub handed: BTreeSet<String>,
    pub leaving: BTreeSet<String>,
    /// ENIs whose NetworkInterface was made and not told to go.
    pub made: BTreeSet<String>,
    pub inventory: Option<Inventory>,
    pub compared: Option<Timestamp>,
    pub suspected: Option<Timestamp>,
    pub lost: Vec<Lost>,
    /// ENIs that somebody took away.
    pub taken: BTreeSet<String>,
    /// Number of lists of the instance's ENIs.
    pub lists: usize,
    pub quiet_since: Timestamp,
    pub adjusted: Timestamp,
    pub now: Timestamp,
    pub news: Vec<News>,
    pub writes: usize,
}

impl World {
    pub fn new() -> Self {
        let now = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1_000_000);
        let mut record = TerwayNode::default();
        record.metadata.uid = Some("node-uid".into());
        record.spec.node_metadata.instance_id = INSTANCE.into();
        record.spec.node_metadata.zone_id = "h".into();
        record.spec.node_cap = NodeCap {
            adapters: ADAPTERS,
            ipv4_per_adapter: PER_ADAPTER as i32,
            ..NodeCap::default()
        };
        record.spec.eni = Some(NodeEni {
            vswitch_options: vec!["vsw-a".into(), "vsw-b".into()],
            security_group_ids: vec!["sg".into()],
            vswitch_select_policy: VSwitchSelectionPolicy::Ordered,
            enable_ipv4: true,
            ..NodeEni::default()
        });
        record.spec.pool = Some(Pool {
            max_pool_size: 3,
            min_pool_size: 2,
            ..Pool::default()
        });
        record.spec.flavor = vec![Flavor {
            kind: EniKind::Secondary,
            traffic_mode: TrafficMode::Standard,
            count: ADAPTERS - 1,
        }];
        Self {
            record,
            pods: BTreeMap::new(),
            gone: BTreeMap::new(),
            has_agent: true,
            cloud: Cloud {
                left: [("vsw-a".to_owned(), 100), ("vsw-b".to_owned(), 100)].into(),
                ..Cloud::default()
            },
            fates: VecDeque::new(),
            settings: Settings {
                term: "term-1".into(),
                cooldown: Duration::from_secs(30),
                sync_period: Duration::from_secs(43_200),
                pool_period: POOL_PERIOD,
                degradation: Degradation::None,
                limits: Limits::default(),
            },
            known: BTreeMap::new(),
            seen: BTreeMap::new(),
            watched: BTreeSet::new(),
            handed: BTreeSet::new(),
            leaving: BTreeSet::new(),
            made: BTreeSet::new(),
            inventory: None,
            compared: None,
            suspected: None,
            lost: Vec::new(),
            taken: BTreeSet::new(),
            lists: 0,
            quiet_since: Timestamp::UNIX_EPOCH,
            adjusted: now,
            now,
            news: Vec::new(),
            writes: 0,
        }
    }

    /// Lets the node have a trunk too.
    pub fn with_trunk(mut self) -> Self {
        self.record.spec.node_cap.member_adapter_limit = 10;
        self.record.spec.eni.as_mut().unwrap().enable_trunk = true;
        self.record.spec.flavor[0].count -= 1;
        self.record.spec.flavor.push(Flavor {
            kind: EniKind::Trunk,
            traffic_mode: TrafficMode::Standard,
            count: 1,
        });
        self
    }

    pub fn pool(&mut self, min: i32, max: i32) -> &mut Pool {
        let pool = self.record.spec.pool.get_or_insert_default();
        (pool.min_pool_size, pool.max_pool_size) = (min, max);
        pool
    }

    pub fn reclaim(&mut self, after: &str) {
        self.record.spec.pool.get_or_insert_default().reclaim = Some(Reclaim {
            after: after.into(),
            interval: "10m".into(),
            batch_size: 2,
            jitter_factor: "0.1".into(),
        });
    }

    pub fn status(&self) -> TerwayNodeStatus {
        self.record.status.clone().unwrap_or_default()
    }

    pub fn add_pod(&mut self, name: &str) {
        let uid = format!("uid-{name}");
        let pod = PodFacts {
            namespace: "ns".into(),
            name: name.into(),
            uid: uid.clone(),
            node: "node1".into(),
            ..PodFacts::default()
        };
        self.pods.insert(uid, pod);
    }

    pub fn add_pods(&mut self, count: usize) {
        for number in 0..count {
            self.add_pod(&format!("p{number:03}"));
        }
    }

    /// The pod is gone; the agent reports its sandbox if it is asked to.
    pub fn remove_pod(&mut self, name: &str, reported: bool) {
        let uid = format!("uid-{name}");
        if self.pods.remove(&uid).is_some() && reported {
            self.gone.insert(uid, self.now);
        }
    }

    /// Somebody deletes an ENI in the cloud. Nothing says so.
    pub fn take_away(&mut self, id: &str) {
        if let Some(eni) = self.cloud.enis.remove(id) {
            *self.cloud.left.entry(eni.vswitch_id.clone()).or_default() += addresses(&eni).len() as i64;
            self.taken.insert(id.to_owned());
        }
    }

    /// Pods that have an address.
    pub fn bound(&self) -> BTreeMap<String, String> {
        let status = self.status();
        let ips = status
            .network_interfaces
            .values()
            .flat_map(|nic| nic.ipv4.values());
        ips.filter(|ip| !ip.pod_uid.is_empty())
            .map(|ip| (ip.pod_uid.clone(), ip.ip.clone()))
            .collect()
    }

    pub fn idle(&self) -> usize {
        binding::free_addresses(&self.status()).len()
    }

    pub fn sent(&self, action: &str) -> usize {
        self.cloud
            .calls
            .iter()
            .filter(|call| call.starts_with(action))
            .count()
    }

    fn runtime(&self) -> NodeRuntime {
        let mut runtime = NodeRuntime::default();
        let pods = &mut runtime.status.get_or_insert_with(NodeRuntimeStatus::default).pods;
        for (uid, at) in &self.gone {
            let time = |at: Timestamp| RuntimePodStatus {
                last_update_time: Some(Time(at)),
            };
            let status = [
                (RUNTIME_INITIAL.to_owned(), time(*at - Duration::from_secs(1))),
                (RUNTIME_DELETED.to_owned(), time(*at)),
            ];
            pods.insert(
                uid.clone(),
                RuntimePod {
                    pod_id: String::new(),
                    status: status.into(),
                },
            );
        }
        runtime
    }

    pub fn plan(&self) -> Plan {
        let pods: Vec<&PodFacts> = self.pods.values().collect();
        let runtime = self.runtime();
        let candidate = |(id, left): (&String, &i64)| Candidate {
            id: id.clone(),
            zone: "h".into(),
            cidrs: [format!("10.{}.0.0/16", id.len()).parse().unwrap()]
                .into_iter()
                .collect(),
            available: *left,
        };
        let vswitches: Vec<Candidate> = self.cloud.left.iter().map(candidate).collect();
        let released = self
            .handed
            .iter()
            .filter(|id| !self.leaving.contains(*id))
            .cloned()
            .collect();
        let elsewhere = self.leaving.union(&self.made).cloned().collect();
        plan(&Observed {
            record: &self.record,
            pods: &pods,
            runtime: self.has_agent.then_some(&runtime),
            known: &self.known,
            seen: &self.seen,
            elsewhere: &elsewhere,
            leaving: &self.leaving,
            released: &released,
            inventory: self.inventory.as_ref(),
            compared: self.compared,
            suspected: self.suspected,
            vswitches: &vswitches,
            settings: &self.settings,
            quiet_since: self.quiet_since,
            adjusted: self.adjusted,
            now: self.now,
            seed: 7,
        })
    }

    /// One round: writes what is to be written, or makes the calls. Whether there was anything to do.
    pub fn step(&mut self) -> bool {
        self.now += Duration::from_millis(1);
        let plan = self.plan();
        if plan.adjusted {
            self.adjusted = self.now;
        }
        if plan.status != self.status() {
            self.write(plan);
            return true;
        }
        let calls = plan.calls;
        let any = calls.iter().any(|call| !matches!(call, Call::Watch(_)));
        for call in calls {
            self.call(call);
        }
        self.look();
        self.check();
        any
    }

    fn write(&mut self, plan: Plan) {
        self.writes += 1;
        let before = self.status().operations;
        note_written(&mut self.known, &before, &plan.status.operations);
        self.news.extend(plan.news);
        self.lost.extend(plan.lost);
        if plan.compared {
            // The list stays, so that a plan which uses it twice shows.
            self.compared = self.inventory.as_ref().map(|inventory| inventory.asked);
        }
        self.record.status = Some(plan.status);
        self.check();
    }

    pub fn run(&mut self, rounds: usize) {
        for _ in 0..rounds {
            self.step();
        }
    }

    /// Goes on until nothing is left to do for so long.
    pub fn settle(&mut self, seconds: i64) {
        for _ in 0..seconds / 5 {
            for _ in 0..12 {
                if !self.step() {
                    break;
                }
                self.attach_all();
            }
            self.attach_all();
            self.finish_releases();
            self.now += Duration::from_secs(5);
        }
        let mut rounds = 0;
        while self.step() {
            self.attach_all();
            self.finish_releases();
            rounds += 1;
            assert!(
                rounds < 100,
                "it never rests: {:?} {:?}",
                self.plan().calls,
                self.status().operations
            );
        }
    }

    /// The process dies, and another begins with what is written.
    pub fn restart(&mut self) {
        self.known.clear();
        self.seen.clear();
        self.watched.clear();
        self.handed.clear();
        self.inventory = None;
        self.compared = None;
        self.quiet_since = self.now;
        self.adjusted = self.now;
        self.settings.term = format!("term-{}", self.now.as_second());
    }

    /// The cloud finishes what it accepted.
    pub fn attach_all(&mut self) {
        for eni in self
            .cloud
            .enis
            .values_mut()
            .filter(|eni| eni.status == EniStatus::Attaching)
        {
            eni.status = EniStatus::InUse;
        }
        self.look();
    }

    /// ENIs that were handed over are detached and deleted.
    pub fn finish_releases(&mut self) {
        for id in std::mem::take(&mut self.leaving) {
            if let Some(eni) = self.cloud.enis.remove(&id) {
                *self.cloud.left.entry(eni.vswitch_id.clone()).or_default() += addresses(&eni).len() as i64;
            }
        }
    }

    fn look(&mut self) {
        for id in &self.watched {
            let seen = match self.cloud.enis.get(id) {
                Some(eni) => EniObservation::Present(Box::new(eni.clone())),
                None => EniObservation::Absent,
            };
            self.seen.insert(id.clone(), (seen, self.now));
        }
    }
}
