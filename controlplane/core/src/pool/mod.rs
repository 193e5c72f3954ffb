//! The shared ENIs of a node, its trunk, and their addresses.
//!
//! [`plan`] takes the record, the pods, and the observations and answers of the cloud. It returns the new record and
//! the calls to make. A call is made only for an operation that the record contains already. The order is therefore
//! always: write the intent, send, write the result. Operations of one ENI never overlap; operations of different ENIs
//! do.

mod adopt;
mod advance;
mod demand;
mod draft;
mod drain;
mod forecast;
mod gone;
mod news;
mod operation;
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

pub use gone::ENIS_PRESENT;
pub use operation::{attaches, creates, index, intent, note_written};
pub use trunk::TRUNK_READY;

/// Largest number of addresses of one AssignPrivateIpAddresses or UnassignPrivateIpAddresses, as in upstream.
pub const BATCH: usize = 10;
/// Largest number of addresses of a new ENI: the primary one and 49 others (ECS API page CreateNetworkInterface,
/// SecondaryPrivateIpAddressCount).
pub const MAX_CREATE: usize = 50;
/// Largest number of operations of one node at the same time.
pub const MAX_OPERATIONS: usize = 5;
/// Number of attempts after which an operation is given up.
pub const MAX_ATTEMPTS: i32 = 5;
/// Default of the time between two checks of idle addresses.
pub const POOL_PERIOD: Duration = Duration::from_secs(120);

/// Settings of the control plane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// This term of leadership.
    pub term: String,
    /// Time between the end of a sandbox and the next use of its address.
    pub cooldown: Duration,
    /// Shortest time between two comparisons of a node with the cloud.
    pub sync_period: Duration,
    /// Time between two checks of idle addresses, unless the node's pool sets it.
    pub pool_period: Duration,
    pub degradation: Degradation,
    pub limits: Limits,
}

/// A complete list of the ENIs of the node's instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inventory {
    /// When the list was requested.
    pub asked: Timestamp,
    pub enis: Vec<CloudEni>,
}

/// The observations of a node.
#[derive(Debug, Clone, Copy)]
pub struct Observed<'a> {
    pub record: &'a TerwayNode,
    /// Every pod of the node.
    pub pods: &'a [&'a PodFacts],
    /// The report of the agent; `None` if no agent has reported.
    pub runtime: Option<&'a NodeRuntime>,
    /// The evidence of this process about operations, by [`index`].
    pub known: &'a BTreeMap<String, Evidence>,
    /// The poller's last observations of ENIs that are being attached, and their times.
    pub seen: &'a BTreeMap<String, (EniObservation, Timestamp)>,
    /// ENIs with a NetworkInterface: ENIs of pods' own, and ENIs that are being released.
    pub elsewhere: &'a BTreeSet<String>,
    /// The ENIs of `elsewhere` that are being released.
    pub leaving: &'a BTreeSet<String>,
    /// ENIs that were handed over for release and that, as the cloud has confirmed, are gone.
    pub released: &'a BTreeSet<String>,
    /// The list of the node's ENIs that no comparison has used yet.
    pub inventory: Option<&'a Inventory>,
    /// When the last list that this process compared was requested.
    pub compared: Option<Timestamp>,
    /// When something last contradicted the record: the cloud did not know an ENI of the node, or listed it otherwise.
    pub suspected: Option<Timestamp>,
    /// The node's vSwitches, and those of its ENIs.
    pub vswitches: &'a [Candidate],
    pub settings: &'a Settings,
    /// The time since which no process has changed anything of this node in the cloud.
    pub quiet_since: Timestamp,
    /// When idle addresses were last checked.
    pub adjusted: Timestamp,
    pub now: Timestamp,
    /// Seed of random choices and jitter.
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

/// A living pod whose address the cloud took away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    pub pod_uid: String,
    pub news: News,
}

/// The plan of a node.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The new record. It is written before any call is made.
    pub status: TerwayNodeStatus,
    /// Calls for operations of the old record.
    pub calls: Vec<Call>,
    /// Events to write after the record is written.
    pub news: Vec<News>,
    /// Pods that wait for an address, as `namespace/name`.
    pub waiting: Vec<String>,
    /// Pods that got an address, by UID.
    pub bound: BTreeMap<String, std::net::IpAddr>,
    /// Pods that lost their address.
    pub lost: Vec<Lost>,
    /// Whether the inventory was compared. Another comparison needs another list.
    pub compared: bool,
    /// Whether idle addresses were checked.
    pub adjusted: bool,
    /// Plan again after this time at the latest.
    pub wake: Option<Duration>,
}

/// Plans for one node.
pub fn plan(observed: &Observed<'_>) -> Plan {
    let mut draft = draft::Draft::new(observed);
    if observed.record.spec.eni.is_none() || observed.record.spec.node_cap.adapters == 0 {
        // The spec is not computed yet. Bound addresses stay bound.
        return draft.finish();
    }
    advance::advance(&mut draft);
    adopt::adopt(&mut draft);
    if draft.status.last_sync_openapi_time.is_none() {
        // Before the first comparison with the cloud, the addresses of running pods are unknown.
        return draft.finish();
    }
    draft.bind();
    gone::settle(&mut draft);
    drain::recover(&mut draft);
    demand::begin(&mut draft);
    drain::drain(&mut draft);
    shrink::shrink(&mut draft);
    trunk::tell(&mut draft);
    draft.finish()
}
