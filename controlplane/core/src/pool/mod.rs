//! The shared ENIs of a node and their addresses: how many there are, where they come from, and
//! where they go.
//!
//! [`plan`] takes what is recorded, what runs, what the cloud was seen to hold and what it answered, and
//! gives the record as it should be, and the calls to make. A call is made only for an operation that is
//! in the record already, so the order is always: write the intent, send, write the result. Operations
//! of one ENI never overlap; those of different ENIs do.

mod adopt;
mod demand;
mod draft;
mod drain;
mod forecast;
mod news;
mod operation;
mod settle;
mod shrink;
#[cfg(test)]
mod tests;
mod trunk;
mod vswitches;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use terway_crds::{NodeRuntime, TerwayNode, TerwayNodeStatus};

use crate::cloud::{CloudEni, EniObservation};
use crate::degradation::Degradation;
use crate::intent::{Evidence, Limits};
use crate::news::News;
use crate::pod::PodFacts;
use crate::vswitch::Candidate;

pub use operation::{attaches, creates, index, intent, note_written};
pub use trunk::TRUNK_READY;

/// Most addresses that one AssignPrivateIpAddresses asks for, and one Unassign gives back.
pub const BATCH: usize = 10;
/// Most addresses of a new ENI: the primary and 49 others, a limit of the cloud.
pub const MAX_CREATE: usize = 50;
/// Operations of one node under way at once.
pub const MAX_OPERATIONS: usize = 5;
/// Refusals after which an operation is given up.
pub const MAX_ATTEMPTS: i32 = 5;
/// Time between two looks at idle addresses when eni-config says nothing.
pub const POOL_PERIOD: Duration = Duration::from_secs(120);

/// Settings of the control plane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// This term of leadership.
    pub term: String,
    /// Time between the end of a sandbox and the next use of its address.
    pub cooldown: Duration,
    /// Time between two comparisons of a node with the cloud, at least.
    pub sync_period: Duration,
    /// Time between two looks at idle addresses when the node's pool does not say.
    pub pool_period: Duration,
    pub degradation: Degradation,
    pub limits: Limits,
}

/// A complete list of the ENIs of the node's instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inventory {
    /// When it was asked for.
    pub asked: Timestamp,
    pub enis: Vec<CloudEni>,
}

/// What is known of a node.
#[derive(Debug, Clone, Copy)]
pub struct Observed<'a> {
    pub record: &'a TerwayNode,
    /// Every pod of the node.
    pub pods: &'a [&'a PodFacts],
    /// `None` when no agent ever reported.
    pub runtime: Option<&'a NodeRuntime>,
    /// What this process knows of operations, by [`index`].
    pub known: &'a BTreeMap<String, Evidence>,
    /// What the poller saw last of ENIs that are being attached, and when.
    pub seen: &'a BTreeMap<String, (EniObservation, Timestamp)>,
    /// ENIs that NetworkInterfaces have: those of pods, and those on their way out.
    pub elsewhere: &'a BTreeSet<String>,
    /// Those of them that are on their way out.
    pub leaving: &'a BTreeSet<String>,
    /// ENIs that were handed over for release, and that the cloud has confirmed to be gone.
    pub released: &'a BTreeSet<String>,
    pub inventory: Option<&'a Inventory>,
    /// The node's vSwitches, and those of its ENIs.
    pub vswitches: &'a [Candidate],
    pub settings: &'a Settings,
    /// Since when nothing of this node was changed in the cloud, by this process or one before.
    pub quiet_since: Timestamp,
    /// When idle addresses were last looked at.
    pub adjusted: Timestamp,
    pub now: Timestamp,
    /// For random choices and jitter.
    pub seed: u64,
}

/// A call to make. Operations are named by [`index`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    /// Send CreateNetworkInterface.
    Create(String),
    /// Send AttachNetworkInterface.
    Attach(String),
    /// Send AssignPrivateIpAddresses.
    Assign(String),
    /// Send UnassignPrivateIpAddresses.
    Unassign(String),
    /// Search for the ENI of an operation by its tag.
    LookUpByTag(String),
    /// Look at the ENI of an operation.
    LookUp { operation: String, eni: String },
    /// Let the poller look at an ENI until it is attached.
    Watch(String),
    /// Give an ENI to a NetworkInterface that is being deleted.
    HandOver(String),
    /// List the ENIs of the instance.
    ListEnis,
}

/// What is to be done about a node.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The record as it should be. It is written before any call is made.
    pub status: TerwayNodeStatus,
    /// Calls for operations in the record as it is.
    pub calls: Vec<Call>,
    /// What people are told once the record is written.
    pub news: Vec<News>,
    /// Pods that wait for an address, by `namespace/name`.
    pub waiting: Vec<String>,
    /// Pods that were given an address, by UID.
    pub bound: BTreeMap<String, std::net::IpAddr>,
    /// Idle addresses were looked at.
    pub adjusted: bool,
    /// Look again after this time at the latest.
    pub wake: Option<Duration>,
}

/// Plans for one node.
pub fn plan(observed: &Observed<'_>) -> Plan {
    let mut draft = draft::Draft::new(observed);
    if observed.record.spec.eni.is_none() || observed.record.spec.node_cap.adapters == 0 {
        // The spec is being worked out; what is bound stays bound.
        return draft.finish();
    }
    settle::settle(&mut draft);
    adopt::adopt(&mut draft);
    if draft.status.last_sync_openapi_time.is_none() {
        // Before the cloud was asked, nobody knows which addresses running pods have.
        return draft.finish();
    }
    draft.bind();
    drain::recover(&mut draft);
    demand::begin(&mut draft);
    drain::drain(&mut draft);
    shrink::shrink(&mut draft);
    trunk::tell(&mut draft);
    draft.finish()
}
