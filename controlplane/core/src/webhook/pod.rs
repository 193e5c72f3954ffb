//! The review of a new pod: find its networks, check them, write them into the pod.

use std::borrow::Borrow;
use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Pod, PodSpec};
use serde_json::{Map, Value, json};
use terway_crds::names::annotation;
use terway_crds::{PodEni, PodNetwork, PodNetworking, PodNetworks};

use super::networks::Asked;
use super::patch::PatchOperation;
use super::{Denial, PassedOver, matching, networks, placement, resources};
use crate::carrier::Carrier;
use crate::eni_config::{ConfigProblem, EniConfig};
use crate::meta::controlling_owner;
use crate::pod::PodFacts;

/// Settings of the cluster that the review follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodSettings {
    /// Whether members of the trunk are the default.
    pub enable_trunk: bool,
    /// Whether the extended resources are written into the pod.
    pub inject_resources: bool,
    /// Whether every pod gets an ENI of its own (deprecated).
    pub every_pod: bool,
    /// Owner kinds whose pods keep their names, in addition to StatefulSet.
    pub stateful_kinds: Vec<String>,
}

/// The inputs of the review.
#[derive(Debug, Clone, Copy)]
pub struct PodReview<'a, N> {
    pub pod: &'a Pod,
    pub namespace_labels: &'a BTreeMap<String, String>,
    pub networkings: &'a [N],
    /// The PodENI with the pod's namespace and name, if there is one.
    pub previous: Option<&'a PodEni>,
    /// The cluster's eni-config, which names vSwitches and security groups for networks that name none.
    /// `None` where no eni-config exists. A problem matters only to a pod that needs one of the defaults.
    pub defaults: Result<Option<&'a EniConfig>, &'a ConfigProblem>,
    pub settings: &'a PodSettings,
}

/// The result of the review.
#[derive(Debug, Clone, PartialEq)]
pub enum PodVerdict {
    /// Nothing is written into the pod.
    Untouched {
        reason: Untouched,
        passed_over: Vec<PassedOver>,
    },
    /// The networks are written into the pod.
    Mutated(PodMutation),
    /// The pod is refused.
    Denied(Denial),
}

/// Why nothing is written into a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Untouched {
    HostNetwork,
    NoContainers,
    LabelledToBeIgnored,
    /// The pod gets an address of a shared ENI.
    NoNetworkSelectsIt,
}

/// The changes of a pod.
#[derive(Debug, Clone, PartialEq)]
pub struct PodMutation {
    pub networks: Vec<PodNetwork>,
    pub patch: Vec<PatchOperation>,
    /// PodNetworkings that select the pod and are not used for it. The pod's author gets a warning.
    pub passed_over: Vec<PassedOver>,
}

/// Reviews a new pod.
pub fn review<N: Borrow<PodNetworking>>(input: &PodReview<'_, N>) -> PodVerdict {
    let untouched = |reason| PodVerdict::Untouched {
        reason,
        passed_over: Vec::new(),
    };
    let facts = PodFacts::from_pod(input.pod, &input.settings.stateful_kinds);
    let Some(spec) = input.pod.spec.as_ref().filter(|spec| !spec.containers.is_empty()) else {
        return untouched(Untouched::NoContainers);
    };
    if facts.host_network {
        return untouched(Untouched::HostNetwork);
    }
    if facts.ignored {
        return untouched(Untouched::LabelledToBeIgnored);
    }
    match find(input, &facts) {
        Err(refusal) => PodVerdict::Denied(refusal),
        Ok(Found {
            asked: None,
            passed_over,
            ..
        }) => PodVerdict::Untouched {
            reason: Untouched::NoNetworkSelectsIt,
            passed_over,
        },
        Ok(Found {
            asked: Some(mut asked),
            networking,
            passed_over,
        }) => {
            let owner = (!facts.fixed_name).then(|| owner_kind(input.pod));
            let networks = &mut asked.networks;
            let complete = networks::complete(networks, input.defaults, owner.as_deref());
            let carrier = complete.and_then(|()| networks::carrier(networks, input.settings.enable_trunk));
            match carrier {
                Err(refusal) => PodVerdict::Denied(refusal),
                Ok(carrier) => {
                    let patch = write(input, spec, &asked, carrier, networking);
                    PodVerdict::Mutated(PodMutation {
                        networks: asked.networks,
                        patch,
                        passed_over,
                    })
                }
            }
        }
    }
}

