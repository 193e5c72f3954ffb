//! Guarded writes: every one names the version it was planned on, and its answer goes into the
//! cache at once, so that the next plan is made on it. Here are the verbs; what is written of each kind has a file of
//! its own.

mod interface;
mod kubernetes;
mod node_record;
mod pod_eni;

use std::sync::Arc;

use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use terway_crds::{NetworkInterface, PodEni};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

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
}
