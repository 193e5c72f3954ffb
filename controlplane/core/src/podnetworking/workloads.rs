//! Workloads that a Fixed PodNetworking selects and cannot serve, because their pods do not keep their names.

use std::fmt;

use k8s_openapi::api::core::v1::ObjectReference;
use terway_crds::PodNetworking;

use crate::pod::PodFacts;

/// A workload by kind, namespace and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Workload {
    pub kind: String,
    pub api_version: String,
    pub namespace: String,
    pub name: String,
    /// May be empty.
    pub uid: String,
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

impl Workload {
    /// A reference for an event.
    pub fn reference(&self) -> ObjectReference {
        ObjectReference {
            api_version: Some(self.api_version.clone()),
            kind: Some(self.kind.clone()),
            namespace: Some(self.namespace.clone()),
            name: Some(self.name.clone()),
            uid: Some(self.uid.clone()).filter(|uid| !uid.is_empty()),
            ..ObjectReference::default()
        }
    }
}

/// Whether a PodNetworking can pass workloads over.
pub fn counts_workloads(networking: &PodNetworking) -> bool {
    networking.spec.allocation_type.is_fixed() && !networking.spec.selector.is_empty()
}

/// Whether a Fixed PodNetworking that selects this pod would pass the pod over.
pub fn may_be_passed_over(pod: &PodFacts) -> bool {
    !pod.fixed_name && !pod.wants_pod_eni && !pod.host_network && !pod.ignored && !pod.exited && !pod.deleting
}
