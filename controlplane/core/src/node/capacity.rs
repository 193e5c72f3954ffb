//! Limits of a node, from its instance type, and the spec of its Node object.

use terway_crds::node::{NetworkCard, NodeCap, NodeMetadata};
use terway_crds::{TerwayNode, TerwayNodeSpec};

use super::NodeFacts;
use crate::carrier::check_node;
use crate::cloud::InstanceTypeLimits;
use crate::conditions::Statement;
use crate::room::{COUNTED, Capacity, beside_primary};

/// More network cards than any instance type has. A Node object lists its cards, and a wrong number in an answer of the
/// cloud must not fill it.
const MAX_NETWORK_CARDS: i32 = 64;

/// The limits of an instance type.
pub fn node_cap(limits: &InstanceTypeLimits) -> NodeCap {
    let members = if limits.trunk_supported {
        limits.eni_total_quantity.saturating_sub(limits.eni_quantity)
    } else {
        0
    };
    let cards = limits.network_cards.clamp(1, MAX_NETWORK_CARDS);
    NodeCap {
        adapters: limits.eni_quantity,
        total_adapters: limits.eni_total_quantity,
        eri_quantity: limits.eri_quantity,
        ipv4_per_adapter: limits.private_ips_per_eni,
        ipv6_per_adapter: limits.ipv6_per_eni,
        member_adapter_limit: members.max(0),
        max_member_adapter_limit: limits.eni_total_quantity.saturating_sub(2).max(0),
        instance_bandwidth_rx: 0,
        instance_bandwidth_tx: 0,
        network_cards: (0..cards).map(|index| NetworkCard { index }).collect(),
        network_cards_count: Some(cards),
    }
}

/// The plan for the spec of a Node object.
#[derive(Debug, Clone, PartialEq)]
pub enum NodeSpecPlan {
    /// The spec is right.
    Unchanged,
    /// The limits of this instance type have to be read first.
    NeedsLimits(String),
    /// Write this spec.
    Write(Box<TerwayNodeSpec>),
}

/// Plans metadata and capacities. All other fields of the spec stay as they are.
pub fn plan_spec(node: &NodeFacts, record: &TerwayNode, limits: Option<&InstanceTypeLimits>) -> NodeSpecPlan {
    let metadata = NodeMetadata {
        region_id: node.region.clone(),
        instance_type: node.instance_type.clone(),
        instance_id: node.instance_id.clone(),
        zone_id: node.zone.clone(),
    };
    let known = record.spec.node_metadata == metadata && record.spec.node_cap.network_cards_count.is_some();
    if known {
        return NodeSpecPlan::Unchanged;
    }
    match limits {
        Some(limits) => {
            let mut spec = record.spec.clone();
            spec.node_metadata = metadata;
            let bandwidth = (
                spec.node_cap.instance_bandwidth_rx,
                spec.node_cap.instance_bandwidth_tx,
            );
            spec.node_cap = node_cap(limits);
            (
                spec.node_cap.instance_bandwidth_rx,
                spec.node_cap.instance_bandwidth_tx,
            ) = bandwidth;
            NodeSpecPlan::Write(Box::new(spec))
        }
        None => NodeSpecPlan::NeedsLimits(node.instance_type.clone()),
    }
}

/// Fewest addresses that a node of shared ENIs needs to serve a cluster.
const MIN_ADDRESSES: usize = 11;

/// Number of addresses that pods of this node can have, by its flavors.
pub fn max_available_ip(spec: &TerwayNodeSpec) -> usize {
    Capacity::of(spec, COUNTED).addresses()
}

/// Condition of a Node object: its instance type is large enough.
pub const LARGE_ENOUGH: &str = "SufficientCapacity";

/// Whether pods can run on a node: the node's mode is served, and the instance type is large enough.
pub fn large_enough(node: &NodeFacts, spec: &TerwayNodeSpec) -> Statement<'static> {
    let wrong = match check_node(node) {
        Err(problem) => Some(("NotServed", problem.to_string())),
        Ok(()) => too_small(&spec.node_metadata, &spec.node_cap).map(|words| ("InstanceTypeTooSmall", words)),
    };
    let holds = wrong.is_none();
    let (reason, message) = wrong.unwrap_or(("InstanceTypeFits", String::new()));
    Statement {
        kind: LARGE_ENOUGH,
        holds,
        reason,
        message,
    }
}

/// The statement for a node whose instance type the cloud does not know.
pub fn unknown_instance_type(instance_type: &str) -> Statement<'static> {
    Statement {
        kind: LARGE_ENOUGH,
        holds: false,
        reason: "UnknownInstanceType",
        message: format!("the cloud does not know instance type {instance_type:?} of the node"),
    }
}

/// The sentence about an instance type that is too small, if it is.
fn too_small(metadata: &NodeMetadata, cap: &NodeCap) -> Option<String> {
    let has = beside_primary(cap).saturating_mul(cap.per_adapter(COUNTED));
    (has <= MIN_ADDRESSES).then(|| {
        format!(
            "instance type {} gives pods {has} addresses of shared ENIs, and more than {MIN_ADDRESSES} are \
             needed: use a larger type",
            metadata.instance_type
        )
    })
}
