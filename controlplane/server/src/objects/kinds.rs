//! The kinds of objects that the control plane knows: one table for the watches, the first list, the catch-up of a
//! new leader and the writer. A new kind is one line in [`Caches::kinds`], and one more here if it is written.

use std::fmt::Debug;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Node, Pod};
use kube::core::DeserializeGuard;
use kube::runtime::watcher;
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use terway_core::node::NodeFacts;
use terway_core::pod::PodFacts;
use terway_crds::names::object;
use terway_crds::{NetworkInterface, NodeRuntime, PodEni, PodNetworking};

use super::caches::{Caches, NamespaceLabels, NodeRecord};
use crate::runtime::catch_up::catch_up;
use crate::runtime::feed::{feed, version_of};
use crate::runtime::{Cache, Cached, Key};

/// A kind of our own group: cached as a whole, and written by the control plane.
pub(crate) trait Kind:
    Resource<DynamicType = ()> + Clone + Debug + Serialize + DeserializeOwned + Send + Sync + 'static
{
    /// Name in messages.
    const NAME: &'static str;
    /// The API of this kind in one namespace. A cluster-wide kind ignores the namespace.
    fn api(client: Client, namespace: &str) -> Api<Self>;
    /// The cache of this kind.
    fn cache(caches: &Caches) -> &Arc<Cache<Self>>;
}

impl<K: Kind> Cached for K {
    fn key(&self) -> Key {
        Key::of(self)
    }
    fn version(&self) -> u64 {
        version_of(self)
    }
}

macro_rules! kind {
    ($kind:ty, $name:literal, $cache:ident, $api:expr) => {
        impl Kind for $kind {
            const NAME: &'static str = $name;
            fn api(client: Client, namespace: &str) -> Api<Self> {
                let api: fn(Client, &str) -> Api<Self> = $api;
                api(client, namespace)
            }
            fn cache(caches: &Caches) -> &Arc<Cache<Self>> {
                &caches.$cache
            }
        }
    };
}
kind!(PodEni, "PodENI", pod_enis, Api::namespaced);
kind!(NetworkInterface, "NetworkInterface", interfaces, in_cluster);
kind!(
    NodeRecord,
    "Node (network.alibabacloud.com)",
    node_records,
    in_cluster
);
kind!(PodNetworking, "PodNetworking", networkings, in_cluster);
kind!(NodeRuntime, "NodeRuntime", runtimes, in_cluster);

fn in_cluster<K: Resource<DynamicType = ()>>(client: Client, _namespace: &str) -> Api<K> {
    Api::all(client)
}

impl Caches {
    /// The table of kinds.
    pub(super) fn kinds(&self) -> Vec<Box<dyn CachedKind>> {
        let stateful = self.stateful_kinds.clone();
        let white_list = self.node_white_list.clone();
        vec![
            cached("Pod", Api::all, &self.pods, move |pod: Pod| {
                Some(PodFacts::from_pod(&pod, &stateful))
            }),
            cached("Node", Api::all, &self.nodes, move |node: Node| {
                Some(NodeFacts::from_node(&node, &white_list))
            }),
            cached("Namespace", Api::all, &self.namespaces, |namespace: Namespace| {
                Some(NamespaceLabels::from(namespace))
            }),
            cached(object::ENI_CONFIG, settings_maps, &self.eni_config, |map| {
                Some(settings_only(map))
            }),
            own::<PodEni>(self),
            own::<NetworkInterface>(self),
            own::<NodeRecord>(self),
            own::<PodNetworking>(self),
            own::<NodeRuntime>(self),
        ]
    }
}

/// The operations on the cache of any kind.
pub(super) trait CachedKind: Send + Sync {
    /// Name in messages.
    fn name(&self) -> &'static str;
    /// The watch that keeps the cache filled. It runs until the process ends.
    fn feed(&self, client: Client) -> BoxFuture<'static, ()>;
    /// Whether the first list has arrived.
    fn is_synced(&self) -> bool;
    /// Waits for the first list.
    fn wait_synced(&self) -> BoxFuture<'_, ()>;
    /// Waits until the cache is at least as new as a list made now.
    fn catch_up(&self, client: Client) -> BoxFuture<'_, Result<(), kube::Error>>;
}

/// One line of the table: the API of the watch, the cache, and the conversion of each object.
struct Row<W, T, F> {
    name: &'static str,
    api: fn(Client) -> Api<W>,
    cache: Arc<Cache<T>>,
    /// `None` for an object that this version cannot read.
    trim: F,
}

fn cached<W, T, F>(
    name: &'static str,
    api: fn(Client) -> Api<W>,
    cache: &Arc<Cache<T>>,
    trim: F,
) -> Box<dyn CachedKind>
where
    Row<W, T, F>: CachedKind + 'static,
{
    Box::new(Row {
        name,
        api,
        cache: cache.clone(),
        trim,
    })
}

fn own<K: Kind>(caches: &Caches) -> Box<dyn CachedKind> {
    cached(K::NAME, Api::all, K::cache(caches), readable::<K>)
}

impl<W, T, F> CachedKind for Row<W, T, F>
where
    W: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    T: Cached,
    F: Fn(W) -> Option<T> + Clone + Send + Sync + 'static,
{
    fn name(&self) -> &'static str {
        self.name
    }

    fn feed(&self, client: Client) -> BoxFuture<'static, ()> {
        let all = watcher::Config::default();
        feed((self.api)(client), all, self.cache.clone(), self.trim.clone()).boxed()
    }

    fn is_synced(&self) -> bool {
        self.cache.is_synced()
    }

    fn wait_synced(&self) -> BoxFuture<'_, ()> {
        self.cache.wait_synced().boxed()
    }

    fn catch_up(&self, client: Client) -> BoxFuture<'_, Result<(), kube::Error>> {
        let api = (self.api)(client);
        async move { catch_up(&api, &self.cache).await }.boxed()
    }
}

fn settings_maps(client: Client) -> Api<ConfigMap> {
    Api::namespaced(client, object::NAMESPACE)
}

/// A ConfigMap with only the key that controllers read, because kube-system has large ConfigMaps.
fn settings_only(mut map: ConfigMap) -> ConfigMap {
    map.binary_data = None;
    map.metadata.managed_fields = None;
    map.metadata.annotations = None;
    if let Some(data) = &mut map.data {
        data.retain(|key, _| key == object::ENI_CONFIG_KEY);
    }
    map
}

/// The object without fields that no controller reads; `None` if this version cannot read the object.
fn readable<K: Resource>(object: DeserializeGuard<K>) -> Option<K> {
    let mut object = object.0.ok()?;
    object.meta_mut().managed_fields = None;
    Some(object)
}
