//! What the API server says about this node, as small values behind one lock.
//!
//! Four watches write the values (see [`watches`]). Everybody else reads them without waiting and subscribes to their
//! version number. Objects of other nodes are never kept: the agent's memory does not grow with the cluster.

mod node;
mod pod;
mod pod_eni;
mod table;
mod unusable;
pub mod watches;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use parking_lot::RwLock;
use terway_crds::NodeRuntime;
use tokio::sync::watch;

pub use node::{AttachedEni, NoTrunk, NodeView, SharedAddress, SharedPod};
pub use pod::PodView;
pub use pod_eni::{AllocationView, PodEniView};
pub use table::Table;
pub use unusable::Unusable;

/// Namespace and name of a pod, and of its PodENI.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PodKey {
    /// Name of the namespace.
    pub namespace: String,
    /// Name of the pod.
    pub name: String,
}

impl PodKey {
    /// A key.
    pub fn new(namespace: &str, name: &str) -> Self {
        PodKey {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    /// The key of an object.
    pub fn of(object: &impl kube::Resource) -> Self {
        let meta = object.meta();
        PodKey::new(
            meta.namespace.as_deref().unwrap_or_default(),
            meta.name.as_deref().unwrap_or_default(),
        )
    }
}

impl fmt::Display for PodKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The objects that concern this node.
#[derive(Default)]
pub struct ClusterView {
    /// Pods scheduled to this node.
    pub pods: Table<PodView>,
    /// PodENIs whose label names this node.
    pub pod_enis: Table<PodEniView>,
    /// The Node object (of our group) of this node: at most one.
    pub node: Table<NodeView>,
    /// The NodeRuntime of this node: at most one.
    pub runtime: Table<NodeRuntime>,
}

impl ClusterView {
    /// This node's Node object.
    pub fn node(&self) -> Option<&NodeView> {
        self.node.values().next()
    }

    /// This node's name, once its Node object was seen.
    pub fn node_name(&self) -> Option<&str> {
        self.node.keys().next().map(|key| key.name.as_str())
    }

    /// This node's NodeRuntime.
    pub fn runtime(&self) -> Option<&NodeRuntime> {
        self.runtime.values().next()
    }

    /// The pod with this UID.
    pub fn pod_with_uid(&self, uid: &str) -> Option<&PodView> {
        self.pods.values().find(|pod| pod.uid == uid)
    }

    /// The PodENI that is for the pod with this UID.
    pub fn pod_eni_for(&self, uid: &str) -> Option<&PodEniView> {
        self.pod_enis.values().find(|pod_eni| pod_eni.pod_uid == uid)
    }

    /// The name of the pod that a PodENI or a shared address is for.
    pub fn name_of(&self, uid: &str) -> Option<PodKey> {
        if let Some(pod_eni) = self.pod_eni_for(uid) {
            return Some(pod_eni.key.clone());
        }
        let (namespace, name) = self.node()?.shared.get(uid)?.pod_id.split_once('/')?;
        Some(PodKey::new(namespace, name))
    }

    /// The kinds whose first list has not arrived.
    pub fn unsynced(&self) -> Vec<&'static str> {
        let tables = [
            ("pods", self.pods.synced()),
            ("podenis", self.pod_enis.synced()),
            ("nodes.network.alibabacloud.com", self.node.synced()),
            ("noderuntimes", self.runtime.synced()),
        ];
        tables
            .into_iter()
            .filter(|(_, synced)| !synced)
            .map(|(name, _)| name)
            .collect()
    }
}

/// Shared handle on the [`ClusterView`].
#[derive(Clone)]
pub struct Cluster {
    inner: Arc<Inner>,
}

struct Inner {
    state: RwLock<ClusterView>,
    version: watch::Sender<u64>,
}

impl Default for Cluster {
    fn default() -> Self {
        Cluster {
            inner: Arc::new(Inner {
                state: RwLock::default(),
                version: watch::Sender::new(0),
            }),
        }
    }
}

impl Cluster {
    /// Reads the view. The closure must be short: it runs under a lock.
    pub fn read<T>(&self, look: impl FnOnce(&ClusterView) -> T) -> T {
        look(&self.inner.state.read())
    }

    /// Changes the view. The closure tells whether it changed anything; if so, every subscriber is woken.
    pub fn update_if(&self, change: impl FnOnce(&mut ClusterView) -> bool) {
        if change(&mut self.inner.state.write()) {
            self.inner.version.send_modify(|version| *version += 1);
        }
    }

    /// A receiver that each later change marks as changed.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.inner.version.subscribe()
    }

    /// Waits until every watch has delivered its first list.
    pub async fn synced(&self) {
        let mut changes = self.subscribe();
        while !self.read(|state| state.unsynced().is_empty()) {
            // The sender lives as long as `self`, so the wait cannot fail.
            if changes.changed().await.is_err() {
                return;
            }
        }
    }
}