/// The networks of a pod and their source.
struct Found<'a> {
    asked: Option<Asked>,
    /// The PodNetworking whose selector chose the pod.
    networking: Option<&'a str>,
    passed_over: Vec<PassedOver>,
}

fn find<'a, N: Borrow<PodNetworking>>(
    input: &PodReview<'a, N>,
    facts: &PodFacts,
) -> Result<Found<'a>, Denial> {
    let annotations = input.pod.metadata.annotations.as_ref();
    let value = |name: &str| annotations.and_then(|all| all.get(name)).map(String::as_str);
    let exclusive = [
        annotation::POD_NETWORKS,
        annotation::POD_NETWORKS_REQUEST,
        annotation::POD_NETWORKING,
    ];
    let present: Vec<&'static str> = exclusive
        .into_iter()
        .filter(|name| value(name).is_some())
        .collect();
    if present.len() > 1 {
        return Err(Denial::ConflictingAnnotations(present));
    }
    let found = |asked| Found {
        asked,
        networking: None,
        passed_over: Vec::new(),
    };
    if let Some(text) = value(annotation::POD_NETWORKS) {
        return networks::written(text).map(|asked| found(Some(asked)));
    }
    if let Some(text) = value(annotation::POD_NETWORKS_REQUEST) {
        return networks::requested(text, input.networkings).map(|asked| found(Some(asked)));
    }
    let none = BTreeMap::new();
    let labels = input.pod.metadata.labels.as_ref().unwrap_or(&none);
    let selection = matching::select(
        input.networkings,
        labels,
        input.namespace_labels,
        facts.fixed_name,
    );
    let passed_over = selection.passed_over;
    Ok(match selection.networking {
        Some(networking) => Found {
            asked: Some(networks::selected(networking)),
            networking: networking.metadata.name.as_deref(),
            passed_over,
        },
        None if input.settings.every_pod || facts.wants_pod_eni => Found {
            asked: Some(networks::plain()),
            networking: None,
            passed_over,
        },
        None => Found {
            asked: None,
            networking: None,
            passed_over,
        },
    })
}

fn write<N>(
    input: &PodReview<'_, N>,
    spec: &PodSpec,
    asked: &Asked,
    carrier: Carrier,
    networking: Option<&str>,
) -> Vec<PatchOperation> {
    let mut patch = annotate(input.pod, &asked.networks, networking);
    let resource = resources::resource_of(carrier).filter(|_| input.settings.inject_resources);
    if let (Some(container), Some(resource)) = (spec.containers.first(), resource) {
        patch.extend(resources::inject(container, resource, asked.networks.len()));
    }
    // A DaemonSet's pod is bound to its node already.
    if owner_kind(input.pod) != "DaemonSet" {
        let requirements =
            placement::requirements(previous_zone(input.previous, &asked.networks), &asked.zones);
        patch.extend(placement::restrict(spec, &requirements));
    }
    patch
}

/// The zone of the existing ENI of a Fixed network.
fn previous_zone<'a>(previous: Option<&'a PodEni>, networks: &[PodNetwork]) -> Option<&'a str> {
    let fixed = networks
        .iter()
        .any(|n| n.allocation_type.as_ref().is_some_and(|a| a.is_fixed()));
    let previous = previous.filter(|old| {
        fixed && old.metadata.deletion_timestamp.is_none() && !old.spec.allocations.is_empty()
    })?;
    Some(previous.spec.zone.as_str()).filter(|zone| !zone.is_empty())
}

fn annotate(pod: &Pod, networks: &[PodNetwork], networking: Option<&str>) -> Vec<PatchOperation> {
    let whole = PodNetworks {
        pod_networks: networks.to_vec(),
    };
    // Writing strings, lists and flags as JSON cannot fail. The pod controller would refuse an empty annotation with a
    // reason.
    let text = serde_json::to_string(&whole).unwrap_or_default();
    let mut values = vec![
        (annotation::POD_ENI, json!("true")),
        (annotation::POD_NETWORKS, json!(text)),
    ];
    values.extend(networking.map(|name| (annotation::POD_NETWORKING, json!(name))));
    if pod.metadata.annotations.is_none() {
        let all: Map<String, Value> = values
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect();
        return vec![PatchOperation::add(
            ["metadata", "annotations"],
            Value::Object(all),
        )];
    }
    values
        .into_iter()
        .map(|(key, value)| PatchOperation::add(["metadata", "annotations", key], value))
        .collect()
}

fn owner_kind(pod: &Pod) -> String {
    controlling_owner(&pod.metadata).map_or_else(String::new, |owner| owner.kind.clone())
}

#[cfg(test)]
mod tests;
