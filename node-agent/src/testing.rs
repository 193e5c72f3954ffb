//! A datapath and an API server that are played by the test.

use std::collections::{BTreeSet, HashMap};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use async_trait::async_trait;
use kube::runtime::watcher::Event;
use parking_lot::Mutex;
use terway_crds::Phase;
use terway_node_core::carrier::{Carrier, VlanId};
use terway_process::events::Queue;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::cluster::{
    AllocationView, AttachedEni, NodeView, PodEniView, PodKey, PodView, SharedAddress, SharedPod,
};
use crate::datapath::{Census, PodInterface, Realised, Sandbox};
use crate::events::Announcer;
use crate::kernel::{Kernel, KernelError, Reconciled};
use crate::metrics::Metrics;
use crate::server::{Agent, PodReader};
use crate::settings::Settings;

/// A kernel that remembers.
#[derive(Default)]
pub struct Script {
    pub sandboxes: Mutex<Vec<Sandbox>>,
    /// What the reconciler asked for, round by round.
    pub desired: Mutex<Vec<Vec<PodInterface>>>,
    /// Interfaces whose making fails.
    pub refuses: Mutex<Vec<String>>,
    /// Listing fails.
    pub blind: Mutex<bool>,
    /// Repairs that a check reports.
    pub repairs: Mutex<Vec<String>>,
    /// Steps that a reconciliation fails to make.
    pub failing: Mutex<Vec<String>>,
    /// When set, an ADD waits here for a permit.
    pub hold: Mutex<Option<Arc<Semaphore>>>,
    /// Notified when an ADD has arrived.
    pub arrived: Notify,
}

impl Script {
    pub fn containers(&self) -> Vec<String> {
        self.sandboxes
            .lock()
            .iter()
            .map(|sandbox| sandbox.container_id.clone())
            .collect()
    }
}

#[async_trait]
impl Kernel for Script {
    async fn add(&self, want: PodInterface, _netns: OwnedFd) -> Result<Realised, KernelError> {
        self.arrived.notify_one();
        let hold = self.hold.lock().clone();
        if let Some(hold) = hold {
            hold.acquire().await?.forget();
        }
        if self.refuses.lock().contains(&want.sandbox.ifname) {
            return Err("the kernel said no".into());
        }
        let mut sandboxes = self.sandboxes.lock();
        sandboxes.retain(|sandbox| !sandbox.same_as(&want.sandbox));
        sandboxes.push(want.sandbox);
        Ok(Realised {
            host_ifname: "cali1".into(),
            host_mac: [2; 6],
            pod_mac: [4; 6],
        })
    }

    async fn check(&self, _want: PodInterface, _netns: OwnedFd) -> Result<Vec<String>, KernelError> {
        Ok(self.repairs.lock().clone())
    }

    async fn delete(&self, sandbox: &Sandbox, _netns: Option<OwnedFd>) -> Result<(), KernelError> {
        self.sandboxes.lock().retain(|other| !other.same_as(sandbox));
        Ok(())
    }

    async fn sandboxes(&self) -> Result<Vec<Sandbox>, KernelError> {
        if *self.blind.lock() {
            return Err("the dump was cut short".into());
        }
        Ok(self.sandboxes.lock().clone())
    }

    async fn packets(&self) -> Result<Vec<(&'static str, u64)>, KernelError> {
        Ok(vec![("popped", 3)])
    }

    async fn disturbed(&self) -> Result<(), KernelError> {
        std::future::pending().await
    }

    async fn reconcile(&self, census: Census) -> Result<Reconciled, KernelError> {
        self.desired.lock().push(census.interfaces);
        Ok(Reconciled {
            failed: self.failing.lock().clone(),
            ..Default::default()
        })
    }
}

/// An API server that knows these pods; without any it does not answer.
#[derive(Default)]
pub struct Pods(pub Mutex<Option<HashMap<PodKey, PodView>>>);

#[async_trait]
impl PodReader for Pods {
    async fn get(&self, key: &PodKey) -> Result<Option<PodView>, KernelError> {
        match &*self.0.lock() {
            Some(pods) => Ok(pods.get(key).cloned()),
            None => Err("connection refused".into()),
        }
    }

    async fn uids(&self) -> Result<BTreeSet<String>, KernelError> {
        match &*self.0.lock() {
            Some(pods) => Ok(pods.values().map(|pod| pod.uid.clone()).collect()),
            None => Err("connection refused".into()),
        }
    }
}

/// An agent with its script.
pub struct Stage {
    pub agent: Arc<Agent>,
    pub kernel: Arc<Script>,
    pub pods: Arc<Pods>,
    pub announced: Queue,
}

