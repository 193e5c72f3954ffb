//! Which pod a sandbox is for.

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

/// How long to wait before the API server is asked again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How long one answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Reads pods from the API server, past the watch.
#[async_trait]
pub trait PodReader: Send + Sync {
    /// The pod of this name; none when there is none.
    async fn get(&self, key: &PodKey) -> Result<Option<PodView>, KernelError>;

    /// The UIDs of all pods of this node, as of now.
    async fn uids(&self) -> Result<BTreeSet<String>, KernelError>;
}

/// The real one.
pub struct ApiPods {
    /// Asked.
    pub client: Client,
    /// Whose pods are listed.
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
        // Without a resourceVersion the API server answers from etcd, not from a cache that may be behind.
        let here = ListParams::default().fields(&format!("spec.nodeName={}", self.node_name));
        let pods = tokio::time::timeout(ANSWER_WITHIN, api.list_metadata(&here)).await??;
        Ok(pods
            .items
            .into_iter()
            .filter_map(|pod| pod.metadata.uid)
            .collect())
    }
}

/// The pod that the runtime named. With a UID the watch's answer is good enough, because a pod never
/// changes its UID; without one only the API server knows whether a pod of that name has been replaced.
/// Does not return while the API server does not answer: the caller has the deadline.
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
