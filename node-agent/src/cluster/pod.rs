//! The part of a pod that matters here. Only metadata is watched, so specs and statuses of pods are
//! neither sent nor decoded.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use terway_crds::names::{annotation, label};

use super::PodKey;

/// A pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodView {
    /// Namespace and name.
    pub key: PodKey,
    /// UID.
    pub uid: String,
    /// Whether it is to have ENIs of its own.
    pub wants_eni: bool,
    /// Whether its label tells Terway to leave it alone.
    pub ignored: bool,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// Whether an annotation limits what it sends.
    pub shaped: bool,
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
        PodView {
            key: PodKey {
                namespace: text(&meta.namespace),
                name: text(&meta.name),
            },
            uid: text(&meta.uid),
            wants_eni: is_true(&meta.annotations, annotation::POD_ENI),
            ignored: is_true(&meta.labels, label::IGNORE),
            deleting: meta.deletion_timestamp.is_some(),
            shaped: meta
                .annotations
                .as_ref()
                .is_some_and(|all| all.contains_key(annotation::EGRESS_BANDWIDTH)),
        }
    }
}
