//! The next step for one ENI, from what is wanted and what was seen.

use std::time::Duration;

use jiff::Timestamp;
use terway_crds::{AttachTo, NetworkInterface, NetworkInterfaceStatus, Phase};

use crate::cloud::{CloudEni, EniObservation, EniStatus};
use crate::degradation::Degradation;
use crate::intent::{Limits, elapsed};

/// Reason of the condition on an ENI that the cloud does not know (any more).
pub const ENI_NOT_FOUND: &str = "ENINotFound";

/// Whether somebody may be using the ENI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// The pod that the owner is for has, or may have, running containers.
    Living,
    /// Nobody: no owner, or the pod is gone or was given up.
    Gone,
}

/// What this process did to the ENI and learnt from it. Nothing of this needs to survive the process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// This process made the ENI and its object: it is attached nowhere.
    pub made_here: bool,
    pub attach_sent: Option<Timestamp>,
    pub detach_sent: Option<Timestamp>,
    pub delete_sent: Option<Timestamp>,
    /// The cloud said that there is no such ENI, in answer to a call on it.
    pub not_found: bool,
    /// When the first of two complete answers without the ENI was seen.
    pub absent_since: Option<Timestamp>,
}

/// What is known of one ENI.
#[derive(Debug, Clone)]
pub struct Observed<'a> {
    pub interface: &'a NetworkInterface,
    pub holder: Holder,
    pub history: &'a History,
    /// What the poller saw last, and when.
    pub seen: Option<(&'a EniObservation, Timestamp)>,
    /// This term of leadership, and since when no other process sends calls.
    pub term: &'a str,
    pub quiet_since: Timestamp,
    pub now: Timestamp,
    pub limits: &'a Limits,
    pub degradation: Degradation,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Write the target that an object of upstream carries in its status into its spec.
    AdoptTarget(AttachTo),
    /// Let the poller look; it wakes us.
    Watch,
    /// What was seen is too old to decide on: have the poller look anew.
    LookAgain,
    /// Write this term into the status: the write that a newer leader would have refused us.
    WriteTerm,
    Attach(AttachTo),
    /// Detach from what the ENI is attached to, as far as it is known.
    Detach {
        instance_id: String,
        trunk_eni_id: String,
    },
    Delete,
    /// Write that it is attached as wanted.
    WriteAttached(Box<CloudEni>),
    /// Write that it is attached nowhere.
    WriteDetached,
    /// Write that somebody else detached it; it is attached again.
    WriteTornOff,
    /// The cloud has confirmed that it is gone.
    DropFinalizer,
}

/// Why there is nothing to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wait {
    /// It is as wanted.
    Done,
    /// The cloud is at it; the poller will tell.
    Cloud,
    /// Look again after this time.
    Later(Duration),
    /// Somebody may still be using it.
    HolderLives,
    /// It is attached where nobody asked for, and it is not ours to say why.
    Elsewhere { instance_id: String },
    /// The cloud does not know it.
    NotFound,
    /// Held back by the setting `degradation`.
    Degraded,
}

/// The state of an ENI that the poller is to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Awaited {
    Attached,
    /// Attached nowhere.
    Free,
    Gone,
}

impl Observed<'_> {
    /// The state that is wanted, or asked for already.
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

/// Plans the next step, or says why there is none.
pub fn plan(observed: &Observed<'_>) -> Result<Step, Wait> {
    let step = next(observed)?;
    match is_held_back(observed, &step) {
        true => Err(Wait::Degraded),
        false => Ok(step),
    }
}

/// Whether a call has to wait for the end of the degradation. An ENI that moves to the next pod of its name is not
/// given back.
fn is_held_back(observed: &Observed<'_>, step: &Step) -> bool {
    let degradation = observed.degradation;
    let leaving = observed.interface.metadata.deletion_timestamp.is_some();
    match step {
        Step::Attach(_) => degradation.begins_nothing(),
        Step::Detach { .. } if !leaving && observed.interface.spec.attach_to.is_some() => {
            degradation.begins_nothing()
        }
        Step::Detach { .. } | Step::Delete => degradation.keeps_everything(),
        Step::AdoptTarget(_)
        | Step::Watch
        | Step::LookAgain
        | Step::WriteTerm
        | Step::WriteAttached(_)
        | Step::WriteDetached
        | Step::WriteTornOff
        | Step::DropFinalizer => false,
    }
}

