//! Writes of objects that are not ours: Kubernetes nodes and pods.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Map, Value, json};
use terway_core::node::{NodeFacts, Publication, Sufficiency};
use terway_crds::names::{annotation, condition};

use super::Writer;
use crate::error::{ReconcileError, status_code};
use crate::runtime::Key;

impl Writer {
    /// Writes annotations, extended resources and the condition SufficientIP of a Kubernetes node in one write. Only
    /// this product writes these fields, so the write needs no version. Annotations can be written through
    /// `nodes/status`, as the kubelet does.
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
        let turn = self.turn().await;
        let api: Api<Node> = Api::all(turn.client());
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
        let turn = self.turn().await;
        let api: Api<Pod> = Api::namespaced(turn.client(), key.namespace().unwrap_or_default());
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

    /// Whether a Kubernetes node certainly does not exist. This reads from the API server, not from the cache.
    pub async fn node_is_gone(&self, name: &str) -> Result<bool, ReconcileError> {
        let api: Api<Node> = Api::all(self.turns.for_reading());
        let found = api.get_metadata_opt(name).await;
        found
            .map(|node| node.is_none())
            .map_err(|source| node_error("reading", name, source))
    }
}

fn sufficiency_condition(sufficiency: Sufficiency, now: Timestamp) -> Value {
    let (status, reason, message) = match sufficiency.holds {
        true => ("True", condition::SUFFICIENT_IP, "node has sufficient IP"),
        false => ("False", condition::INSUFFICIENT_IP, "node has insufficient IP"),
    };
    // This field has whole seconds (`metav1.Time`).
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
