//! The observations that the plan for one ENI is made from.

use jiff::Timestamp;
use terway_crds::NetworkInterface;

use crate::cloud::EniObservation;
use crate::degradation::Degradation;
use crate::intent::Limits;

/// Whether a pod may be using the ENI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// The owner's pod has running containers, or may have.
    Living,
    /// No pod uses the ENI: there is no owner, or the pod is gone or was given up.
    Gone,
}

/// The calls of this process on the ENI, and their results. The history does not have to survive the process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// Whether this process has made the ENI and its object, so that the ENI is not attached.
    pub made_here: bool,
    pub attach_sent: Option<Timestamp>,
    pub detach_sent: Option<Timestamp>,
    pub delete_sent: Option<Timestamp>,
    /// Whether the cloud has answered to a call that the ENI does not exist.
    pub not_found: bool,
    /// Time of the first complete answer without the ENI.
    pub absent_since: Option<Timestamp>,
}

/// The observations of one ENI.
#[derive(Debug, Clone)]
pub struct Observed<'a> {
    pub interface: &'a NetworkInterface,
    pub holder: Holder,
    pub history: &'a History,
    /// The poller's last observation, and its time.
    pub seen: Option<(&'a EniObservation, Timestamp)>,
    /// Whether this process has seen the ENI with the tag of this cluster.
    pub ours: bool,
    pub cluster_id: &'a str,
    /// This term of leadership, and the time since which no other process sends calls.
    pub term: &'a str,
    pub quiet_since: Timestamp,
    pub now: Timestamp,
    pub limits: &'a Limits,
    pub degradation: Degradation,
}

/// The state of an ENI for which the poller waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Awaited {
    Attached,
    /// The ENI is not attached.
    Free,
    Gone,
}

impl Observed<'_> {
    /// The wanted state, or the state that was requested already.
    pub fn awaited(&self) -> Awaited {
        let leaving = self.interface.metadata.deletion_timestamp.is_some();
        if self.history.delete_sent.is_some() {
            Awaited::Gone
        } else if leaving || self.interface.spec.attach_to.is_none() {
            Awaited::Free
        } else {
            Awaited::Attached
        }
    }
}
