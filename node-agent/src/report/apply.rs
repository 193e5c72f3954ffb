//! Reads sandboxes and records, and writes the NodeRuntime when it differs.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::PostParams;
use kube::{Api, Client};
use terway_crds::names::label;
use terway_crds::{NodeRuntime, NodeRuntimeSpec, NodeRuntimeStatus};

use super::plan::{Observed, Records, plan};
use crate::cluster::ClusterView;
use crate::kernel::KernelError;
use crate::server::{Agent, key};

/// Why nothing was reported.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The kernel could not be read. A failed read never counts as "no sandboxes".
    #[error("the sandboxes of this node could not be listed")]
    Observe(#[source] KernelError),
    /// The API server refused a request or did not answer.
    #[error("NodeRuntime {node} could not be {act}")]
    Api {
        /// Name of the NodeRuntime, which is the node's name.
        node: String,
        /// The request, as a participle: read, created, written.
        act: &'static str,
        /// The client's error.
        #[source]
        source: Box<kube::Error>,
    },
}

/// How long a pod must be missing before it is reported as ended. A watch lags behind for less than this.
const MISSING_FOR: SignedDuration = SignedDuration::from_secs(30);

/// Remembers since when pods are missing. A pod is missing when something refers to it, but it has neither a sandbox
/// nor an entry in the watch.
#[derive(Default)]
pub struct Reporter {
    missing: BTreeMap<String, Timestamp>,
}

impl Reporter {
    /// Brings the NodeRuntime up to date and returns whether it was written.
    pub async fn report(
        &mut self,
        agent: &Agent,
        client: &Client,
        node: &str,
        now: Timestamp,
    ) -> Result<bool, ReportError> {
        let api: Api<NodeRuntime> = Api::all(client.clone());
        let failed = |act| {
            move |source| ReportError::Api {
                node: node.to_owned(),
                act,
                source: Box::new(source),
            }
        };
        // Read before the sandboxes are listed, so that a newer sandbox of the same pod counts as alive.
        let removed = agent.memory.ended();
        let sandboxes = agent.kernel.sandboxes().await.map_err(ReportError::Observe)?;
        let watched = agent.cluster.read(|state| state.runtime().cloned());
        let records = |object: &NodeRuntime| object.status.clone().unwrap_or_default().pods;

        let known = watched.as_ref().map(records).unwrap_or_default();
        let alive = alive(agent, &sandboxes, &known);
        let mut observed = agent.cluster.read(|state| Observed {
            ended: self.ended(state, &alive, now),
            referenced: referenced(state),
            alive,
        });
        let names = removed.iter().map(|(uid, pod)| (uid.clone(), pod.to_string()));
        observed
            .ended
            .extend(names.filter(|(uid, _)| observed.referenced.contains(uid)));
        let reported = || agent.memory.reported(&removed);
        if plan(&known, &observed, now).is_none() {
            reported();
            return Ok(false);
        }
        // The watch may be behind this agent's own last write. So the plan is made again for a fresh object and written
        // with the version of that object: two writers cannot undo each other's records.
        let mut object = match api.get_opt(node).await.map_err(failed("read"))? {
            Some(object) => object,
            None => {
                let fresh = new_object(agent, node);
                api.create(&PostParams::default(), &fresh)
                    .await
                    .map_err(failed("created"))?
            }
        };
        let pods = plan(&records(&object), &observed, now);
        let written = pods.is_some();
        if let Some(pods) = pods {
            object.status = Some(NodeRuntimeStatus { pods });
            api.replace_status(node, &PostParams::default(), &object)
                .await
                .map_err(failed("written"))?;
        }
        reported();
        Ok(written)
    }

    /// Time until the next missing pod is reported as ended; `None` when no pod is missing.
    pub fn due(&self, now: Timestamp) -> Option<Duration> {
        let left = |since: &Timestamp| MISSING_FOR - now.duration_since(*since);
        let waits = self
            .missing
            .values()
            .map(left)
            .filter(SignedDuration::is_positive);
        Duration::try_from(waits.min()?).ok()
    }

