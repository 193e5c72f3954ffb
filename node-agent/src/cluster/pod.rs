//! The agent's view of a pod. The agent watches metadata only, so the API server does not send specs and statuses of
//! pods.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use terway_crds::names::{annotation, label};

use super::PodKey;

/// A pod that is scheduled to this node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodView {
    /// Namespace and name.
    pub key: PodKey,
    /// UID.
    pub uid: String,
    /// Whether the pod gets ENIs of its own.
    pub wants_eni: bool,
    /// Whether the pod's label excludes it from Terway.
    pub ignored: bool,
    /// Whether the pod is being deleted.
    pub deleting: bool,
    /// Whether an annotation limits the rate at which the pod sends.
    pub shaped: bool,
    /// Whether an annotation limits the rate at which the pod receives.
    pub receives_limited: bool,
}

impl PodView {
    /// The view of a pod's metadata.
    pub fn new(meta: &ObjectMeta) -> Self {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let is_true = |map: &Option<std::collections::BTreeMap<String, String>>, key: &str| {
            map.as_ref()
                .and_then(|map| map.get(key))
                .is_some_and(|value| value == "true")
        };
        let has = |key: &str| meta.annotations.as_ref().is_some_and(|all| all.contains_key(key));
        PodView {
            key: PodKey {
                namespace: text(&meta.namespace),
                name: text(&meta.name),
            },
            uid: text(&meta.uid),
            wants_eni: is_true(&meta.annotations, annotation::POD_ENI),
            ignored: is_true(&meta.labels, label::IGNORE),
            deleting: meta.deletion_timestamp.is_some(),
            shaped: has(annotation::EGRESS_BANDWIDTH),
            receives_limited: has(annotation::INGRESS_BANDWIDTH),
        }
    }
}
