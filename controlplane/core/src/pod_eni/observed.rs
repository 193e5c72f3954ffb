//! The observations of a PodENI, from which its plan is made.

use std::sync::Arc;

use jiff::Timestamp;
use terway_crds::{NetworkInterface, PodEni};

use crate::degradation::Degradation;
use crate::intent::{Evidence, Limits};
use crate::node::NodeFacts;

/// The state of the record's pod. The pod is identified by its UID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PodState {
    /// Its containers run, or may run.
    Living,
    /// It is being deleted, and its containers may still run.
    Leaving,
    /// It no longer exists, or its containers have ended.
    Gone,
}

/// The observations of a PodENI.
#[derive(Debug, Clone)]
pub struct Observed<'a> {
    pub record: &'a PodEni,
    /// The NetworkInterface of each allocation that has an ENI id.
    pub interfaces: &'a [Option<Arc<NetworkInterface>>],
    pub pod: PodState,
    /// Whether the pod has reported an address, so that its containers use the network that it has.
    pub started: bool,
    /// The record's node.
    pub node: Option<&'a NodeFacts>,
    /// The evidence about each allocation's intent.
    pub evidence: &'a [Evidence],
    /// The last moment at which a request of an earlier process can have been under way.
    pub quiet_since: Timestamp,
    pub now: Timestamp,
    pub limits: &'a Limits,
    pub degradation: Degradation,
}

/// The NetworkInterface of an allocation.
pub(super) fn interface<'a>(observed: &'a Observed<'_>, index: usize) -> Option<&'a NetworkInterface> {
    observed.interfaces.get(index)?.as_deref()
}
