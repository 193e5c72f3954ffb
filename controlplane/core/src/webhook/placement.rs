//! Zones. A pod must be scheduled in a zone in which its network has a vSwitch, and a Fixed pod in the zone of its ENI.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{NodeSelectorTerm, PodSpec};
use serde_json::{Value, json};
use terway_crds::names::label;

use super::patch::PatchOperation;

/// The node selector requirements for the zone of an existing ENI, or for the zones of the vSwitches.
///
/// If the ENI exists, its zone decides. The PodNetworking may have lost this zone since then, and its other zones would
/// make the pod unschedulable.
pub(super) fn requirements(previous: Option<&str>, zones: &BTreeSet<String>) -> Vec<Value> {
    let within = |zones: Value| json!({ "key": label::ZONE, "operator": "In", "values": zones });
    let mut out = Vec::new();
    if let Some(zone) = previous {
        out.push(within(json!([zone])));
    }
    if !zones.is_empty() && previous.is_none_or(|zone| zones.contains(zone)) {
        out.push(within(json!(zones)));
    }
    out
}

/// Adds the requirements to every term of the required node affinity, because terms are alternatives (Kubernetes
/// documentation, "Assigning Pods to Nodes").
pub(super) fn restrict(spec: &PodSpec, requirements: &[Value]) -> Vec<PatchOperation> {
    if requirements.is_empty() {
        return Vec::new();
    }
    const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
    let required = json!({ "nodeSelectorTerms": [{ "matchExpressions": requirements }] });
    let Some(affinity) = &spec.affinity else {
        return vec![PatchOperation::add(
            ["spec", "affinity"],
            json!({ "nodeAffinity": { REQUIRED: required } }),
        )];
    };
    let Some(node) = &affinity.node_affinity else {
        return vec![PatchOperation::add(
            ["spec", "affinity", "nodeAffinity"],
            json!({ REQUIRED: required }),
        )];
    };
    let path = ["spec", "affinity", "nodeAffinity", REQUIRED];
    match &node.required_during_scheduling_ignored_during_execution {
        Some(selector) if !selector.node_selector_terms.is_empty() => {
            let terms = selector.node_selector_terms.iter().enumerate();
            terms
                .flat_map(|(index, term)| extend(&path, index, term, requirements))
                .collect()
        }
        _ => vec![PatchOperation::add(path, required)],
    }
}

fn extend(
    path: &[&str],
    index: usize,
    term: &NodeSelectorTerm,
    requirements: &[Value],
) -> Vec<PatchOperation> {
    let expressions = term.match_expressions.as_ref().filter(|list| !list.is_empty());
    let fields = term.match_fields.as_ref().filter(|list| !list.is_empty());
    if expressions.is_none() && fields.is_none() {
        // An empty term selects no node. A requirement would make it select nodes.
        return Vec::new();
    }
    let index = index.to_string();
    let parent = || {
        path.iter()
            .copied()
            .chain(["nodeSelectorTerms", &index, "matchExpressions"])
    };
    if expressions.is_none() {
        return vec![PatchOperation::add(parent(), json!(requirements))];
    }
    requirements
        .iter()
        .map(|one| PatchOperation::add(parent().chain(["-"]), one.clone()))
        .collect()
}