    /// Pods that something refers to and that have surely ended.
    fn ended(
        &mut self,
        state: &ClusterView,
        alive: &BTreeMap<String, String>,
        now: Timestamp,
    ) -> BTreeMap<String, String> {
        let by_pod_eni = state
            .pod_enis
            .values()
            .map(|pod_eni| (pod_eni.pod_uid.clone(), pod_eni.key.to_string()));
        let shared = state.node().into_iter().flat_map(|node| &node.shared);
        let by_address = shared.map(|(uid, pod)| (uid.clone(), pod.pod_id.clone()));
        let missing = by_pod_eni.chain(by_address).filter(|(uid, _)| {
            !uid.is_empty() && !alive.contains_key(uid) && state.pod_with_uid(uid).is_none()
        });
        let missing: BTreeMap<String, String> = missing.collect();
        self.missing.retain(|uid, _| missing.contains_key(uid));
        let mut since = |uid: &String| *self.missing.entry(uid.clone()).or_insert(now);
        missing
            .into_iter()
            .filter(|(uid, _)| now.duration_since(since(uid)) >= MISSING_FOR)
            .collect()
    }
}

/// The pods that have a sandbox. A sandbox whose pod's name is unknown is left out; the reconciler is about to remove
/// it.
fn alive(agent: &Agent, sandboxes: &[crate::datapath::Sandbox], known: &Records) -> BTreeMap<String, String> {
    let made = agent.memory.made();
    agent.cluster.read(|state| {
        let name = |sandbox: &crate::datapath::Sandbox| {
            let uid = &sandbox.pod_uid;
            let watched = state.pod_with_uid(uid).map(|pod| pod.key.to_string());
            let by_record = || state.name_of(uid).map(|pod| pod.to_string());
            let made = || {
                made.get(&key(sandbox))
                    .map(|made| format!("{}/{}", made.namespace, made.pod_name))
            };
            let recorded = || known.get(uid).map(|record| record.pod_id.clone());
            watched.or_else(by_record).or_else(made).or_else(recorded)
        };
        sandboxes
            .iter()
            .filter_map(|sandbox| Some((sandbox.pod_uid.clone(), name(sandbox)?)))
            .collect()
    })
}

/// The UIDs that something still refers to.
fn referenced(state: &ClusterView) -> BTreeSet<String> {
    let pod_enis = state.pod_enis.values().map(|pod_eni| pod_eni.pod_uid.clone());
    let pods = state.pods.values().map(|pod| pod.uid.clone());
    let bound = state
        .node()
        .into_iter()
        .flat_map(|node| node.shared.keys().cloned());
    pod_enis.chain(pods).chain(bound).collect()
}

fn new_object(agent: &Agent, node: &str) -> NodeRuntime {
    let mut object = NodeRuntime::new(node, NodeRuntimeSpec::default());
    object.metadata.labels = Some(BTreeMap::from([(label::NODE_NAME.to_owned(), node.to_owned())]));
    // The garbage collector deletes the NodeRuntime with its node.
    object.metadata.owner_references = agent.cluster.read(|state| {
        let uid = state
            .node()
            .map(|node| node.uid.clone())
            .filter(|uid| !uid.is_empty())?;
        Some(vec![OwnerReference {
            api_version: terway_crds::names::API_VERSION.to_owned(),
            kind: "Node".to_owned(),
            name: node.to_owned(),
            uid,
            ..Default::default()
        }])
    });
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_look_is_when_the_first_missing_pod_is_due_and_not_for_one_already_told() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let missing = |ages: &[i64]| Reporter {
            missing: ages
                .iter()
                .map(|age| (age.to_string(), now - SignedDuration::from_secs(*age)))
                .collect(),
        };
        assert_eq!(missing(&[]).due(now), None);
        assert_eq!(missing(&[5, 20, 30, 300]).due(now), Some(Duration::from_secs(10)));
        assert_eq!(missing(&[30]).due(now), None);
    }
}