fn next(observed: &Observed<'_>) -> Result<Step, Wait> {
    let interface = observed.interface;
    let default = NetworkInterfaceStatus::default();
    let status = interface.status.as_ref().unwrap_or(&default);
    let hands_off = interface.spec.manage_policy.hands_off();
    if interface.metadata.deletion_timestamp.is_some() {
        if hands_off {
            return Ok(Step::DropFinalizer);
        }
        return remove(observed, status);
    }
    match &interface.spec.attach_to {
        Some(target) => attach(observed, status, target),
        None => match status.phase {
            // Only upstream leaves an object with a target in its status and none in its spec,
            // and it never writes observedGeneration.
            Phase::Bind | Phase::Binding if status.observed_generation.is_none() => {
                Ok(Step::AdoptTarget(target_of(status)))
            }
            // Without a phase an attach may be under way all the same.
            Phase::Initial | Phase::Bind | Phase::Binding | Phase::Detaching if !hands_off => {
                detach(observed, status)
            }
            _ => Err(Wait::Done),
        },
    }
}

fn target_of(status: &NetworkInterfaceStatus) -> AttachTo {
    AttachTo {
        instance_id: status.instance_id.clone(),
        trunk_eni_id: status.trunk_eni_id.clone(),
        node_name: status.node_name.clone(),
        network_card_index: status.network_card_index,
    }
}

fn is_at(status: &NetworkInterfaceStatus, target: &AttachTo) -> bool {
    status.instance_id == target.instance_id && status.trunk_eni_id == target.trunk_eni_id
}

fn attach(observed: &Observed<'_>, status: &NetworkInterfaceStatus, target: &AttachTo) -> Result<Step, Wait> {
    if status.phase == Phase::Bind && is_at(status, target) {
        // Nobody looks at an ENI that is as wanted, unless something gave a reason to.
        return match observed.seen {
            Some((EniObservation::Present(eni), _)) if eni.status == EniStatus::Available => {
                Ok(Step::WriteTornOff)
            }
            _ => Err(Wait::Done),
        };
    }
    let history = observed.history;
    if history.not_found {
        return Err(Wait::NotFound);
    }
    let Some((seen, at)) = observed.seen else {
        // What this process has just made is attached nowhere; all else is looked at first.
        let untouched = history.made_here && history.attach_sent.is_none() && history.detach_sent.is_none();
        return if untouched {
            Ok(Step::Attach(target.clone()))
        } else {
            Ok(Step::Watch)
        };
    };
    let eni = match seen {
        EniObservation::Present(eni) => eni,
        EniObservation::Absent => return absent(observed, at),
    };
    match &eni.status {
        EniStatus::InUse if is_attached_as(eni, target) => Ok(Step::WriteAttached(eni.clone())),
        EniStatus::InUse => leave_other_place(observed, status, eni),
        EniStatus::Available => match history.attach_sent {
            // The answer may be older than the call, or the call may not show yet.
            Some(sent) if elapsed(sent, at) < observed.limits.grace => await_outcome(observed, sent),
            _ => Ok(Step::Attach(target.clone())),
        },
        EniStatus::Attaching | EniStatus::Detaching | EniStatus::Deleting | EniStatus::Other(_) => {
            Err(Wait::Cloud)
        }
    }
}

fn is_attached_as(eni: &CloudEni, target: &AttachTo) -> bool {
    let trunk = eni.trunk_eni_id.as_deref().unwrap_or_default();
    eni.instance_id.as_deref() == Some(&target.instance_id)
        && (target.trunk_eni_id.is_empty() || trunk == target.trunk_eni_id)
}

/// In use at a place that is not the target. Where our own status says that we put it there, it is
/// taken away; otherwise somebody else did.
fn leave_other_place(
    observed: &Observed<'_>,
    status: &NetworkInterfaceStatus,
    eni: &CloudEni,
) -> Result<Step, Wait> {
    let instance_id = eni.instance_id.clone().unwrap_or_default();
    let ours = !status.instance_id.is_empty() && status.instance_id == instance_id;
    if !ours {
        return Err(Wait::Elsewhere { instance_id });
    }
    send_detach(observed, status, Some(eni))
}

fn detach(observed: &Observed<'_>, status: &NetworkInterfaceStatus) -> Result<Step, Wait> {
    if observed.holder == Holder::Living {
        return Err(Wait::HolderLives);
    }
    let history = observed.history;
    if history.not_found {
        return Ok(Step::WriteDetached);
    }
    match observed.seen {
        None if history.made_here && history.attach_sent.is_none() => Ok(Step::WriteDetached),
        None if is_untouched(observed, status) => send_detach(observed, status, None),
        None => Ok(Step::Watch),
        Some((EniObservation::Absent, at)) => match absent(observed, at) {
            Err(Wait::NotFound) => Ok(Step::WriteDetached),
            other => other,
        },
        Some((EniObservation::Present(eni), at)) => match &eni.status {
            // It is not recorded as attached: an attach of ours, or of a leader before, may not show yet.
            EniStatus::Available if matches!(status.phase, Phase::Initial | Phase::Binding) => {
                let sent = history.attach_sent.unwrap_or(observed.quiet_since);
                let grace = observed.limits.grace;
                if elapsed(sent, at) >= grace {
                    Ok(Step::WriteDetached)
                } else if elapsed(sent, observed.now) >= grace {
                    // Free is what was waited for, so nobody looks any more.
                    Ok(Step::LookAgain)
                } else {
                    await_outcome(observed, sent)
                }
            }
            EniStatus::Available => Ok(Step::WriteDetached),
            EniStatus::InUse => match history.detach_sent {
                Some(sent) if elapsed(sent, at) < observed.limits.grace => await_outcome(observed, sent),
                _ => send_detach(observed, status, Some(eni)),
            },
            _ => Err(Wait::Cloud),
        },
    }
}

