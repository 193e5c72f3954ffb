//! Guarded writes. Every write names the version on which it was planned. Its answer goes into the cache at once, so
//! that the next plan is made on it. This file has the verbs; each kind has its own file.

mod interface;
mod kubernetes;
mod networking;
mod node_record;
mod pod_eni;
#[cfg(test)]
mod tests;
mod turn;

use std::sync::Arc;

use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

use self::turn::Turns;
use super::Caches;
use super::kinds::Kind;
use crate::error::{ReconcileError, status_code};
use crate::runtime::{Cached, Key};

pub use self::turn::Turn;

/// Writes to the API server.
#[derive(Clone)]
pub struct Writer {
    turns: Turns,
    caches: Caches,
}

/// The result of a create.
pub enum Created<K> {
    /// This call created the object.
    New(Arc<K>),
    /// An object of this name exists already.
    Exists,
}

fn api<K: Kind>(client: Client, key: &Key) -> Api<K> {
    K::api(client, key.namespace().unwrap_or_default())
}

impl Writer {
    /// Writes through `client` and into `caches`.
    pub fn new(client: Client, caches: Caches) -> Self {
        Self {
            turns: Turns::new(client),
            caches,
        }
    }

    /// Waits for the right to send one write. Take the turn before planning, so that the plan uses the state at the
    /// time of the write.
    pub async fn turn(&self) -> Turn {
        self.turns.next().await
    }

    async fn create<K: Kind>(&self, object: &K) -> Result<Created<K>, ReconcileError> {
        let key = object.key();
        let turn = self.turn().await;
        let answer = api(turn.client(), &key)
            .create(&PostParams::default(), object)
            .await;
        match answer {
            Ok(made) => Ok(Created::New(self.take_in(made))),
            Err(error) if status_code(&error) == Some(409) => Ok(Created::Exists),
            Err(source) => Err(ReconcileError::Api {
                act: "creating",
                kind: K::NAME,
                key,
                source,
            }),
        }
    }

    /// Patches the object that was read. The API server answers with a conflict if the object has changed since.
    async fn patch<K: Kind>(
        &self,
        read: &K,
        act: &'static str,
        body: Value,
        subresource: bool,
    ) -> Result<Arc<K>, ReconcileError> {
        let turn = self.turn().await;
        self.patch_in(turn, read, act, body, subresource).await
    }

    async fn patch_in<K: Kind>(
        &self,
        turn: Turn,
        read: &K,
        act: &'static str,
        mut body: Value,
        subresource: bool,
    ) -> Result<Arc<K>, ReconcileError> {
        let key = read.key();
        body["metadata"]["resourceVersion"] = json!(read.resource_version());
        body["metadata"]["uid"] = json!(read.uid());
        let api: Api<K> = api(turn.client(), &key);
        let (params, patch) = (PatchParams::default(), Patch::Merge(&body));
        let answer = match subresource {
            true => api.patch_status(key.name(), &params, &patch).await,
            false => api.patch(key.name(), &params, &patch).await,
        };
        match answer {
            Ok(written) => Ok(self.take_in(written)),
            Err(source) => Err(ReconcileError::Api {
                act,
                kind: K::NAME,
                key,
                source,
            }),
        }
    }

    async fn delete<K: Kind>(&self, read: &K) -> Result<(), ReconcileError> {
        let key = read.key();
        let preconditions = Preconditions {
            uid: read.uid(),
            resource_version: read.resource_version(),
        };
        let params = DeleteParams {
            preconditions: Some(preconditions),
            ..DeleteParams::default()
        };
        let turn = self.turn().await;
        match api::<K>(turn.client(), &key).delete(key.name(), &params).await {
            Ok(answer) => {
                // The answer for an object with finalizers is the object, which is being deleted now.
                if let Some(object) = answer.left().filter(|o| o.meta().deletion_timestamp.is_some()) {
                    self.take_in(object);
                }
                Ok(())
            }
            Err(error) if status_code(&error) == Some(404) => Ok(()),
            Err(source) => Err(ReconcileError::Api {
                act: "deleting",
                kind: K::NAME,
                key,
                source,
            }),
        }
    }

    /// Removes finalizers. An object that is being deleted is gone after this write.
    async fn drop_finalizers<K: Kind>(&self, read: &K, drop: &[&str]) -> Result<(), ReconcileError> {
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

    fn take_in<K: Kind>(&self, mut object: K) -> Arc<K> {
        object.meta_mut().managed_fields = None;
        K::cache(&self.caches).apply(object, true)
    }
}
