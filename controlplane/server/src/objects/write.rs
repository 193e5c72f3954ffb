//! Guarded writes: every one names the version it was planned on, and its answer goes into the
//! cache at once, so that the next plan is made on it.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use terway_core::node::{NodeFacts, Publication, Sufficiency};
use terway_crds::names::{annotation, condition, label};
use terway_crds::{
    Allocation, AttachTo, NetworkInterface, NetworkInterfaceStatus, PodEni, PodEniStatus, TerwayNodeSpec,
    TerwayNodeStatus,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::merge::diff;
use super::{Caches, NodeRecord};
use crate::error::{ReconcileError, status_code};
use crate::runtime::{Cache, Cached, Key};

/// Writes to the API server.
#[derive(Clone)]
pub struct Writer {
    client: Client,
    caches: Caches,
    /// Requests under way at once: a few are enough to keep an API server busy; more would only wait there
    /// for one another, and keep its watches from being served.
    places: Arc<Semaphore>,
}

/// Requests under way at once.
const AT_ONCE: usize = 16;

/// The right to send one request now.
pub struct Turn {
    _place: Option<OwnedSemaphorePermit>,
}

/// What became of a create.
pub enum Created<K> {
    /// It was made now.
    New(Arc<K>),
    /// There is one of that name already.
    Exists,
}

trait Written:
    Resource<DynamicType = ()> + Cached + Clone + Serialize + DeserializeOwned + std::fmt::Debug
{
    const KIND: &'static str;
    fn api(client: &Client, key: &Key) -> Api<Self>;
    fn cache(caches: &Caches) -> &Arc<Cache<Self>>;
}

macro_rules! written {
    ($kind:ty, $name:literal, $cache:ident, $api:expr) => {
        impl Written for $kind {
            const KIND: &'static str = $name;
            fn api(client: &Client, key: &Key) -> Api<Self> {
                let make: fn(Client, &Key) -> Api<Self> = $api;
                make(client.clone(), key)
            }
            fn cache(caches: &Caches) -> &Arc<Cache<Self>> {
                &caches.$cache
            }
        }
    };
}
written!(PodEni, "PodENI", pod_enis, |client, key| namespaced(client, key));
written!(NetworkInterface, "NetworkInterface", interfaces, |client, _| {
    Api::all(client)
});
written!(
    NodeRecord,
    "Node (network.alibabacloud.com)",
    node_records,
    |client, _| Api::all(client)
);

fn namespaced<K>(client: Client, key: &Key) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    Api::namespaced(client, key.namespace().unwrap_or_default())
}

