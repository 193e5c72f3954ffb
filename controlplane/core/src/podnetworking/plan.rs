//! Plans the status of a PodNetworking and the time of the next look.

use std::time::Duration;

use jiff::Timestamp;
use terway_crds::PodNetworking;
use terway_crds::names::condition;
use terway_crds::pod_networking::{PodNetworkingState, PodNetworkingStatus};

use super::status;
use super::workloads::Workload;
use crate::cloud::VSwitch;

/// Delay before the first new try. It grows with the age of the failure.
const FIRST_RETRY: Duration = Duration::from_secs(2);
/// Longest time between two tries.
const LAST_RETRY: Duration = Duration::from_secs(60);

/// Time until a changed PodNetworking is looked at again that the cloud could not be asked about.
const UNCHECKED_RETRY: Duration = Duration::from_secs(10);

/// The findings about a PodNetworking.
#[derive(Debug, Clone, PartialEq)]
pub struct Findings {
    pub lookup: Lookup,
    /// Workloads that it selects and cannot serve, sorted by name.
    pub passed_over: Vec<Workload>,
    /// Living pods that it selects and that have no networks, as `namespace/name`, sorted.
    pub unserved: Vec<String>,
}

/// The result of asking the cloud.
#[derive(Debug, Clone, PartialEq)]
pub enum Lookup {
    /// The cloud was not asked, because the status is of this spec already.
    NotNeeded,
    /// The cloud knows all vSwitches and groups.
    Known(Vec<VSwitch>),
    UnknownVSwitches(Vec<String>),
    UnknownSecurityGroups(Vec<String>),
    /// The cloud refused, with these words.
    Failed(String),
}

/// The plan of a PodNetworking.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The status to write, or why none is written.
    pub status: Result<PodNetworkingStatus, Idle>,
    /// The transition to Ready or Fail, if there is one.
    pub transition: Option<Transition>,
    /// Time until the next look; `None` when only a change gives a reason to look.
    pub look_again: Option<Duration>,
}

/// A transition that gets an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transition {
    BecameReady { zones: String },
    Failed { message: String },
}

/// Why no status is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Idle {
    /// The status is right already.
    UpToDate,
}

/// Whether the status is of this spec and Ready.
pub fn is_settled(networking: &PodNetworking) -> bool {
    let Some(status) = &networking.status else {
        return false;
    };
    status.status == PodNetworkingState::Ready && status.observed_generation == networking.metadata.generation
}

/// Plans the status, the event and the next look.
pub fn plan(networking: &PodNetworking, findings: &Findings, now: Timestamp) -> Plan {
    let before = networking.status.clone().unwrap_or_default();
    let mut after = before.clone();
    match &findings.lookup {
        Lookup::NotNeeded => {}
        Lookup::Known(vswitches) => status::ready(&mut after, networking, vswitches, now),
        Lookup::UnknownVSwitches(ids) => {
            let message = format!(
                "the cloud knows no vSwitch {} in this region: correct vSwitchOptions",
                ids.join(", ")
            );
            status::failed(&mut after, networking, "UnknownVSwitch", message, now);
        }
        Lookup::UnknownSecurityGroups(ids) => {
            let message = format!(
                "the cloud knows no security group {} in this region: correct securityGroupIDs",
                ids.join(", ")
            );
            status::failed(&mut after, networking, "UnknownSecurityGroup", message, now);
        }
        // The cloud has said nothing about the PodNetworking. New pods of one that was ready keep their network: the
        // webhook would pass it over otherwise, and the pods would run in the node's network.
        Lookup::Failed(message) if before.status == PodNetworkingState::Ready => {
            status::unchecked(&mut after, networking, message, now);
        }
        Lookup::Failed(message) => status::failed(&mut after, networking, "CloudError", message.clone(), now),
    }
    status::workloads(&mut after, networking, &findings.passed_over, now);
    status::unserved(&mut after, networking, &findings.unserved, now);
    let transition = transition(&before, &after);
    let look_again = match (&after.status, &findings.lookup) {
        (PodNetworkingState::Fail, _) => Some(retry_delay(&after, now)),
        (_, Lookup::Failed(_)) => Some(UNCHECKED_RETRY),
        _ => None,
    };
    let changed = status::differs(&before, &after);
    Plan {
        status: if changed { Ok(after) } else { Err(Idle::UpToDate) },
        transition,
        look_again,
    }
}

fn transition(before: &PodNetworkingStatus, after: &PodNetworkingStatus) -> Option<Transition> {
    let same = before.status == after.status && before.message == after.message;
    match after.status {
        _ if same => None,
        PodNetworkingState::Ready if after.message.is_empty() => Some(Transition::BecameReady {
            zones: after.summary.zones.clone(),
        }),
        // A ready one has a message when its newest change could not be checked.
        PodNetworkingState::Ready | PodNetworkingState::Fail => Some(Transition::Failed {
            message: after.message.clone(),
        }),
        PodNetworkingState::Unknown | PodNetworkingState::Other(_) => None,
    }
}

/// Delay before the next try: half the age of the failure. Tries are frequent while somebody may be correcting the
/// error, and rare later.
fn retry_delay(status: &PodNetworkingStatus, now: Timestamp) -> Duration {
    let ready = status
        .conditions
        .iter()
        .find(|known| known.type_ == condition::READY);
    let age = ready.map_or(Duration::ZERO, |known| {
        Duration::try_from(now.duration_since(known.last_transition_time.0)).unwrap_or_default()
    });
    (age / 2).clamp(FIRST_RETRY, LAST_RETRY)
}
