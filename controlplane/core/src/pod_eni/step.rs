//! A plan for a PodENI: steps, and the reason to wait after them.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use terway_crds::{AttachTo, NetworkInterface, PodEni, PodEniStatus};

use super::observed::Observed;
use crate::cloud::CloudEni;
use crate::intent::Refused;

/// One step of a plan. Steps of different allocations do not depend on each other.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Send CreateNetworkInterface for this allocation's intent.
    Create {
        index: usize,
    },
    LookUpByTag {
        index: usize,
    },
    LookUpById {
        index: usize,
        id: String,
    },
    /// Make the NetworkInterface of this ENI, which owns the ENI. Afterwards write the ENI into the record.
    Record {
        index: usize,
        eni: Box<CloudEni>,
        attach_to: Option<AttachTo>,
    },
    /// Choose again and begin the next attempt, in one write.
    NextAttempt {
        index: usize,
        refused: Option<Refused>,
    },
    /// Forget an ENI that the cloud lost before it was used, and begin an attempt to make another.
    Replace {
        index: usize,
    },
    /// Make a NetworkInterface for a recorded ENI that has none.
    MakeInterface {
        index: usize,
        attach_to: Option<AttachTo>,
    },
    /// Write the target of the ENI; `None`: the ENI is detached.
    SetTarget {
        index: usize,
        attach_to: Option<AttachTo>,
    },
    DeleteInterface {
        index: usize,
    },
    SetStatus(Box<PodEniStatus>),
    /// Delete the object that was read, and no other.
    DeleteRecord,
    DropFinalizers,
}

impl Step {
    /// A name for traces.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Create { .. } => "create ENI",
            Self::LookUpByTag { .. } => "look up ENI by tag",
            Self::LookUpById { .. } => "look up ENI by id",
            Self::Record { .. } => "record ENI",
            Self::NextAttempt { .. } => "next attempt",
            Self::Replace { .. } => "replace ENI",
            Self::MakeInterface { .. } => "make NetworkInterface",
            Self::SetTarget { .. } => "set target of ENI",
            Self::DeleteInterface { .. } => "delete NetworkInterface",
            Self::SetStatus(_) => "set status of PodENI",
            Self::DeleteRecord => "delete PodENI",
            Self::DropFinalizers => "drop finalizers of PodENI",
        }
    }
}

/// Why there is no further step now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wait {
    /// Everything is as wanted.
    Done,
    /// NetworkInterfaces are being attached or deleted. Each change wakes the record.
    Interfaces,
    /// An ENI is not attached where it should be. These are the reason and the sentence for people, and whether
    /// somebody has to act.
    Unattached {
        reason: String,
        message: String,
        needs_help: bool,
    },
    /// Look again after this time.
    Later(Duration),
    /// The next attempt begins after this time.
    Refused {
        delay: Duration,
        code: String,
        message: String,
    },
    /// The node has no trunk yet.
    NoTrunk,
    /// The node is unknown.
    NoNode,
    /// Whole ENIs are not served on this node.
    NotServed,
    /// The record has no allocations, or an allocation with neither ENI nor intent.
    Malformed,
    /// The pod is another pod than the record's, or is being deleted. The pod controller decides.
    Pod,
    /// Somebody deleted the record while its pod lives. The record is kept, and serves its pod, until the pod is gone.
    PodLives,
    /// The setting `degradation` holds the step back.
    Degraded,
}

impl Wait {
    /// Time after which to look again; `None` if a change wakes the record.
    pub fn again(&self) -> Option<Duration> {
        match self {
            Wait::Later(time) | Wait::Refused { delay: time, .. } => Some(*time),
            Wait::Done
            | Wait::Interfaces
            | Wait::Unattached { .. }
            | Wait::NoTrunk
            | Wait::NoNode
            | Wait::NotServed
            | Wait::Malformed
            | Wait::Pod
            | Wait::PodLives
            | Wait::Degraded => None,
        }
    }
}

/// The steps to take now, and the reason to wait after them.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pub steps: Vec<Step>,
    pub wait: Wait,
}

impl Plan {
    pub(super) fn wait(wait: Wait) -> Self {
        Self {
            steps: Vec::new(),
            wait,
        }
    }

    pub(super) fn step(step: Step, wait: Wait) -> Self {
        Self {
            steps: vec![step],
            wait,
        }
    }
}

/// A function that makes the status of a state from the record and its NetworkInterfaces.
type MakeStatus = fn(&PodEni, &[Option<Arc<NetworkInterface>>], Timestamp) -> PodEniStatus;

/// The step that writes the status of a state, unless the record has it already.
pub(super) fn set_status(observed: &Observed<'_>, make: MakeStatus) -> Vec<Step> {
    let status = make(observed.record, observed.interfaces, observed.now);
    if observed.record.status.as_ref() == Some(&status) {
        return Vec::new();
    }
    vec![Step::SetStatus(Box::new(status))]
}

/// Of two reasons, the one that a person should know.
pub(super) fn worse(one: Wait, other: Wait) -> Wait {
    if rank(&other) > rank(&one) { other } else { one }
}

fn rank(wait: &Wait) -> u8 {
    match wait {
        Wait::Done => 0,
        Wait::Interfaces => 1,
        Wait::Later(_) => 2,
        Wait::Pod => 3,
        Wait::Refused { .. } => 4,
        Wait::Unattached { .. } => 5,
        Wait::NoNode => 6,
        Wait::NoTrunk => 7,
        Wait::NotServed => 8,
        Wait::Malformed => 9,
        Wait::PodLives | Wait::Degraded => 10,
    }
}
