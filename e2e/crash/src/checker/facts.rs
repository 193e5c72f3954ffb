//! The facts of one run that the rules look at.

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
    /// A moment just before its sandbox was given up; `None` while it lives.
    pub gone: Option<Timestamp>,
    /// When its node reported the end of its sandbox, or was gone itself. Before that (`None`) a shared address belongs
    /// to the pod, whatever became of the pod.
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
    /// Deleted; otherwise detached.
    pub deleted: bool,
}

/// Everything the rules look at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// In the order in which the cloud acted.
    pub calls: Vec<Call>,
    pub pods: Vec<PodLife>,
    pub claims: Vec<Claim>,
    /// In the order of their beginning.
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

    /// Whether somebody else had deleted an ENI by `at`.
    pub(super) fn deleted_by_others(&self, eni: &str, at: Timestamp) -> bool {
        let mut removals = self.removals_of(eni, at);
        removals.any(|removed| removed.deleted)
    }

    /// Whether an ENI served nobody at `at`: somebody else had deleted it, or had detached it and it was not attached
    /// again.
    pub(super) fn out_of_service(&self, eni: &str, at: Timestamp) -> bool {
        let attached_since = |removed: &Removed| {
            let mut calls = self.calls.iter();
            calls.any(|call| call.attaches(eni) && call.done() && removed.at < call.acted && call.acted <= at)
        };
        let mut removals = self.removals_of(eni, at);
        removals.any(|removed| removed.deleted || !attached_since(removed))
    }

    fn removals_of<'a>(&'a self, eni: &'a str, until: Timestamp) -> impl Iterator<Item = &'a Removed> {
        let removed = self.removed.iter();
        removed.filter(move |removed| removed.eni == eni && removed.at <= until)
    }
}

impl PodLife {
    /// Whether its sandbox may have been alive.
    pub(super) fn lives_at(&self, at: Timestamp) -> bool {
        self.born <= at && self.gone.is_none_or(|gone| at < gone)
    }

    /// Whether the ENI or address of a claim was still the pod's at `at`.
    pub(super) fn holds(&self, claim: &Claim, at: Timestamp) -> bool {
        let kept = claim.shared && self.let_go.is_none_or(|let_go| at < let_go);
        self.lives_at(at) || self.born <= at && kept
    }
}
