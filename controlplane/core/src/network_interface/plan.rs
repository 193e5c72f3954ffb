//! Plans the next step for one ENI, from the wanted state and the observations.

use std::time::Duration;

use jiff::Timestamp;
use terway_crds::{AttachTo, NetworkInterfaceStatus, Phase};

use super::{Holder, Observed, Step, Wait};
use crate::cloud::{CloudEni, EniObservation, EniStatus};
use crate::intent::elapsed;
use crate::ownership::{Foreign, foreign};

/// Plans the next step.
///
/// # Errors
/// Why there is no step now.
pub fn plan(observed: &Observed<'_>) -> Result<Step, Wait> {
    let step = guarded(observed, next(observed)?)?;
    match is_held_back(observed, &step) {
        true => Err(Wait::Degraded),
        false => Ok(step),
    }
}

/// Lets a call pass only for an ENI that is this cluster's, by what the cloud says of it. Objects that were restored
/// from another cluster name ENIs of that cluster.
fn guarded(observed: &Observed<'_>, step: Step) -> Result<Step, Wait> {
    if !matches!(
        step,
        Step::WriteTerm | Step::Attach(_) | Step::Detach { .. } | Step::Delete
    ) {
        return Ok(step);
    }
    match observed.seen {
        Some((EniObservation::Present(eni), _)) => match foreign(eni, observed.cluster_id) {
            None => Ok(step),
            // A node takes over the ENIs that its instance has. Their objects have no owner.
            Some(Foreign::Untagged) if observed.interface.spec.pod_eni_ref.is_none() => Ok(step),
            Some(why) => Err(Wait::Foreign(why)),
        },
        _ if observed.ours || observed.history.made_here => Ok(step),
        Some((EniObservation::Absent, at)) => absent(observed, at),
        None => Ok(Step::Watch),
    }
}

/// Whether a call has to wait for the end of the degradation. An ENI that moves to the next pod of its name may be
/// detached, because it is not given back.
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
        | Step::WriteLost
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
            // Only objects of upstream have a target in their status and none in their spec. Upstream never writes
            // observedGeneration.
            Phase::Bind | Phase::Binding if status.observed_generation.is_none() => {
                Ok(Step::AdoptTarget(target_of(status)))
            }
            // An attach may be under way even without a phase.
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
        return attached(observed, target);
    }
    let history = observed.history;
    let is_there = matches!(observed.seen, Some((EniObservation::Present(_), _)));
    if history.not_found && !is_there {
        return Err(Wait::NotFound);
    }
    let Some((seen, at)) = observed.seen else {
        // An ENI that this process has just made is not attached. Every other ENI is looked at first.
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
            // The observation may be older than the call, or may not show the call yet.
            Some(sent) if elapsed(sent, at) < observed.limits.grace => await_outcome(observed, sent),
            _ => Ok(Step::Attach(target.clone())),
        },
        EniStatus::Attaching | EniStatus::Detaching | EniStatus::Deleting | EniStatus::Other(_) => {
            Err(Wait::Cloud)
        }
    }
}

/// Plans for an ENI that is recorded as attached where it should be. It is looked at only if there was a reason.
fn attached(observed: &Observed<'_>, target: &AttachTo) -> Result<Step, Wait> {
    match observed.seen {
        None => Err(Wait::Done),
        Some((EniObservation::Absent, at)) => match absent(observed, at) {
            Err(Wait::NotFound) => Ok(Step::WriteLost),
            other => other,
        },
        Some((EniObservation::Present(eni), _)) => match &eni.status {
            EniStatus::InUse if is_attached_as(eni, target) => Err(Wait::Done),
            EniStatus::InUse | EniStatus::Available => Ok(Step::WriteTornOff),
            EniStatus::Attaching | EniStatus::Detaching | EniStatus::Deleting | EniStatus::Other(_) => {
                Err(Wait::Cloud)
            }
        },
    }
}

fn is_attached_as(eni: &CloudEni, target: &AttachTo) -> bool {
    let trunk = eni.trunk_eni_id.as_deref().unwrap_or_default();
    eni.instance_id.as_deref() == Some(&target.instance_id)
        && (target.trunk_eni_id.is_empty() || trunk == target.trunk_eni_id)
}

/// Plans for an ENI that is in use at another place than the target. If our own status has this place, the ENI is
/// detached. Otherwise somebody else attached it there.
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
            // The ENI is not recorded as attached. An attach of this or an earlier leader may not show yet.
            EniStatus::Available if matches!(status.phase, Phase::Initial | Phase::Binding) => {
                let sent = history.attach_sent.unwrap_or(observed.quiet_since);
                let grace = observed.limits.grace;
                if elapsed(sent, at) >= grace {
                    Ok(Step::WriteDetached)
                } else if elapsed(sent, observed.now) >= grace {
                    // The poller has stopped, because it waited for a free ENI.
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
    // An ENI that the cloud does not know can be taken from nobody.
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
        // Absence counts at once only if our own Delete explains it. Otherwise a Delete is sent, because its answer
        // never comes from a stale view.
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

/// Whether the ENI is attached and nobody has begun to detach it. Then the first call needs no look before it.
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

/// Plans for an ENI that the cloud does not show. Only two complete answers, apart in time, prove that it is gone.
fn absent(observed: &Observed<'_>, at: Timestamp) -> Result<Step, Wait> {
    let Some(since) = observed.history.absent_since else {
        return Err(Wait::Later(observed.limits.grace));
    };
    match observed.limits.grace.checked_sub(elapsed(since, at)) {
        Some(left) if !left.is_zero() => Err(Wait::Later(left)),
        _ => Err(Wait::NotFound),
    }
}

/// Waits for the result of an accepted call. The poller tells when the result shows. After the grace the call is
/// repeated.
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