fn remove(observed: &Observed<'_>, status: &NetworkInterfaceStatus) -> Result<Step, Wait> {
    let history = observed.history;
    // What the cloud does not know any more cannot be taken from anybody, living or not.
    if history.not_found || is_gone(observed) {
        return Ok(Step::DropFinalizer);
    }
    if observed.holder == Holder::Living {
        return Err(Wait::HolderLives);
    }
    let never_attached = history.made_here && history.attach_sent.is_none();
    match observed.seen {
        None if never_attached => send_delete(observed, status),
        None if is_untouched(observed, status) => send_detach(observed, status, None),
        None => Ok(Step::Watch),
        // Absence is believed at once only when our own Delete explains it; otherwise a Delete is
        // sent, whose answer does not come from a stale view.
        Some((EniObservation::Absent, _)) if history.delete_sent.is_some() => Ok(Step::DropFinalizer),
        Some((EniObservation::Absent, _)) => send_delete(observed, status),
        Some((EniObservation::Present(eni), at)) => match &eni.status {
            EniStatus::Available => match history.delete_sent {
                Some(sent) if elapsed(sent, at) < observed.limits.grace => await_outcome(observed, sent),
                _ => send_delete(observed, status),
            },
            EniStatus::InUse => match history.detach_sent {
                Some(sent) if elapsed(sent, at) < observed.limits.grace => await_outcome(observed, sent),
                _ => send_detach(observed, status, Some(eni)),
            },
            _ => Err(Wait::Cloud),
        },
    }
}

/// Attached, and nobody has begun to take it away: no look is needed before the first call.
fn is_untouched(observed: &Observed<'_>, status: &NetworkInterfaceStatus) -> bool {
    let history = observed.history;
    let by_others = !status.term.is_empty() && status.term != observed.term;
    status.phase == Phase::Bind
        && history.detach_sent.is_none()
        && history.delete_sent.is_none()
        && !by_others
}

/// Whether two complete answers, apart in time, did not have the ENI.
fn is_gone(observed: &Observed<'_>) -> bool {
    match observed.seen {
        Some((EniObservation::Absent, at)) => absent(observed, at) == Err(Wait::NotFound),
        Some((EniObservation::Present(_), _)) | None => false,
    }
}

/// Two complete answers, apart in time, must agree that the ENI is not there.
fn absent(observed: &Observed<'_>, at: Timestamp) -> Result<Step, Wait> {
    let Some(since) = observed.history.absent_since else {
        return Err(Wait::Later(observed.limits.grace));
    };
    match observed.limits.grace.checked_sub(elapsed(since, at)) {
        Some(left) if !left.is_zero() => Err(Wait::Later(left)),
        _ => Err(Wait::NotFound),
    }
}

/// A call was accepted a moment ago: the poller tells when it shows, and when the grace is over
/// the call is made again.
fn await_outcome(observed: &Observed<'_>, sent: Timestamp) -> Result<Step, Wait> {
    let left = observed.limits.grace.saturating_sub(elapsed(sent, observed.now));
    Err(Wait::Later(left.max(Duration::from_secs(1))))
}

fn send_detach(
    observed: &Observed<'_>,
    status: &NetworkInterfaceStatus,
    eni: Option<&CloudEni>,
) -> Result<Step, Wait> {
    if status.term != observed.term {
        return Ok(Step::WriteTerm);
    }
    let (instance_id, trunk_eni_id) = match eni {
        Some(eni) => (
            eni.instance_id.clone().unwrap_or_default(),
            eni.trunk_eni_id.clone().unwrap_or_default(),
        ),
        None => (status.instance_id.clone(), status.trunk_eni_id.clone()),
    };
    if instance_id.is_empty() {
        // An attached ENI of which we do not know where: the state tells.
        return Ok(Step::Watch);
    }
    Ok(Step::Detach {
        instance_id,
        trunk_eni_id,
    })
}

fn send_delete(observed: &Observed<'_>, status: &NetworkInterfaceStatus) -> Result<Step, Wait> {
    if status.term != observed.term {
        return Ok(Step::WriteTerm);
    }
    Ok(Step::Delete)
}
