//! Chooses the PodNetworking of a pod.

use std::borrow::Borrow;
use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube_core::ResourceExt;
use kube_core::{ParseExpressionError, Selector, SelectorExt};
use terway_crds::PodNetworking;
use terway_crds::pod_networking::PodNetworkingState;

type Labels = BTreeMap<String, String>;

/// The PodNetworking of a pod, and the PodNetworkings that select the pod and cannot serve it.
#[derive(Debug, Clone, PartialEq)]
pub struct Selection<'a> {
    pub networking: Option<&'a PodNetworking>,
    pub passed_over: Vec<PassedOver>,
}

/// A PodNetworking that selects a pod and is not used for this pod.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("PodNetworking {name} selects this pod and is passed over: {reason}")]
pub struct PassedOver {
    pub name: String,
    pub reason: Reason,
}

/// Why a PodNetworking is passed over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    #[error(
        "it keeps IPs by pod name (allocationType Fixed), and this pod's name is not kept: use a StatefulSet, or narrow the selector"
    )]
    NameNotKept,
    #[error("it is not Ready yet: create the pod again when `kubectl get podnetworking` says Ready")]
    NotLookedAt,
    #[error("it is not Ready ({message}): correct it, then create the pod again")]
    NotReady { message: String },
    #[error("its selector cannot be read ({problem}): correct it")]
    BadSelector { problem: String },
}

/// Whether a PodNetworking selects a pod with these labels. A PodNetworking without selectors selects nothing.
///
/// # Errors
/// When a selector has an operator that does not exist.
pub fn selects(
    networking: &PodNetworking,
    pod_labels: &Labels,
    namespace_labels: &Labels,
) -> Result<bool, ParseExpressionError> {
    let selector = &networking.spec.selector;
    if selector.is_empty() {
        return Ok(false);
    }
    let both = [
        (&selector.pod_selector, pod_labels),
        (&selector.namespace_selector, namespace_labels),
    ];
    for (selector, labels) in both {
        if !holds(selector.as_ref(), labels)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn holds(selector: Option<&LabelSelector>, labels: &Labels) -> Result<bool, ParseExpressionError> {
    let Some(selector) = selector else { return Ok(true) };
    Ok(Selector::try_from(selector.clone())?.matches(labels))
}

/// Chooses the first PodNetworking, by name, that selects the pod and can serve it.
pub fn select<'a, N: Borrow<PodNetworking>>(
    networkings: &'a [N],
    pod_labels: &Labels,
    namespace_labels: &Labels,
    fixed_name: bool,
) -> Selection<'a> {
    let mut ordered: Vec<&PodNetworking> = networkings.iter().map(Borrow::borrow).collect();
    ordered.sort_by_key(|networking| networking.name_any());
    let mut passed_over = Vec::new();
    for networking in ordered {
        let reason = match selects(networking, pod_labels, namespace_labels) {
            Ok(false) => continue,
            Err(problem) => Reason::BadSelector {
                problem: problem.to_string(),
            },
            Ok(true) if networking.spec.allocation_type.is_fixed() && !fixed_name => Reason::NameNotKept,
            Ok(true) => match readiness(networking) {
                Ok(()) => {
                    return Selection {
                        networking: Some(networking),
                        passed_over,
                    };
                }
                Err(reason) => reason,
            },
        };
        passed_over.push(PassedOver {
            name: networking.name_any(),
            reason,
        });
    }
    Selection {
        networking: None,
        passed_over,
    }
}

/// Whether pods may use this PodNetworking.
pub(super) fn readiness(networking: &PodNetworking) -> Result<(), Reason> {
    match networking
        .status
        .as_ref()
        .map(|status| (&status.status, &status.message))
    {
        Some((PodNetworkingState::Ready, _)) => Ok(()),
        None | Some((PodNetworkingState::Unknown, _)) => Err(Reason::NotLookedAt),
        Some((_, message)) => Err(Reason::NotReady {
            message: message.clone(),
        }),
    }
}

#[cfg(test)]
mod tests;