impl Stage {
    /// All lists have arrived: an attached trunk, no pod, no PodENI.
    pub fn new() -> Stage {
        let stage = Stage::unsynced();
        stage.agent.cluster.update_if(|state| {
            state.pods.apply(Event::InitDone);
            state.pod_enis.apply(Event::InitDone);
            state.node.apply(Event::InitDone);
            state.runtime.apply(Event::InitDone)
        });
        *stage.pods.0.lock() = Some(HashMap::new());
        stage.agent.in_order.set(()).unwrap();
        stage.node(trunk("eni-t"));
        stage
    }

    /// Nothing has arrived, and the API server does not answer.
    pub fn unsynced() -> Stage {
        let (kernel, pods, metrics) = (
            Arc::<Script>::default(),
            Arc::<Pods>::default(),
            Metrics::default(),
        );
        let (events, announced) = Announcer::new(&metrics);
        let (settings, stopping) = (Settings::default(), CancellationToken::new());
        let agent = Agent::new(kernel.clone(), pods.clone(), settings, events, metrics, stopping);
        Stage {
            agent: Arc::new(agent),
            kernel,
            pods,
            announced,
        }
    }

    pub fn node(&self, view: NodeView) {
        let event = Event::Apply((PodKey::new("", "node1"), view));
        self.agent.cluster.update_if(|state| state.node.apply(event));
    }

    /// A pod that is scheduled here and wants an ENI.
    pub fn pod(&self, name: &str, uid: &str) {
        self.pod_as(PodView {
            wants_eni: true,
            ..view(name, uid)
        });
    }

    pub fn pod_as(&self, pod: PodView) {
        self.pods
            .0
            .lock()
            .get_or_insert_default()
            .insert(pod.key.clone(), pod.clone());
        let event = Event::Apply((pod.key.clone(), pod));
        self.agent.cluster.update_if(|state| state.pods.apply(event));
    }

    pub fn pod_gone(&self, name: &str) {
        self.pods.0.lock().get_or_insert_default().remove(&key(name));
        let event = Event::Delete((key(name), PodView::default()));
        self.agent.cluster.update_if(|state| state.pods.apply(event));
    }

    pub fn pod_eni(&self, view: PodEniView) {
        let event = Event::Apply((view.key.clone(), view));
        self.agent.cluster.update_if(|state| state.pod_enis.apply(event));
    }

    pub fn pod_eni_gone(&self, name: &str) {
        let event = Event::Delete((key(name), PodEniView::default()));
        self.agent.cluster.update_if(|state| state.pod_enis.apply(event));
    }
}

pub fn key(name: &str) -> PodKey {
    PodKey::new("shop", name)
}

pub fn view(name: &str, uid: &str) -> PodView {
    PodView {
        key: key(name),
        uid: uid.into(),
        ..Default::default()
    }
}

pub fn trunk(id: &str) -> NodeView {
    let trunk = AttachedEni {
        eni_id: id.into(),
        mac: [2, 0, 0, 0, 0, 1],
        cidr: "10.0.0.0/24".parse().unwrap(),
    };
    NodeView {
        trunk: Ok(trunk),
        ..Default::default()
    }
}

/// A node with a trunk, on whose ENI this pod has a shared address.
pub fn sharing(name: &str, uid: &str, ip: &str) -> NodeView {
    let mut node = trunk("eni-t");
    let eni = AttachedEni {
        eni_id: "eni-s".into(),
        mac: [2, 0, 0, 0, 0, 2],
        cidr: "10.0.16.0/22".parse().unwrap(),
    };
    let ip = ip.parse().unwrap();
    let pod = SharedPod {
        pod_id: key(name).to_string(),
        address: Ok(SharedAddress { ip, eni }),
    };
    node.shared.insert(uid.into(), pod);
    node
}

/// A member of a trunk.
pub fn member(trunk: &str, vlan: u16) -> Carrier<String> {
    Carrier::Member {
        trunk: trunk.into(),
        vlan: VlanId::new(vlan).unwrap(),
    }
}

/// A PodENI in phase Bind with one address.
pub fn bound(name: &str, uid: &str) -> PodEniView {
    let allocation = AllocationView {
        eni_id: "eni-9".into(),
        ip: Some("10.0.16.7".parse().unwrap()),
        cidr: Some("10.0.16.0/22".parse().unwrap()),
        carrier: Some(member("eni-t", 7)),
        ..Default::default()
    };
    PodEniView {
        key: key(name),
        pod_uid: uid.into(),
        phase: Phase::Bind,
        allocations: Ok(vec![allocation]),
        ..Default::default()
    }
}

pub fn sandbox(container_id: &str, uid: &str) -> Sandbox {
    Sandbox {
        container_id: container_id.into(),
        pod_uid: uid.into(),
        ifname: "eth0".into(),
        attachment: "eth0".into(),
    }
}
