//! A plan for a PodENI: steps, and the reason to wait after them.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use terway_crds::{AttachTo, NetworkInterface, PodEni, PodEniStatus};

use super::observed::Observed;
use crate::cloud::CloudEni;
use crate::intent::Refused;

/// One step. Steps of different allocations do not depend on each other.
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
    /// Make the NetworkInterface of this ENI (first: it owns the ENI), then write the ENI down.
    Record {
        index: usize,
        eni: Box<CloudEni>,
        attach_to: Option<AttachTo>,
    },
    /// Choose again and count the attempt on, in one write.
    NextAttempt {
        index: usize,
        refused: Option<Refused>,
    },
    /// The cloud lost the ENI before it was ever used: forget it and make another.
    Replace {
        index: usize,
    },
    /// The record has an ENI that no NetworkInterface owns: make one.
    MakeInterface {
        index: usize,
        attach_to: Option<AttachTo>,
    },
    /// Write where the ENI is to be attached; nowhere for `None`.
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

/// Why there is nothing (more) to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wait {
    /// Everything is as wanted.
    Done,
    /// NetworkInterfaces are on their way; each change wakes us.
    Interfaces,
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
    /// The node is not known.
    NoNode,
    /// Whole ENIs are not served on this node.
    NotServed,
    /// A record without allocations, or one with neither ENI nor intent.
    Malformed,
    /// The pod is not the one the record is for, or is leaving: the pod controller decides.
    Pod,
    /// Deleted by somebody while the pod lives: kept until the pod is gone.
    PodLives,
    /// Held back by the setting `degradation`.
    Degraded,
}

impl Wait {
    /// Time after which to look again; `None` where a change wakes us.
    pub fn again(&self) -> Option<Duration> {
        match self {
            Wait::Later(time) | Wait::Refused { delay: time, .. } => Some(*time),
            Wait::Done
            | Wait::Interfaces
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

/// Steps to take now, and what is waited for after them.
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

/// Makes the status of a state from the record and its NetworkInterfaces.
type MakeStatus = fn(&PodEni, &[Option<Arc<NetworkInterface>>], Timestamp) -> PodEniStatus;

/// Writes the status of a state, where it is not what stands there.
pub(super) fn set_status(observed: &Observed<'_>, make: MakeStatus) -> Vec<Step> {
    let status = make(observed.record, observed.interfaces, observed.now);
    if observed.record.status.as_ref() == Some(&status) {
        return Vec::new();
    }
    vec![Step::SetStatus(Box::new(status))]
}

/// Of two reasons the one a person should be told.
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
        Wait::NoNode => 5,
        Wait::NoTrunk => 6,
        Wait::NotServed => 7,
        Wait::Malformed => 8,
        Wait::PodLives | Wait::Degraded => 9,
    }
}