impl Writer {
    /// Writes through `client` and into `caches`.
    pub fn new(client: Client, caches: Caches) -> Self {
        Self {
            client,
            caches,
            places: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// Waits for the right to send a request. Who has it before planning plans on what is known when the request
    /// is sent, and not on what was known when it began to wait.
    pub async fn turn(&self) -> Turn {
        Turn {
            // The semaphore is never closed; without a place the requests would merely be unbounded.
            _place: self.places.clone().acquire_owned().await.ok(),
        }
    }

    async fn create<K: Written>(&self, object: &K) -> Result<Created<K>, ReconcileError> {
        let key = object.key();
        let _turn = self.turn().await;
        match K::api(&self.client, &key)
            .create(&PostParams::default(), object)
            .await
        {
            Ok(made) => Ok(Created::New(self.take_in(made))),
            Err(error) if status_code(&error) == Some(409) => Ok(Created::Exists),
            Err(source) => Err(ReconcileError::Api {
                act: "creating",
                kind: K::KIND,
                key,
                source,
            }),
        }
    }

    /// Patches what was read. The API server refuses with a conflict when it has changed since.
    async fn patch<K: Written>(
        &self,
        read: &K,
        act: &'static str,
        body: Value,
        subresource: bool,
    ) -> Result<Arc<K>, ReconcileError> {
        let turn = self.turn().await;
        self.patch_in(turn, read, act, body, subresource).await
    }

    async fn patch_in<K: Written>(
        &self,
        _turn: Turn,
        read: &K,
        act: &'static str,
        mut body: Value,
        subresource: bool,
    ) -> Result<Arc<K>, ReconcileError> {
        let key = read.key();
        body["metadata"]["resourceVersion"] = json!(read.resource_version());
        body["metadata"]["uid"] = json!(read.uid());
        let (api, params, patch) = (
            K::api(&self.client, &key),
            PatchParams::default(),
            Patch::Merge(&body),
        );
        let answer = match subresource {
            true => api.patch_status(key.name(), &params, &patch).await,
            false => api.patch(key.name(), &params, &patch).await,
        };
        match answer {
            Ok(written) => Ok(self.take_in(written)),
            Err(source) => Err(ReconcileError::Api {
                act,
                kind: K::KIND,
                key,
                source,
            }),
        }
    }

    async fn delete<K: Written>(&self, read: &K) -> Result<(), ReconcileError> {
        let key = read.key();
        let preconditions = Preconditions {
            uid: read.uid(),
            resource_version: read.resource_version(),
        };
        let params = DeleteParams {
            preconditions: Some(preconditions),
            ..DeleteParams::default()
        };
        let _turn = self.turn().await;
        match K::api(&self.client, &key).delete(key.name(), &params).await {
            Ok(answer) => {
                // With finalizers the answer is the object, on its way out now.
                if let Some(object) = answer.left().filter(|o| o.meta().deletion_timestamp.is_some()) {
                    self.take_in(object);
                }
                Ok(())
            }
            Err(error) if status_code(&error) == Some(404) => Ok(()),
            Err(source) => Err(ReconcileError::Api {
                act: "deleting",
                kind: K::KIND,
                key,
                source,
            }),
        }
    }

    /// Removes finalizers; when the object was on its way out, it is gone with this write.
    async fn drop_finalizers<K: Written>(&self, read: &K, drop: &[&str]) -> Result<(), ReconcileError> {
        let left: Vec<&String> = read
            .finalizers()
            .iter()
            .filter(|finalizer| !drop.contains(&finalizer.as_str()))
            .collect();
        let gone = left.is_empty() && read.meta().deletion_timestamp.is_some();
        let body =
            json!({ "metadata": { "finalizers": if left.is_empty() { Value::Null } else { json!(left) } } });
        match self.patch(read, "removing the finalizer of", body, false).await {
            Ok(written) => {
                if gone {
                    K::cache(&self.caches).remove(&written.key(), written.version());
                }
                Ok(())
            }
            Err(ReconcileError::Api { source, .. }) if status_code(&source) == Some(404) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn take_in<K: Written>(&self, mut object: K) -> Arc<K> {
        object.meta_mut().managed_fields = None;
        K::cache(&self.caches).apply(object, true)
    }

    /// Creates a PodENI.
    pub async fn create_pod_eni(&self, record: &PodEni) -> Result<Created<PodEni>, ReconcileError> {
        self.create(record).await
    }

    /// Writes the allocations of a PodENI.
    pub async fn write_allocations(
        &self,
        read: &PodEni,
        allocations: &[Allocation],
    ) -> Result<Arc<PodEni>, ReconcileError> {
        let body = json!({ "spec": { "allocations": allocations } });
        self.patch(read, "writing the allocations of", body, false).await
    }

    /// Writes for which pod, on which node, a PodENI is.
    pub async fn rebind_pod_eni(&self, read: &PodEni, uid: &str, node: &str) -> Result<(), ReconcileError> {
        let body = json!({ "metadata": {
            "labels": { label::NODE: node },
            "annotations": { annotation::POD_UID: uid },
        }});
        self.patch(read, "rebinding", body, false).await.map(drop)
    }

    /// Writes the status of a PodENI.
    pub async fn write_pod_eni_status(
        &self,
        read: &PodEni,
        status: &PodEniStatus,
    ) -> Result<Arc<PodEni>, ReconcileError> {
        let body = json!({ "status": diff(&json!(read.status), &json!(status)) });
        self.patch(read, "writing the status of", body, true).await
    }

    /// Deletes the PodENI that was read.
    pub async fn delete_pod_eni(&self, read: &PodEni) -> Result<(), ReconcileError> {
        self.delete(read).await
    }

    /// Lets a PodENI go.
    pub async fn release_pod_eni(&self, read: &PodEni, finalizers: &[&str]) -> Result<(), ReconcileError> {
        self.drop_finalizers(read, finalizers).await
    }

    /// Creates a NetworkInterface.
    pub async fn create_interface(
        &self,
        interface: &NetworkInterface,
    ) -> Result<Created<NetworkInterface>, ReconcileError> {
        self.create(interface).await
    }

    /// Writes where an ENI is to be attached, and puts it under the name of that node.
    pub async fn write_target(
        &self,
        read: &NetworkInterface,
        target: Option<&AttachTo>,
    ) -> Result<(), ReconcileError> {
        let node = target
            .map(|target| target.node_name.as_str())
            .filter(|name| !name.is_empty());
        let body = json!({
            "metadata": { "labels": { label::NODE: node } },
            "spec": { "attachTo": diff(&json!(read.spec.attach_to), &json!(target)) },
        });
        self.patch(read, "writing the target of", body, false)
            .await
            .map(drop)
    }

    /// Writes the status of a NetworkInterface.
    pub async fn write_interface_status(
        &self,
        read: &NetworkInterface,
        status: &NetworkInterfaceStatus,
    ) -> Result<(), ReconcileError> {
        let body = json!({ "status": diff(&json!(read.status), &json!(status)) });
        self.patch(read, "writing the status of", body, true)
            .await
            .map(drop)
    }

    /// Deletes the NetworkInterface that was read; it goes when the cloud has confirmed.
    pub async fn delete_interface(&self, read: &NetworkInterface) -> Result<(), ReconcileError> {
        self.delete(read).await
    }

    /// Lets a NetworkInterface go.
    pub async fn release_interface(
        &self,
        read: &NetworkInterface,
        finalizers: &[&str],
    ) -> Result<(), ReconcileError> {
        self.drop_finalizers(read, finalizers).await
    }

    /// Creates a Node object.
    pub async fn create_node_record(
        &self,
        record: &NodeRecord,
    ) -> Result<Created<NodeRecord>, ReconcileError> {
        self.create(record).await
    }

    /// Writes the spec of a Node object.
    pub async fn write_node_spec(
        &self,
        read: &NodeRecord,
        spec: &TerwayNodeSpec,
    ) -> Result<(), ReconcileError> {
        let body = json!({ "spec": diff(&json!(read.spec), &json!(spec)) });
        self.patch(read, "writing the spec of", body, false)
            .await
            .map(drop)
    }

    /// Writes the status of a Node object.
    pub async fn write_node_status(
        &self,
        read: &NodeRecord,
        status: &TerwayNodeStatus,
    ) -> Result<(), ReconcileError> {
        let turn = self.turn().await;
        self.write_node_status_in(turn, read, status).await
    }

    /// Writes the status of a Node object, when one's turn has come.
    pub async fn write_node_status_in(
        &self,
        turn: Turn,
        read: &NodeRecord,
        status: &TerwayNodeStatus,
    ) -> Result<(), ReconcileError> {
        let body = json!({ "status": diff(&json!(read.status), &json!(status)) });
        self.patch_in(turn, read, "writing the status of", body, true)
            .await
            .map(drop)
    }

    /// Deletes the Node object that was read.
    pub async fn delete_node_record(&self, read: &NodeRecord) -> Result<(), ReconcileError> {
        self.delete(read).await
    }

    /// Lets a Node object go.
    pub async fn release_node_record(
        &self,
        read: &NodeRecord,
        finalizers: &[&str],
    ) -> Result<(), ReconcileError> {
        self.drop_finalizers(read, finalizers).await
    }

    /// Tells a Kubernetes node what pods can have on it: annotations, extended resources and the condition
    /// SufficientIP, in one write. They are ours alone, so it needs no version. (Annotations can be written through
    /// `nodes/status`; the kubelet does that too.)
    pub async fn publish(
        &self,
        name: &str,
        publication: &Publication,
        now: Timestamp,
    ) -> Result<(), ReconcileError> {
        let mut status = Map::new();
        if !publication.resources.is_empty() {
            status.insert("capacity".to_owned(), json!(publication.resources));
            status.insert("allocatable".to_owned(), json!(publication.resources));
        }
        if let Some(sufficiency) = publication.sufficiency {
            let condition = sufficiency_condition(sufficiency, now);
            status.insert("conditions".to_owned(), json!([condition]));
        }
        let body = json!({ "metadata": { "annotations": publication.annotations }, "status": status });
        let api: Api<Node> = Api::all(self.client.clone());
        let _turn = self.turn().await;
        let answer = api
            .patch_status(name, &PatchParams::default(), &Patch::Strategic(&body))
            .await;
        match answer {
            Ok(node) => {
                let facts = NodeFacts::from_node(&node, &self.caches.node_white_list);
                self.caches.nodes.apply(facts, true);
                Ok(())
            }
            Err(source) => Err(node_error("telling what pods can have on", name, source)),
        }
    }

    /// Writes the annotation with a pod's addresses, if it is still the same pod.
    pub async fn annotate_pod(&self, key: &Key, uid: &str, addresses: &str) -> Result<(), ReconcileError> {
        let body = json!({ "metadata": {
            "uid": uid,
            "annotations": { annotation::POD_IPS: addresses },
        }});
        let api: Api<Pod> = Api::namespaced(self.client.clone(), key.namespace().unwrap_or_default());
        let answer = api
            .patch(key.name(), &PatchParams::default(), &Patch::Merge(&body))
            .await;
        match answer {
            Ok(_) => Ok(()),
            Err(error) if status_code(&error) == Some(404) => Ok(()),
            Err(source) => Err(ReconcileError::Api {
                act: "annotating",
                kind: "Pod",
                key: key.clone(),
                source,
            }),
        }
    }

    /// Whether a Kubernetes node surely does not exist: the cache is not asked.
    pub async fn node_is_gone(&self, name: &str) -> Result<bool, ReconcileError> {
        let api: Api<Node> = Api::all(self.client.clone());
        let found = api.get_metadata_opt(name).await;
        found
            .map(|node| node.is_none())
            .map_err(|source| node_error("reading", name, source))
    }

    /// UID of the PodENI of this name, straight from the API server.
    pub async fn live_pod_eni_uid(&self, key: &Key) -> Result<Option<String>, ReconcileError> {
        let found = PodEni::api(&self.client, key).get_metadata_opt(key.name()).await;
        let found = found.map_err(|source| ReconcileError::Api {
            act: "reading",
            kind: PodEni::KIND,
            key: key.clone(),
            source,
        })?;
        Ok(found.and_then(|record| record.metadata.uid))
    }
}

fn sufficiency_condition(sufficiency: Sufficiency, now: Timestamp) -> Value {
    let (status, reason, message) = match sufficiency.holds {
        true => ("True", condition::SUFFICIENT_IP, "node has sufficient IP"),
        false => ("False", condition::INSUFFICIENT_IP, "node has insufficient IP"),
    };
    // Kubernetes takes whole seconds here.
    let now = now.round(jiff::Unit::Second).unwrap_or(now).to_string();
    let mut condition = json!({
        "type": condition::SUFFICIENT_IP,
        "status": status,
        "reason": reason,
        "message": message,
        "lastHeartbeatTime": now,
    });
    if sufficiency.turns {
        condition["lastTransitionTime"] = json!(now);
    }
    condition
}

fn node_error(act: &'static str, name: &str, source: kube::Error) -> ReconcileError {
    ReconcileError::Api {
        act,
        kind: "Node",
        key: Key::cluster(name),
        source,
    }
}
