//! Finds the pod of a sandbox.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, PartialObjectMeta};
use kube::{Api, Client};
use terway_cni_protocol::PodRef;
use tracing::warn;

use super::Agent;
use crate::binding::Refusal;
use crate::cluster::{PodKey, PodView};
use crate::kernel::KernelError;

/// Time between a failed read and the next.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How long the API server may take for one answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Reads pods from the API server itself, not from the watch.
#[async_trait]
pub trait PodReader: Send + Sync {
    /// Reads one pod; `None` when no pod has this name.
    async fn get(&self, key: &PodKey) -> Result<Option<PodView>, KernelError>;

    /// Reads the UIDs of all pods that are on this node now.
    async fn uids(&self) -> Result<BTreeSet<String>, KernelError>;
}

/// Reads by a Kubernetes client.
pub struct ApiPods {
    /// The client of the API server.
    pub client: Client,
    /// The node whose pods [`PodReader::uids`] lists.
    pub node_name: String,
}

#[async_trait]
impl PodReader for ApiPods {
    async fn get(&self, key: &PodKey) -> Result<Option<PodView>, KernelError> {
        let api: Api<PartialObjectMeta<Pod>> = Api::namespaced(self.client.clone(), &key.namespace);
        let found = tokio::time::timeout(ANSWER_WITHIN, api.get_opt(&key.name)).await??;
        Ok(found.map(|pod| PodView::new(&pod.metadata)))
    }

    async fn uids(&self) -> Result<BTreeSet<String>, KernelError> {
        let api: Api<Pod> = Api::all(self.client.clone());
        // A list without a resourceVersion is answered from etcd and not from a cache that may be behind (Kubernetes
        // API concepts, "Resource versions").
        let here = ListParams::default().fields(&format!("spec.nodeName={}", self.node_name));
        let pods = tokio::time::timeout(ANSWER_WITHIN, api.list_metadata(&here)).await??;
        Ok(pods
            .items
            .into_iter()
            .filter_map(|pod| pod.metadata.uid)
            .collect())
    }
}

/// Finds the pod that the runtime named. A pod never changes its UID, so for a request with a UID the watch is good
/// enough. For a request without a UID the API server is read, because a pod of the same name may have replaced the one
/// in the watch.
///
/// Repeats a read that fails, without an end: the caller has the deadline.
pub async fn find(agent: &Agent, wanted: &PodRef) -> Result<PodView, Refusal> {
    let key = PodKey::new(&wanted.namespace, &wanted.name);
    let is_it = |pod: &PodView| wanted.uid.as_ref().is_none_or(|uid| *uid == pod.uid);
    if wanted.uid.is_some()
        && let Some(pod) = agent
            .cluster
            .read(|state| state.pods.get(&key).filter(|pod| is_it(pod)).cloned())
    {
        return Ok(pod);
    }
    loop {
        match agent.pods.get(&key).await {
            Ok(Some(pod)) if is_it(&pod) => return Ok(pod),
            Ok(_) => {
                return Err(Refusal::PodGone {
                    pod: key,
                    uid: wanted.uid.clone(),
                });
            }
            Err(error) => warn!(pod = %key, error = error.as_ref(), "pod not read, trying again"),
        }
        tokio::time::sleep(RETRY_AFTER).await;
    }
}
