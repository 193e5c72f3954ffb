//! An agent whose kernel and API server are played by the test.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use kube::runtime::watcher::Event;
use parking_lot::Mutex;
use terway_crds::Phase;
use terway_node_core::carrier::{Carrier, VlanId};
use terway_process::events::Queue;
use tokio_util::sync::CancellationToken;

use crate::cluster::{
    AllocationView, AttachedEni, NodeView, PodEniView, PodKey, PodView, SharedAddress, SharedPod,
};
use crate::datapath::Sandbox;
use crate::events::Announcer;
use crate::kernel::KernelError;
use crate::metrics::Metrics;
use crate::notes::Notes;
use crate::scripted::ScriptedKernel;
use crate::server::{Agent, PodReader};
use crate::settings::Settings;

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
    pub kernel: Arc<ScriptedKernel>,
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
            Arc::<ScriptedKernel>::default(),
            Arc::<Pods>::default(),
            Metrics::default(),
        );
        let (events, announced) = Announcer::new(&metrics);
        let (settings, stopping) = (Settings::default(), CancellationToken::new());
        let notes = Notes::new("node1", events.clone());
        let agent = Agent::new(
            kernel.clone(),
            pods.clone(),
            settings,
            events,
            notes,
            metrics,
            stopping,
        );
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

    /// The pod is deleted.
    pub fn pod_gone(&self, name: &str) {
        self.pods.0.lock().get_or_insert_default().remove(&key(name));
        self.pod_gone_from_the_watch(name);
    }

    /// The watch tells that the pod is deleted. A read still finds the pod, as in an API server that is behind.
    pub fn pod_gone_from_the_watch(&self, name: &str) {
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
