//! The publication on a Kubernetes node: annotations, extended resources and a condition about its ENIs.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use terway_crds::names::{annotation, resource};
use terway_crds::node::{Nic, NicStatus};
use terway_crds::{EniKind, TerwayNode};

use super::{NodeFacts, heartbeat_due, max_available_ip};
use crate::carrier;

/// The differences between the present and the right content of a node; empty if the node is right.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Publication {
    /// Annotations to write; `None` removes one.
    pub annotations: BTreeMap<&'static str, Option<String>>,
    /// Extended resources to write, in capacity and allocatable. The kubelet sets extended resources to zero when it
    /// registers again (pkg/kubelet/kubelet_node_status.go in Kubernetes), so they are repaired often.
    pub resources: BTreeMap<&'static str, String>,
    /// The condition SufficientIP, if the present one is wrong or too old.
    pub sufficiency: Option<Sufficiency>,
}

/// The condition SufficientIP to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sufficiency {
    /// Whether pods can get addresses.
    pub holds: bool,
    /// Whether the truth of the condition changes.
    pub turns: bool,
}

impl Publication {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Adds the condition, if the node's condition is wrong or too old. Returns the time until the next heartbeat.
    pub fn say_sufficient(&mut self, node: &NodeFacts, holds: bool, now: Timestamp, seed: u64) -> Duration {
        let left = heartbeat_due(node.sufficient_ip, holds, now, seed);
        if left.is_zero() {
            self.sufficiency = Some(Sufficiency {
                holds,
                turns: node.sufficient_ip.is_none_or(|known| known.holds != holds),
            });
        }
        left
    }

    fn annotate(&mut self, name: &'static str, known: Option<&String>, value: String) {
        if known != Some(&value) {
            self.annotations.insert(name, Some(value));
        }
    }

    fn remove(&mut self, name: &'static str, known: Option<&String>) {
        if known.is_some() {
            self.annotations.insert(name, None);
        }
    }

    /// Withdraws the trunk and its members, so that no pod is scheduled for them.
    fn withdraw_members(&mut self, node: &NodeFacts) {
        self.remove(annotation::TRUNK_ON, node.trunk_on.as_ref());
        self.remove(annotation::MAX_MEMBER_ENI_IP, node.max_member_annotation.as_ref());
        let known = [node.member_capacity.as_ref(), node.member_allocatable.as_ref()];
        if known.iter().any(Option::is_some) {
            self.advertise(resource::MEMBER_ENI, known, "0".to_owned());
        }
    }

    /// Withdraws the whole ENIs that another version has advertised, so that no pod is scheduled for them.
    fn withdraw_enis(&mut self, node: &NodeFacts) {
        let known = [node.eni_capacity.as_ref(), node.eni_allocatable.as_ref()];
        if known.iter().any(Option::is_some) {
            self.advertise(resource::ENI, known, "0".to_owned());
        }
    }

    fn advertise(&mut self, name: &'static str, known: [Option<&String>; 2], value: String) {
        if known != [Some(&value), Some(&value)] {
            self.resources.insert(name, value);
        }
    }
}

/// The recorded trunk, if it is in use.
pub fn trunk_nic(record: &TerwayNode) -> Option<&Nic> {
    let status = record.status.as_ref()?;
    let mut nics = status.network_interfaces.values();
    nics.find(|nic| nic.kind == Some(EniKind::Trunk) && nic.status == NicStatus::InUse)
}

/// Whether the record was ever compared with the cloud. Before, it does not show the ENIs that the instance has.
fn is_compared(record: &TerwayNode) -> bool {
    let status = record.status.as_ref();
    status.is_some_and(|status| status.last_sync_openapi_time.is_some())
}

/// Compares a node with its Node object. Members are published only when the trunk is in use, so that no pod is
/// scheduled to a node that cannot serve it.
pub fn plan_publication(node: &NodeFacts, record: &TerwayNode) -> Publication {
    let mut publication = Publication::default();
    if let Some(trunk) = trunk_nic(record) {
        let members = record.spec.node_cap.member_adapter_limit.to_string();
        let (known_trunk, known_members) = (node.trunk_on.as_ref(), node.max_member_annotation.as_ref());
        publication.annotate(annotation::TRUNK_ON, known_trunk, trunk.id.clone());
        publication.annotate(annotation::MAX_MEMBER_ENI_IP, known_members, members.clone());
        let known = [node.member_capacity.as_ref(), node.member_allocatable.as_ref()];
        publication.advertise(resource::MEMBER_ENI, known, members);
    } else if is_compared(record) {
        publication.withdraw_members(node);
    }
    // Whole ENIs are not served on any node.
    publication.withdraw_enis(node);
    if carrier::check_node(node).is_err() {
        publication.remove(annotation::MAX_AVAILABLE_IP, node.max_ip_annotation.as_ref());
    } else if record.spec.eni.is_some() {
        let addresses = max_available_ip(&record.spec).to_string();
        publication.annotate(
            annotation::MAX_AVAILABLE_IP,
            node.max_ip_annotation.as_ref(),
            addresses,
        );
    }
    publication
}
