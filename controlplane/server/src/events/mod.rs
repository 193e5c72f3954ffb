//! The control plane's events: which ones are written, and their objects.

use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Resource;
use terway_core::node::NodeFacts;
use terway_core::pod::PodFacts;
pub use terway_process::events::{EventContent, Events, Severity};
use terway_process::events::{Limits, Repeated};

/// Each cause is told once, at its transition. The API server forgets an event after an hour, and a cause that was
/// silent for so long is a new one.
pub const LIMITS: Limits = Limits {
    queue: 4096,
    repeated: Repeated::UntilSilent(Duration::from_secs(3600)),
    rate: None,
};

/// News that a planner decided on.
pub fn planned(news: terway_core::news::News) -> EventContent {
    use terway_core::news::Severity as Planned;
    EventContent {
        severity: match news.severity {
            Planned::Normal => Severity::Normal,
            Planned::Warning => Severity::Warning,
        },
        reason: news.reason,
        action: news.action,
        note: news.note,
    }
}

/// Reference to a pod.
pub fn pod_reference(pod: &PodFacts) -> ObjectReference {
    ObjectReference {
        api_version: Some("v1".into()),
        kind: Some("Pod".into()),
        namespace: Some(pod.namespace.clone()),
        name: Some(pod.name.clone()),
        uid: Some(pod.uid.clone()),
        ..ObjectReference::default()
    }
}

/// Reference to a Kubernetes node.
pub fn node_reference(node: &NodeFacts) -> ObjectReference {
    ObjectReference {
        api_version: Some("v1".into()),
        kind: Some("Node".into()),
        name: Some(node.name.clone()),
        uid: Some(node.uid.clone()),
        ..ObjectReference::default()
    }
}

/// Reference to one of our own objects.
pub fn reference<K: Resource<DynamicType = ()>>(object: &K) -> ObjectReference {
    object.object_ref(&())
}
