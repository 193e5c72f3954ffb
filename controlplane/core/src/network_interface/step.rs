//! The steps for one ENI, and the reasons to wait.

use std::time::Duration;

use terway_crds::AttachTo;

use crate::cloud::CloudEni;
use crate::ownership::Foreign;

/// Reason of the condition of an ENI that the cloud does not know, or no longer knows.
pub const ENI_NOT_FOUND: &str = "ENINotFound";

/// Reason of the condition of an ENI that is not this cluster's.
pub const FOREIGN: &str = "ForeignENI";
/// Reason of the condition of an ENI that somebody attached to another instance.
pub const ELSEWHERE: &str = "AttachedElsewhere";
/// Reason of the condition of an ENI that is attached to no instance, as wanted.
pub const DETACHED: &str = "Detached";

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Write the target from the status of an object of upstream into its spec.
    AdoptTarget(AttachTo),
    /// Let the poller look at the ENI. The poller wakes this object.
    Watch,
    /// The last observation is too old for a decision. Let the poller look again.
    LookAgain,
    /// Write this term into the status. The write fails if a newer leader has written.
    WriteTerm,
    Attach(AttachTo),
    /// Detach the ENI from its instance and trunk, if these are known.
    Detach {
        instance_id: String,
        trunk_eni_id: String,
    },
    Delete,
    /// Write that the ENI is attached as wanted.
    WriteAttached(Box<CloudEni>),
    /// Write that the ENI is not attached.
    WriteDetached,
    /// Write that somebody else detached the ENI, or attached it elsewhere. It is attached again afterwards.
    WriteTornOff,
    /// Write that the ENI does not exist any more.
    WriteLost,
    /// Remove the finalizer. The cloud has confirmed that the ENI is gone.
    DropFinalizer,
}

impl Step {
    /// A name for traces.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::AdoptTarget(_) => "adopt target of ENI",
            Self::Watch => "wait for the cloud",
            Self::LookAgain => "look again",
            Self::WriteTerm => "write term",
            Self::Attach(_) => "attach ENI",
            Self::Detach { .. } => "detach ENI",
            Self::Delete => "delete ENI",
            Self::WriteAttached(_) => "write attached",
            Self::WriteDetached => "write detached",
            Self::WriteTornOff => "write torn off",
            Self::WriteLost => "write lost",
            Self::DropFinalizer => "drop finalizer of ENI",
        }
    }
}

/// Why there is nothing to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wait {
    /// The ENI is as wanted.
    Done,
    /// The cloud is acting. The poller will tell the result.
    Cloud,
    /// Look again after this time.
    Later(Duration),
    /// A pod may still be using the ENI.
    HolderLives,
    /// The ENI is attached to another instance, by somebody else.
    Elsewhere { instance_id: String },
    /// The ENI is not this cluster's. Nothing is done with it.
    Foreign(Foreign),
    /// The cloud does not know the ENI.
    NotFound,
    /// The setting `degradation` holds the step back.
    Degraded,
}
