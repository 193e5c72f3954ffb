//! The caches of the control plane, and the watches that fill them.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::{BoxFuture, join_all, try_join_all};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::{Client, ResourceExt};
use terway_core::node::NodeFacts;
use terway_core::pod::PodFacts;
use terway_core::pod_eni::{PodState, is_for};
use terway_core::podnetworking::{self, NetworksError};
use terway_crds::{NetworkInterface, NodeRuntime, PodEni, PodNetwork, PodNetworking, TerwayNode};

use super::{KeyIndex, Unserved};
use crate::runtime::feed::version_of;
use crate::runtime::{Cache, Cached, Key};

/// A Node object of our group.
pub type NodeRecord = TerwayNode;

/// The labels of a namespace, which PodNetworkings select by.
pub struct NamespaceLabels {
    name: String,
    version: u64,
    pub labels: BTreeMap<String, String>,
}

impl From<Namespace> for NamespaceLabels {
    fn from(namespace: Namespace) -> Self {
        let (name, version) = (namespace.name_any(), version_of(&namespace));
        Self {
            name,
            version,
            labels: namespace.metadata.labels.unwrap_or_default(),
        }
    }
}

impl Cached for NamespaceLabels {
    fn key(&self) -> Key {
        Key::cluster(&self.name)
    }
    fn version(&self) -> u64 {
        self.version
    }
}

impl Cached for ConfigMap {
    fn key(&self) -> Key {
        Key::of(self)
    }
    fn version(&self) -> u64 {
        version_of(self)
    }
}

impl Cached for PodFacts {
    fn key(&self) -> Key {
        Key::namespaced(&self.namespace, &self.name)
    }
    fn version(&self) -> u64 {
        self.version
    }
}

impl Cached for NodeFacts {
    fn key(&self) -> Key {
        Key::cluster(&self.name)
    }
    fn version(&self) -> u64 {
        self.version
    }
}

/// Everything that the controllers and the webhook read.
#[derive(Clone, Default)]
pub struct Caches {
    pub pods: Arc<Cache<PodFacts>>,
    pub nodes: Arc<Cache<NodeFacts>>,
    pub namespaces: Arc<Cache<NamespaceLabels>>,
    pub pod_enis: Arc<Cache<PodEni>>,
    pub interfaces: Arc<Cache<NetworkInterface>>,
    pub node_records: Arc<Cache<NodeRecord>>,
    pub networkings: Arc<Cache<PodNetworking>>,
    pub runtimes: Arc<Cache<NodeRuntime>>,
    /// The pods of each node.
    pub pods_of: Arc<KeyIndex>,
    /// The PodENIs of each node that are not bound.
    pub unbound_of: Arc<KeyIndex>,
    /// The NetworkInterfaces of each node that are to be attached and are not.
    pub unattached_of: Arc<KeyIndex>,
    /// The pods that wait for the network of each PodNetworking.
    pub waiting_for: Arc<KeyIndex>,
    /// Pods without networks, by the PodNetworking that selects them.
    pub unserved: Arc<Unserved>,
    /// eni-config, and the ConfigMaps of single nodes beside it; of each the one key that matters.
    pub eni_config: Arc<Cache<ConfigMap>>,
    /// Owner kinds, beside StatefulSet, whose pods keep their names.
    pub stateful_kinds: Arc<[String]>,
    /// Labels that a node must have. Nodes without them are not cached.
    pub node_white_list: Arc<BTreeMap<String, String>>,
}

impl Caches {
    /// The watches that keep the caches filled; each runs until the process ends.
    pub fn feeds(&self, client: &Client) -> Vec<(&'static str, BoxFuture<'static, ()>)> {
        let kinds = self.kinds();
        let feed = |kind: &Box<_>| {
            let kind: &dyn super::kinds::CachedKind = &**kind;
            (kind.name(), kind.feed(client.clone()))
        };
        kinds.iter().map(feed).collect()
    }

    /// Names of the kinds whose first list has not arrived.
    pub fn pending(&self) -> Vec<&'static str> {
        let kinds = self.kinds();
        let pending = kinds.iter().filter(|kind| !kind.is_synced());
        pending.map(|kind| kind.name()).collect()
    }

    /// Waits until every cache has had its first list.
    pub async fn wait_synced(&self) {
        join_all(self.kinds().iter().map(|kind| kind.wait_synced())).await;
    }

    /// Waits until every cache is at least as new as a list made now.
    ///
    /// # Errors
    /// When a list fails.
    pub async fn catch_up(&self, client: &Client) -> Result<(), kube::Error> {
        let kinds = self.kinds();
        try_join_all(kinds.iter().map(|kind| kind.catch_up(client.clone()))).await?;
        Ok(())
    }

    /// The networks of a pod.
    ///
    /// # Errors
    /// When the pod's annotations name no network that can be used.
    pub fn networks_of(&self, pod: &PodFacts) -> Result<Vec<PodNetwork>, NetworksError> {
        podnetworking::networks_of(pod, |name| self.networkings.get(&Key::cluster(name)))
    }

    /// The pod that a record is for, and how far it is. A pod of the same name with another UID is another pod.
    pub fn pod_of(&self, record: &PodEni) -> (PodState, Option<Arc<PodFacts>>) {
        let pod = self.pods.get(&record.key()).filter(|pod| is_for(record, pod));
        (PodState::of(pod.as_deref()), pod)
    }
}

#[cfg(test)]
mod tests;
