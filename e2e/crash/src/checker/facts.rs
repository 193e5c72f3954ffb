//! What is known of one run.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::Call;

/// The life of a pod, as the scenario made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodLife {
    pub uid: String,
    pub name: String,
    pub node: String,
    /// Its ENIs outlive it.
    pub fixed: bool,
    pub born: Timestamp,
    /// From just before its sandbox was given up; `None` while it lives.
    pub gone: Option<Timestamp>,
    /// Since when its node says that its sandbox is gone, or is gone itself; `None` before. Until then a shared
    /// address is its own, whatever became of the pod.
    pub let_go: Option<Timestamp>,
}

/// An object said that this ENI and address belong to this pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    pub pod_uid: String,
    /// Which of the pod's networks.
    pub index: usize,
    pub eni: String,
    pub address: String,
    /// The ENI serves other pods too: only the address is the pod's own.
    pub shared: bool,
    pub at: Timestamp,
}

/// A period of leadership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// Identity of the holder, as it stands in the Lease; empty while nobody leads.
    pub holder: String,
    pub since: Timestamp,
}

/// An ENI that somebody other than the control plane deleted or tore off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    pub eni: String,
    pub at: Timestamp,
    /// Deleted, and not merely detached.
    pub deleted: bool,
}

/// Everything the rules look at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// In the order in which the cloud acted.
    pub calls: Vec<Call>,
    pub pods: Vec<PodLife>,
    pub claims: Vec<Claim>,
    /// In order.
    pub terms: Vec<Term>,
    /// ENIs that are not the control plane's.
    pub foreign: BTreeSet<String>,
    pub removed: Vec<Removed>,
    /// The recorded operation that the ClientToken of an Assign stands for.
    pub assigns: BTreeMap<String, String>,
    /// Time between the end of a sandbox and the next use of its shared address.
    pub cooldown: SignedDuration,
}

impl Facts {
    /// The pod of a claim.
    pub(super) fn pod(&self, uid: &str) -> Option<&PodLife> {
        self.pods.iter().find(|pod| pod.uid == uid)
    }

    /// Whether somebody else interfered with an ENI before `at`.
    pub(super) fn interfered(&self, eni: &str, at: Timestamp) -> bool {
        self.removed
            .iter()
            .any(|removed| removed.eni == eni && removed.at <= at)
    }
}

impl PodLife {
    /// Whether its sandbox may have been alive.
    pub(super) fn lives_at(&self, at: Timestamp) -> bool {
        self.born <= at && self.gone.is_none_or(|gone| at < gone)
    }

    /// Whether what it was bound to was still its own.
    pub(super) fn holds(&self, claim: &Claim, at: Timestamp) -> bool {
        let kept = claim.shared && self.let_go.is_none_or(|let_go| at < let_go);
        self.lives_at(at) || self.born <= at && kept
    }
}
