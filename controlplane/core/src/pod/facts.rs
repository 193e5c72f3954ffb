//! The facts about a pod that the controllers need.

use std::collections::BTreeMap;
use std::net::IpAddr;

use k8s_openapi::api::core::v1::Pod;
use terway_crds::names::{annotation, label};

use crate::meta::version;

/// A trimmed pod. It is small, because a cluster has up to a hundred thousand pods.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PodFacts {
    pub namespace: String,
    pub name: String,
    pub uid: String,
    /// resourceVersion.
    pub version: u64,
    /// Name of the node; empty until the pod is scheduled.
    pub node: String,
    pub host_network: bool,
    /// Whether a label excludes the pod from Terway.
    pub ignored: bool,
    /// Whether the phase is Succeeded or Failed, so that the containers have ended.
    pub exited: bool,
    pub deleting: bool,
    /// Whether the pod is scheduled and has no address yet.
    pub waits_for_ip: bool,
    /// The first of the pod's addresses (`status.podIP`).
    pub address: Option<IpAddr>,
    /// The annotation with the pod's addresses.
    pub noted_addresses: Option<String>,
    /// Whether the pod asks for ENIs of its own.
    pub wants_pod_eni: bool,
    /// The annotation with the networks in full; kept only for pods that want ENIs.
    pub networks: Option<String>,
    /// The annotation with the name of the PodNetworking.
    pub pod_networking: Option<String>,
    /// The annotation with the times of the webhook's review.
    pub admitted: Option<String>,
    /// The labels of a pod without networks, until it has an address. A PodNetworking may select the pod although no
    /// webhook saw it. They are not kept for longer, because a cluster has a hundred thousand pods.
    pub labels: Option<BTreeMap<String, String>>,
    /// Whether the name outlives the pod, so that a Fixed allocation is possible.
    pub fixed_name: bool,
}

impl PodFacts {
    /// Trims a pod. `stateful_kinds` are owner kinds whose pods keep their names.
    pub fn from_pod(pod: &Pod, stateful_kinds: &[String]) -> Self {
        let meta = &pod.metadata;
        let spec = pod.spec.as_ref();
        let status = pod.status.as_ref();
        let label = |name: &str| meta.labels.as_ref().and_then(|l| l.get(name));
        let annotation = |name: &str| meta.annotations.as_ref().and_then(|a| a.get(name));
        let wants = annotation(annotation::POD_ENI).is_some_and(|value| value == "true");
        let phase = status.and_then(|s| s.phase.as_deref()).unwrap_or_default();
        let node = spec.and_then(|s| s.node_name.clone()).unwrap_or_default();
        let owners = meta.owner_references.as_deref().unwrap_or_default();
        let has_address = status.is_some_and(|s| s.pod_ip.as_deref().is_some_and(|ip| !ip.is_empty()));
        let stateful = |kind: &str| kind == "StatefulSet" || stateful_kinds.iter().any(|k| k == kind);
        Self {
            namespace: meta.namespace.clone().unwrap_or_default(),
            name: meta.name.clone().unwrap_or_default(),
            uid: meta.uid.clone().unwrap_or_default(),
            version: version(meta.resource_version.as_deref()),
            waits_for_ip: !node.is_empty() && !has_address,
            address: status
                .and_then(|s| s.pod_ip.as_deref())
                .and_then(|ip| ip.parse().ok()),
            noted_addresses: annotation(annotation::POD_IPS).cloned(),
            node,
            host_network: spec.and_then(|s| s.host_network).unwrap_or(false),
            ignored: label(label::IGNORE).is_some_and(|value| value == "true"),
            exited: matches!(phase, "Succeeded" | "Failed"),
            deleting: meta.deletion_timestamp.is_some(),
            wants_pod_eni: wants,
            networks: wants
                .then(|| annotation(annotation::POD_NETWORKS).cloned())
                .flatten(),
            pod_networking: wants
                .then(|| annotation(annotation::POD_NETWORKING).cloned())
                .flatten(),
            admitted: wants.then(|| annotation(annotation::ADMITTED).cloned()).flatten(),
            labels: (!wants && !has_address).then(|| meta.labels.clone().unwrap_or_default()),
            fixed_name: owners.is_empty() || owners.iter().any(|owner| stateful(&owner.kind)),
        }
    }

    /// Whether the pod needs an address of its node's shared ENIs: its containers run or will run, and it has no ENI of
    /// its own.
    pub fn needs_shared_address(&self) -> bool {
        !self.wants_pod_eni && !self.host_network && !self.ignored && !self.exited && !self.node.is_empty()
    }

    /// Whether the pod needs ENIs of its own now: its containers run or will run.
    pub fn needs_pod_eni(&self) -> bool {
        self.wants_pod_eni && !self.host_network && !self.ignored && !self.exited
    }
}
