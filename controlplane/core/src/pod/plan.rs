//! Plans the next action for a pod and the PodENI of its name.

use std::time::Duration;

use jiff::Timestamp;
use terway_crds::names::{annotation, label};
use terway_crds::{Phase, PodEni};

use super::PodFacts;
use crate::gc::{Expiry, expiry, seen_interval};
use crate::intent::elapsed;
use crate::node::NodeFacts;

/// The action for a pod, and the time of the next look if nothing changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub action: Action,
    /// `None` when only a change gives a reason to look.
    pub look_again: Option<Duration>,
}

/// One action on the PodENI of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Nothing to do now.
    Nothing(Idle),
    /// Write a PodENI with an intent for each network.
    Create,
    /// Write the new pod's UID and node into the PodENI of its predecessor.
    Rebind,
    /// Write this phase.
    SetPhase(Phase),
    /// Delete the PodENI that was read, and no other.
    Delete,
    /// Delete the PodENI that was read. It was kept for the next pod of its name, and its time is over.
    Expire,
    /// Write that a pod of this name exists, so that the time of the kept ENI does not run out. The pod waits for this
    /// reason.
    KeepAlive(Idle),
}

/// Why there is nothing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Idle {
    /// There is no pod and no record.
    NoRecord,
    /// The pod does not ask for ENIs of its own.
    NotWanted,
    /// The pod is not scheduled yet.
    NotScheduled,
    /// The pod's node is not known yet, or is not managed.
    NodeUnknown,
    /// The record is for this pod, and its ENIs are not attached yet.
    InProgress,
    /// The record is for this pod, and its ENIs are attached.
    Bound,
    /// The pod is being deleted; its containers may still run.
    SandboxMayLive,
    /// The record is being deleted. A new record can be made when it is gone.
    RecordBeingDeleted,
    /// The ENIs are being detached from the earlier pod.
    BeingDetached,
    /// A Fixed record waits for the next pod of its name.
    Kept,
    /// There is a Fixed record, but this pod's name does not last.
    NameNotFixed,
    /// The kept ENIs are in another zone than the pod's node.
    OtherZone,
}

impl Idle {
    /// The note on the pod, if a person has to act.
    pub fn note(self) -> Option<&'static str> {
        match self {
            Self::NameNotFixed => {
                Some("a Fixed PodENI of this name is kept for a pod whose name lasts; delete it to go on")
            }
            Self::OtherZone => Some("the pod's node is in another zone than its kept ENI: move the pod"),
            Self::NoRecord
            | Self::NotWanted
            | Self::NotScheduled
            | Self::NodeUnknown
            | Self::InProgress
            | Self::Bound
            | Self::SandboxMayLive
            | Self::RecordBeingDeleted
            | Self::BeingDetached
            | Self::Kept => None,
        }
    }
}

/// Plans for a pod. `pod` is `None` only if certainly no pod of this name exists.
pub fn plan(
    pod: Option<&PodFacts>,
    record: Option<&PodEni>,
    node: Option<&NodeFacts>,
    now: Timestamp,
) -> Plan {
    let action = decide(pod, record, node);
    let (Action::Nothing(idle), Some(record)) = (&action, record) else {
        return Plan {
            action,
            look_again: None,
        };
    };
    match idle {
        Idle::Kept => plan_kept(record, now),
        Idle::NotScheduled | Idle::NodeUnknown | Idle::OtherZone => plan_waiting(record, *idle, now),
        Idle::NoRecord
        | Idle::NotWanted
        | Idle::InProgress
        | Idle::Bound
        | Idle::SandboxMayLive
        | Idle::RecordBeingDeleted
        | Idle::BeingDetached
        | Idle::NameNotFixed => Plan {
            action,
            look_again: None,
        },
    }
}

/// Plans for a record that waits for the next pod of its name. Its time runs.
fn plan_kept(record: &PodEni, now: Timestamp) -> Plan {
    let (action, look_again) = match expiry(record, now) {
        Expiry::Now => (Action::Expire, None),
        Expiry::In(left) => (Action::Nothing(Idle::Kept), Some(left)),
        Expiry::Never => (Action::Nothing(Idle::Kept), None),
    };
    Plan { action, look_again }
}

/// Plans for a kept record while a pod of its name waits. `podLastSeen` is written from time to time.
fn plan_waiting(record: &PodEni, idle: Idle, now: Timestamp) -> Plan {
    let kept = *phase(record) == Phase::Unbind;
    let look_again = seen_interval(record).filter(|_| kept);
    let last = record
        .status
        .as_ref()
        .and_then(|status| status.pod_last_seen.as_ref());
    let is_due = |interval| last.is_none_or(|last| elapsed(last.0, now) >= interval);
    let action = match look_again.is_some_and(is_due) {
        true => Action::KeepAlive(idle),
        false => Action::Nothing(idle),
    };
    Plan { action, look_again }
}

