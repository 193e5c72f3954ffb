//! The review of a PodNetworking: defaults and refusals.

use std::time::Duration;

use kube_core::Selector;
use serde_json::json;
use terway_crds::{EniType, PodNetworking, PodNetworkingSpec};

use super::PatchOperation;
use super::allocation::{self, AllocationProblem};
use crate::carrier::{Carrier, NotServed};
use crate::cloud::MAX_SECURITY_GROUPS;
use crate::eni_config::EniConfig;

/// Settings of the cluster that the review follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodNetworkingRules {
    /// Smallest releaseAfter of a Fixed allocation.
    pub min_release_after: Duration,
    /// Whether the control plane writes the extended resources into pods.
    pub inject_resources: bool,
}

/// Why a PodNetworking is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PodNetworkingProblem {
    #[error(
        "spec.vSwitchOptions is empty: name at least one vSwitch, or set vswitches in the ConfigMap eni-config"
    )]
    NoVSwitch,
    #[error(
        "spec.securityGroupIDs is empty: name at least one security group, or set security_groups in the ConfigMap eni-config"
    )]
    NoSecurityGroup,
    #[error(
        "an ENI can be in at most {MAX_SECURITY_GROUPS} security groups, and spec.securityGroupIDs names {count}: shorten it"
    )]
    TooManySecurityGroups { count: usize },
    #[error("spec.{field} has an empty entry: remove it")]
    EmptyEntry { field: &'static str },
    #[error("spec.allocationType: {0}")]
    Allocation(AllocationProblem),
    #[error("spec.selector cannot be read ({problem}): use the operators In, NotIn, Exists and DoesNotExist")]
    BadSelector { problem: String },
    #[error(
        "spec.eniOptions.eniType {eni_type} needs a selector here: this cluster does not write ENI resources into pods (enableWebhookInjectResource), so set eniType to Default or add a selector"
    )]
    EniTypeWithoutSelector { eni_type: String },
    #[error("spec.eniOptions: {0}")]
    NotServed(NotServed),
}

/// Fills in the cluster's vSwitches and security groups where the PodNetworking names none.
pub fn fill(networking: &PodNetworking, defaults: Option<&EniConfig>) -> Vec<PatchOperation> {
    let Some(defaults) = defaults else {
        return Vec::new();
    };
    let (spec, mut patch) = (&networking.spec, Vec::new());
    let vswitches = defaults.all_vswitches();
    if spec.vswitch_options.is_empty() && !vswitches.is_empty() {
        patch.push(PatchOperation::add(["spec", "vSwitchOptions"], json!(vswitches)));
    }
    if spec.security_group_ids.is_empty() && !defaults.security_groups.is_empty() {
        patch.push(PatchOperation::add(
            ["spec", "securityGroupIDs"],
            json!(defaults.security_groups),
        ));
    }
    patch
}

/// All problems of a PodNetworking. On an update, problems of the stored object are ignored, so that a user can label
/// it, or correct it step by step.
pub fn validate(
    new: &PodNetworking,
    old: Option<&PodNetworking>,
    rules: &PodNetworkingRules,
) -> Vec<PodNetworkingProblem> {
    let known = old.map(|old| problems(&old.spec, rules)).unwrap_or_default();
    problems(&new.spec, rules)
        .into_iter()
        .filter(|problem| !known.contains(problem))
        .collect()
}

fn problems(spec: &PodNetworkingSpec, rules: &PodNetworkingRules) -> Vec<PodNetworkingProblem> {
    let mut found = Vec::new();
    if spec.vswitch_options.is_empty() {
        found.push(PodNetworkingProblem::NoVSwitch);
    }
    if spec.security_group_ids.is_empty() {
        found.push(PodNetworkingProblem::NoSecurityGroup);
    }
    if spec.security_group_ids.len() > MAX_SECURITY_GROUPS {
        found.push(PodNetworkingProblem::TooManySecurityGroups {
            count: spec.security_group_ids.len(),
        });
    }
    let lists = [
        ("vSwitchOptions", &spec.vswitch_options),
        ("securityGroupIDs", &spec.security_group_ids),
    ];
    for (field, list) in lists {
        if list.iter().any(|entry| entry.trim().is_empty()) {
            found.push(PodNetworkingProblem::EmptyEntry { field });
        }
    }
    if let Err(problem) = allocation::check(&spec.allocation_type, rules.min_release_after) {
        found.push(PodNetworkingProblem::Allocation(problem));
    }
    for selector in [&spec.selector.pod_selector, &spec.selector.namespace_selector]
        .into_iter()
        .flatten()
    {
        if let Err(problem) = Selector::try_from(selector.clone()) {
            found.push(PodNetworkingProblem::BadSelector {
                problem: problem.to_string(),
            });
        }
    }
    let eni_type = &spec.eni_options.eni_type;
    // The setting enableTrunk does not belong to the PodNetworking. Pods are refused because of it.
    if let Err(problem) = Carrier::asked(eni_type, true) {
        found.push(PodNetworkingProblem::NotServed(problem));
    }
    if !rules.inject_resources && spec.selector.is_empty() && *eni_type != EniType::Default {
        found.push(PodNetworkingProblem::EniTypeWithoutSelector {
            eni_type: eni_type.to_string(),
        });
    }
    found
}

#[cfg(test)]
mod tests;
