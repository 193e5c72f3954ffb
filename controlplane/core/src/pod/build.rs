//! The PodENI of a new pod: one allocation for each network, each with its intent.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use terway_crds::names::{annotation, finalizer, label};
use terway_crds::{
    Allocation, AttachmentOptions, Creation, Eni, Family, PodEni, PodEniSpec, PodNetwork, RequestParameters,
};

use super::PodFacts;
use crate::carrier::{Carrier, NotServed};
use crate::intent::own_tags;
use crate::node::NodeFacts;
use crate::vswitch::Candidate;

/// Settings of the cluster that go into a PodENI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    pub cluster_id: String,
    pub vpc_id: String,
    /// Members of the trunk are the default on nodes that are not for whole ENIs only.
    pub enable_trunk: bool,
}

/// Why no PodENI can be written for a pod.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    #[error("the pod asks for ENIs of its own but for no network: give its PodNetworking a vSwitch")]
    NoNetwork,
    #[error(
        "network {index} has no security group: set securityGroupIDs in the PodNetworking or security_groups in eni-config"
    )]
    NoSecurityGroup { index: usize },
    #[error("network {index}: {problem}")]
    NotServed { index: usize, problem: NotServed },
}

/// Builds the PodENI. `chosen` holds the vSwitch of each network.
///
/// # Errors
/// When the networks cannot be served on this node.
pub fn build(
    pod: &PodFacts,
    node: &NodeFacts,
    networks: &[PodNetwork],
    chosen: &[Candidate],
    settings: &Settings,
    now: Timestamp,
) -> Result<PodEni, BuildError> {
    if networks.is_empty() || networks.len() != chosen.len() {
        return Err(BuildError::NoNetwork);
    }
    let allocations = networks
        .iter()
        .zip(chosen)
        .enumerate()
        .map(|(index, (network, vswitch))| allocation(index, node, network, vswitch, settings, now))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(PodEni {
        metadata: ObjectMeta {
            namespace: Some(pod.namespace.clone()),
            name: Some(pod.name.clone()),
            labels: Some(BTreeMap::from([(label::NODE.to_owned(), pod.node.clone())])),
            annotations: Some(BTreeMap::from([(
                annotation::POD_UID.to_owned(),
                pod.uid.clone(),
            )])),
            finalizers: Some(vec![finalizer::POD_ENI.to_owned()]),
            ..ObjectMeta::default()
        },
        spec: PodEniSpec {
            allocations,
            zone: node.zone.clone(),
        },
        status: None,
    })
}

/// The allocation of network `index`, with the intent to make its ENI in the vSwitch `vswitch`.
///
/// # Errors
/// When the network cannot be served on this node.
pub fn allocation(
    index: usize,
    node: &NodeFacts,
    network: &PodNetwork,
    vswitch: &Candidate,
    settings: &Settings,
    now: Timestamp,
) -> Result<Allocation, BuildError> {
    if network.security_group_ids.is_empty() {
        return Err(BuildError::NoSecurityGroup { index });
    }
    let carrier = Carrier::on_node(&network.eni_options.eni_type, node, settings.enable_trunk)
        .map_err(|problem| BuildError::NotServed { index, problem })?;
    let trunk = carrier == Carrier::TrunkMember;
    let allocation_type = network.allocation_type.clone().unwrap_or_default();
    let parameters = RequestParameters {
        vswitch_id: vswitch.id.clone(),
        security_group_ids: network.security_group_ids.clone(),
        resource_group_id: network.resource_group_id.clone(),
        traffic_mode: network.traffic_mode.clone(),
        // What must outlive its pod must outlive the pod's instance too.
        delete_on_release: !allocation_type.is_fixed(),
        tags: own_tags(&settings.cluster_id),
        description: "interface of a Kubernetes pod, made by terway".into(),
        ..RequestParameters::default()
    };
    let mut allocation = Allocation {
        eni: Eni {
            vpc_id: settings.vpc_id.clone(),
            zone: node.zone.clone(),
            vswitch_id: vswitch.id.clone(),
            resource_group_id: network.resource_group_id.clone(),
            security_group_ids: network.security_group_ids.clone(),
            attachment_options: AttachmentOptions { trunk: Some(trunk) },
            ..Eni::default()
        },
        interface: network.interface.clone(),
        default_route: network.default_route,
        extra_routes: network.extra_routes.clone(),
        allocation_type,
        creation: Some(Creation {
            attempt: 1,
            started_at: Some(Time(now)),
            parameters,
            last_error: None,
        }),
        ..Allocation::default()
    };
    for family in Family::SERVED {
        vswitch
            .cidrs
            .of(family)
            .into_iter()
            .for_each(|net| allocation.set_cidr(net));
    }
    Ok(allocation)
}

#[cfg(test)]
mod tests;
