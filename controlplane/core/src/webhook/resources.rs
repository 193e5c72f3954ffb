//! Extended resources. The scheduler counts ENIs only if a container requests them.

use k8s_openapi::api::core::v1::Container;
use serde_json::{Map, Value, json};
use terway_crds::names::resource;

use super::patch::PatchOperation;
use crate::carrier::Carrier;

/// The resource that a carrier takes from the pod's node. A shared ENI takes none.
pub(super) fn resource_of(carrier: Carrier) -> Option<&'static str> {
    match carrier {
        Carrier::TrunkMember => Some(resource::MEMBER_ENI),
        Carrier::WholeNic => Some(resource::ENI),
        Carrier::SharedNic => None,
    }
}

/// Requests `count` of a resource in the first container. Request and limit of an extended resource must be equal
/// (Kubernetes documentation, "Resource Management for Pods and Containers", extended resources).
pub(super) fn inject(container: &Container, name: &str, count: usize) -> Vec<PatchOperation> {
    let amount = json!(count.to_string());
    let only = || Value::Object(Map::from_iter([(name.to_owned(), amount.clone())]));
    let base = ["spec", "containers", "0", "resources"];
    let Some(resources) = &container.resources else {
        return vec![PatchOperation::add(
            base,
            json!({ "requests": only(), "limits": only() }),
        )];
    };
    [
        ("requests", resources.requests.is_some()),
        ("limits", resources.limits.is_some()),
    ]
    .into_iter()
    .map(|(field, present)| {
        let parent = base.into_iter().chain([field]);
        if present {
            PatchOperation::add(parent.chain([name]), amount.clone())
        } else {
            PatchOperation::add(parent, only())
        }
    })
    .collect()
}
