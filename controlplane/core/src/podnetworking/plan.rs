//! What is written about a PodNetworking, and when it is looked at again.

use std::time::Duration;

use jiff::Timestamp;
use terway_crds::PodNetworking;
use terway_crds::names::condition;
use terway_crds::pod_networking::{PodNetworkingState, PodNetworkingStatus};

use super::status;
use super::workloads::Workload;
use crate::cloud::VSwitch;

/// Delay before the first repair; it grows with the age of the failure.
const FIRST_RETRY: Duration = Duration::from_secs(2);
/// Longest time between two repairs.
const LAST_RETRY: Duration = Duration::from_secs(60);

/// What was read about a PodNetworking.
#[derive(Debug, Clone, PartialEq)]
pub struct Findings {
    pub lookup: Lookup,
    /// Workloads it selects and cannot serve, by name.
    pub passed_over: Vec<Workload>,
}

/// What the cloud said.
#[derive(Debug, Clone, PartialEq)]
pub enum Lookup {
    /// It was not asked: the status speaks of this spec already.
    NotNeeded,
    /// Everything is known.
    Known(Vec<VSwitch>),
    UnknownVSwitches(Vec<String>),
    UnknownSecurityGroups(Vec<String>),
    /// The cloud's own words.
    Failed(String),
}

/// What to do about a PodNetworking.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The status to write, or why none is written.
    pub status: Result<PodNetworkingStatus, Idle>,
    /// It became Ready or Fail just now.
    pub transition: Option<Transition>,
    /// Time until the next look; `None` when only a change gives a reason to look.
    pub look_again: Option<Duration>,
}

/// A change that is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transition {
    BecameReady { zones: String },
    Failed { message: String },
}

/// Why no status is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Idle {
    /// It says all of this already.
    UpToDate,
}

/// Whether the status speaks of this spec and says Ready.
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
        Lookup::Failed(message) => status::failed(&mut after, networking, "CloudError", message.clone(), now),
    }
    status::workloads(&mut after, networking, &findings.passed_over, now);
    let transition = transition(&before, &after);
    let failed = after.status == PodNetworkingState::Fail;
    let look_again = failed.then(|| retry_delay(&after, now));
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
        PodNetworkingState::Ready => Some(Transition::BecameReady {
            zones: after.summary.zones.clone(),
        }),
        PodNetworkingState::Fail => Some(Transition::Failed {
            message: after.message.clone(),
        }),
        PodNetworkingState::Unknown | PodNetworkingState::Other(_) => None,
    }
}

/// Half the age of the failure: quick while somebody is correcting it, rare when nobody does.
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
