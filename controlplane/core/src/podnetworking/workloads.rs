//! Pods that a PodNetworking selects and that have no network of it: pods that no webhook saw, and pods of workloads
//! that a Fixed PodNetworking cannot serve, because they do not keep their names.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::api::core::v1::ObjectReference;
use kube_core::ResourceExt;
use terway_crds::PodNetworking;
use terway_crds::names::annotation;

use crate::pod::PodFacts;
use crate::webhook::{Reason, select};

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

/// Whether a pod lives and has no networks, and could have some.
pub fn lacks_networks(pod: &PodFacts) -> bool {
    !pod.wants_pod_eni && !pod.host_network && !pod.ignored && !pod.exited && !pod.deleting
}

/// Whether the webhook leaves the pods of a namespace with these labels alone (the chart's `namespaceSelector`).
pub fn is_excluded(namespace_labels: &BTreeMap<String, String>) -> bool {
    namespace_labels
        .get(annotation::POD_ENI)
        .is_some_and(|value| value == "false")
}

/// The names of the PodNetworkings that a pod without networks concerns: the one that it should have its network from,
/// and those that pass it over because its name is not kept.
pub fn concerned<N: Borrow<PodNetworking>>(
    networkings: &[N],
    pod_labels: &BTreeMap<String, String>,
    namespace_labels: &BTreeMap<String, String>,
    fixed_name: bool,
) -> Vec<String> {
    if is_excluded(namespace_labels) {
        return Vec::new();
    }
    let selection = select(networkings, pod_labels, namespace_labels, fixed_name);
    let chosen = selection.networking.map(|networking| networking.name_any());
    let passed = selection.passed_over.into_iter();
    let passed = passed.filter(|passed| passed.reason == Reason::NameNotKept);
    passed.map(|passed| passed.name).chain(chosen).collect()
}
