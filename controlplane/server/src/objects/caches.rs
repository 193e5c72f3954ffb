//! The caches of the control plane, and the watches that fill them.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Node, Pod};
use kube::core::DeserializeGuard;
use kube::runtime::watcher;
use kube::{Api, Client, Resource};
use terway_core::node::NodeFacts;
use terway_core::pod::PodFacts;
use terway_crds::names::object;
use terway_crds::{NetworkInterface, NodeRuntime, PodEni, PodNetworking, TerwayNode};

use super::PodsOfNodes;
use crate::runtime::catch_up::catch_up;
use crate::runtime::feed::{feed, version_of};
use crate::runtime::{Cache, Cached, Key};

/// A Node object of our group.
pub type NodeRecord = TerwayNode;

macro_rules! cached_resource {
    ($($kind:ty),+) => {$(
        impl Cached for $kind {
            fn key(&self) -> Key {
                Key::of(self)
            }
            fn version(&self) -> u64 {
                version_of(self)
            }
        }
    )+};
}
cached_resource!(
    PodEni,
    NetworkInterface,
    TerwayNode,
    PodNetworking,
    NodeRuntime,
    ConfigMap
);

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

/// Everything the controllers read.
#[derive(Clone, Default)]
pub struct Caches {
    pub pods: Arc<Cache<PodFacts>>,
    pub nodes: Arc<Cache<NodeFacts>>,
    pub pod_enis: Arc<Cache<PodEni>>,
    pub interfaces: Arc<Cache<NetworkInterface>>,
    pub node_records: Arc<Cache<NodeRecord>>,
    pub networkings: Arc<Cache<PodNetworking>>,
    pub runtimes: Arc<Cache<NodeRuntime>>,
    /// Names of the pods of each node.
    pub pods_of: Arc<PodsOfNodes>,
    /// eni-config, and the ConfigMaps of single nodes beside it; of each the one key that matters.
    pub eni_config: Arc<Cache<ConfigMap>>,
    /// Owner kinds, beside StatefulSet, whose pods keep their names.
    pub stateful_kinds: Arc<[String]>,
    /// Labels that nodes must have to be looked after: no others are kept.
    pub node_white_list: Arc<BTreeMap<String, String>>,
}

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Caches {
    /// The watches that keep the caches filled; each runs until the process ends.
    pub fn feeds(&self, client: &Client) -> Vec<(&'static str, Task)> {
        let all = watcher::Config::default;
        let stateful = self.stateful_kinds.clone();
        let white_list = self.node_white_list.clone();
        let config_maps: Api<ConfigMap> = Api::namespaced(client.clone(), object::NAMESPACE);
        vec![
            (
                "pods",
                Box::pin(feed(
                    Api::all(client.clone()),
                    all(),
                    self.pods.clone(),
                    move |pod: Pod| Some(PodFacts::from_pod(&pod, &stateful)),
                )),
            ),
            (
                "nodes",
                Box::pin(feed(
                    Api::all(client.clone()),
                    all(),
                    self.nodes.clone(),
                    move |node: Node| Some(NodeFacts::from_node(&node, &white_list)),
                )),
            ),
            (
                "podenis",
                Box::pin(feed(
                    Api::all(client.clone()),
                    all(),
                    self.pod_enis.clone(),
                    readable,
                )),
            ),
            (
                "networkinterfaces",
                Box::pin(feed(
                    Api::all(client.clone()),
                    all(),
                    self.interfaces.clone(),
                    readable,
                )),
            ),
            (
                "node records",
                Box::pin(feed(
                    Api::all(client.clone()),
                    all(),
                    self.node_records.clone(),
                    readable,
                )),
            ),
            (
                "podnetworkings",
                Box::pin(feed(
                    Api::all(client.clone()),
                    all(),
                    self.networkings.clone(),
                    readable,
                )),
            ),
            (
                "eni-config",
                Box::pin(feed(config_maps, all(), self.eni_config.clone(), |map| {
                    Some(settings_only(map))
                })),
            ),
            (
                "noderuntimes",
                Box::pin(feed(
                    Api::all(client.clone()),
                    all(),
                    self.runtimes.clone(),
                    readable,
                )),
            ),
        ]
    }

    /// Names of the caches that wait for their first list.
    pub fn pending(&self) -> Vec<&'static str> {
        [
            ("pods", self.pods.is_synced()),
            ("nodes", self.nodes.is_synced()),
            ("podenis", self.pod_enis.is_synced()),
            ("networkinterfaces", self.interfaces.is_synced()),
            ("node records", self.node_records.is_synced()),
            ("podnetworkings", self.networkings.is_synced()),
            ("eni-config", self.eni_config.is_synced()),
            ("noderuntimes", self.runtimes.is_synced()),
        ]
        .into_iter()
        .filter_map(|(name, synced)| (!synced).then_some(name))
        .collect()
    }

    /// Waits until every cache has had its first list.
    pub async fn wait_synced(&self) {
        self.pods.wait_synced().await;
        self.nodes.wait_synced().await;
        self.pod_enis.wait_synced().await;
        self.interfaces.wait_synced().await;
        self.node_records.wait_synced().await;
        self.networkings.wait_synced().await;
        self.eni_config.wait_synced().await;
        self.runtimes.wait_synced().await;
    }

    /// Waits until what decisions are made on is at least as new as a list made now.
    ///
    /// # Errors
    /// When a list fails.
    pub async fn catch_up(&self, client: &Client) -> Result<(), kube::Error> {
        let pods: Api<Pod> = Api::all(client.clone());
        let nodes: Api<Node> = Api::all(client.clone());
        let pod_enis: Api<PodEni> = Api::all(client.clone());
        let interfaces: Api<NetworkInterface> = Api::all(client.clone());
        let records: Api<NodeRecord> = Api::all(client.clone());
        let networkings: Api<PodNetworking> = Api::all(client.clone());
        let runtimes: Api<NodeRuntime> = Api::all(client.clone());
        tokio::try_join!(
            catch_up(&pods, &self.pods),
            catch_up(&nodes, &self.nodes),
            catch_up(&pod_enis, &self.pod_enis),
            catch_up(&interfaces, &self.interfaces),
            catch_up(&records, &self.node_records),
            catch_up(&networkings, &self.networkings),
            catch_up(&runtimes, &self.runtimes),
        )?;
        Ok(())
    }
}

/// A ConfigMap without what no controller reads: kube-system has large ones.
fn settings_only(mut map: ConfigMap) -> ConfigMap {
    map.binary_data = None;
    map.metadata.managed_fields = None;
    map.metadata.annotations = None;
    if let Some(data) = &mut map.data {
        data.retain(|key, _| key == object::ENI_CONFIG_KEY);
    }
    map
}

/// The object without what no controller reads; `None` when this version cannot read it.
fn readable<K: Resource>(object: DeserializeGuard<K>) -> Option<K> {
    let mut object = object.0.ok()?;
    object.meta_mut().managed_fields = None;
    Some(object)
}
