//! What the plan for a PodENI is made from.

use std::sync::Arc;

use jiff::Timestamp;
use terway_crds::{NetworkInterface, PodEni};

use crate::degradation::Degradation;
use crate::intent::{Evidence, Limits};
use crate::node::NodeFacts;

/// The pod that the record is for, told by its UID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PodState {
    /// Its containers run, or may.
    Living,
    /// It is on its way out, but its containers may still run.
    Leaving,
    /// It does not exist any more, or its containers have ended.
    Gone,
}

/// What is known of a PodENI.
#[derive(Debug, Clone)]
pub struct Observed<'a> {
    pub record: &'a PodEni,
    /// The NetworkInterface of each allocation that has an ENI id.
    pub interfaces: &'a [Option<Arc<NetworkInterface>>],
    pub pod: PodState,
    /// The node that the record is for.
    pub node: Option<&'a NodeFacts>,
    /// What is known of each allocation's intent.
    pub evidence: &'a [Evidence],
    /// When the last request of a process before this one can have been under way.
    pub quiet_since: Timestamp,
    pub now: Timestamp,
    pub limits: &'a Limits,
    pub degradation: Degradation,
}

/// The NetworkInterface of an allocation.
pub(super) fn interface<'a>(observed: &'a Observed<'_>, index: usize) -> Option<&'a NetworkInterface> {
    observed.interfaces.get(index)?.as_deref()
}