fn decide(pod: Option<&PodFacts>, record: Option<&PodEni>, node: Option<&NodeFacts>) -> Action {
    let Some(record) = record else {
        return plan_new(pod, node);
    };
    if record.metadata.deletion_timestamp.is_some() || phase(record) == &Phase::Deleting {
        return Action::Nothing(Idle::RecordBeingDeleted);
    }
    let Some(pod) = pod else {
        return plan_gone(record);
    };
    if pod.uid == pod_uid(record) {
        return plan_same(pod, record, node);
    }
    // The record's earlier pod is gone, because two pods of one name never exist at the same time.
    if !pod.needs_pod_eni() || !is_fixed(record) {
        return plan_gone(record);
    }
    match phase(record) {
        Phase::Unbind => plan_rebind(pod, record, node),
        Phase::Detaching => Action::Nothing(Idle::BeingDetached),
        _ => plan_gone(record),
    }
}

fn plan_new(pod: Option<&PodFacts>, node: Option<&NodeFacts>) -> Action {
    let Some(pod) = pod else {
        return Action::Nothing(Idle::NoRecord);
    };
    if !pod.needs_pod_eni() {
        return Action::Nothing(Idle::NotWanted);
    }
    if pod.node.is_empty() {
        return Action::Nothing(Idle::NotScheduled);
    }
    // A pod that is being deleted gets no ENI.
    if pod.deleting {
        return Action::Nothing(Idle::SandboxMayLive);
    }
    match node {
        Some(node) if !node.ignored => Action::Create,
        _ => Action::Nothing(Idle::NodeUnknown),
    }
}

fn plan_same(pod: &PodFacts, record: &PodEni, node: Option<&NodeFacts>) -> Action {
    if pod.exited {
        return plan_gone(record);
    }
    match phase(record) {
        Phase::Bind => Action::Nothing(Idle::Bound),
        Phase::Detaching => Action::Nothing(Idle::BeingDetached),
        Phase::Unbind if pod.deleting => Action::Nothing(Idle::SandboxMayLive),
        Phase::Unbind => plan_rebind(pod, record, node),
        _ if pod.deleting => Action::Nothing(Idle::SandboxMayLive),
        _ => Action::Nothing(Idle::InProgress),
    }
}

/// Plans for kept ENIs that this pod can have.
fn plan_rebind(pod: &PodFacts, record: &PodEni, node: Option<&NodeFacts>) -> Action {
    if !pod.fixed_name {
        return Action::Nothing(Idle::NameNotFixed);
    }
    if pod.node.is_empty() {
        return Action::Nothing(Idle::NotScheduled);
    }
    if pod.deleting {
        return Action::Nothing(Idle::SandboxMayLive);
    }
    let Some(node) = node else {
        return Action::Nothing(Idle::NodeUnknown);
    };
    if !record.spec.zone.is_empty() && record.spec.zone != node.zone {
        return Action::Nothing(Idle::OtherZone);
    }
    if pod_uid(record) != pod.uid || node_name(record) != pod.node {
        return Action::Rebind;
    }
    Action::SetPhase(Phase::Binding)
}

/// Plans for the record of a pod that does not run any more.
fn plan_gone(record: &PodEni) -> Action {
    if !is_fixed(record) {
        return Action::Delete;
    }
    match phase(record) {
        Phase::Unbind => Action::Nothing(Idle::Kept),
        Phase::Detaching => Action::Nothing(Idle::BeingDetached),
        // No ENI was made yet, so nothing can be kept.
        _ if record
            .spec
            .allocations
            .iter()
            .all(|allocation| allocation.eni.id.is_empty()) =>
        {
            Action::Delete
        }
        _ => Action::SetPhase(Phase::Detaching),
    }
}

fn phase(record: &PodEni) -> &Phase {
    record
        .status
        .as_ref()
        .map_or(&Phase::Initial, |status| &status.phase)
}

/// UID of the pod that a record is for.
pub fn pod_uid(record: &PodEni) -> &str {
    record
        .metadata
        .annotations
        .as_ref()
        .and_then(|a| a.get(annotation::POD_UID))
        .map_or("", String::as_str)
}

/// Node that a record is for.
pub fn node_name(record: &PodEni) -> &str {
    record
        .metadata
        .labels
        .as_ref()
        .and_then(|l| l.get(label::NODE))
        .map_or("", String::as_str)
}

/// Whether the ENIs outlive the pod: one Fixed allocation keeps all of them.
pub fn is_fixed(record: &PodEni) -> bool {
    record
        .spec
        .allocations
        .iter()
        .any(|allocation| allocation.allocation_type.is_fixed())
}
