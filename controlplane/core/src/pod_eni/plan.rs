//! Plans the steps for a PodENI, from the record, its NetworkInterfaces, its pod and its node.

use terway_crds::names::finalizer;
use terway_crds::{Allocation, AttachTo, NetworkInterface, Phase, PodEni};

use super::bind::{is_lost, is_replaceable, plan_binding, target};
use super::observed::{Observed, PodState, interface};
use super::record::open_intent;
use super::status;
use super::step::{Plan, Step, Wait, set_status, worse};
use crate::intent::{self, Resolution};

/// Plans for a PodENI.
pub fn plan(observed: &Observed<'_>) -> Plan {
    let mut plan = decide(observed);
    if observed.degradation.begins_nothing() {
        // A create that may have been sent before waits too. Its intent stays open, and its ENI is found by the intent
        // later.
        let before = plan.steps.len();
        plan.steps.retain(|step| !matches!(step, Step::Create { .. }));
        if plan.steps.len() < before {
            plan.wait = Wait::Degraded;
        }
    }
    plan
}

fn decide(observed: &Observed<'_>) -> Plan {
    let record = observed.record;
    if record.metadata.deletion_timestamp.is_some() {
        return plan_deletion(observed);
    }
    match phase(record) {
        Phase::Initial | Phase::Binding => plan_binding(observed),
        Phase::Bind => plan_bound(observed),
        Phase::Detaching => plan_detaching(observed),
        Phase::Unbind => Plan::wait(Wait::Done),
        Phase::Deleting => Plan::step(Step::DeleteRecord, Wait::Done),
        Phase::Other(_) => Plan::wait(Wait::Malformed),
    }
}

fn phase(record: &PodEni) -> &Phase {
    let status = record.status.as_ref();
    status.map_or(&Phase::Initial, |status| &status.phase)
}

/// Plans for a bound record. A target that somebody removed is written again, and an ENI follows its node to another
/// trunk or instance. What the cloud took away is said.
fn plan_bound(observed: &Observed<'_>) -> Plan {
    let record = observed.record;
    let mut steps = Vec::new();
    for (index, allocation) in record.spec.allocations.iter().enumerate() {
        if allocation.eni.id.is_empty() {
            continue;
        }
        // A record from before NetworkInterfaces existed has the place in its own status.
        let Ok(target) = target(allocation, observed.node, record) else {
            continue;
        };
        let status = record.status.clone().unwrap_or_default();
        match interface(observed, index) {
            None if target.instance_id == status.instance_id => steps.push(Step::MakeInterface {
                index,
                attach_to: Some(target),
            }),
            Some(interface) if follows(observed, interface, &target) => steps.push(Step::SetTarget {
                index,
                attach_to: Some(target),
            }),
            Some(_) | None => {}
        }
    }
    if !steps.is_empty() {
        return Plan {
            steps,
            wait: Wait::Done,
        };
    }
    let indices = 0..record.spec.allocations.len();
    let torn = indices
        .clone()
        .filter_map(|index| interface(observed, index))
        .find(|interface| !is_attached(interface));
    match torn {
        // The pod has not begun with its network. Binding the record again replaces the ENI.
        Some(interface) if is_lost(interface) && !observed.started && may_be_replaced(observed) => {
            let status = status::phase_only(record, Phase::Binding, None);
            Plan::step(Step::SetStatus(Box::new(status)), Wait::Done)
        }
        Some(interface) => Plan::wait(status::unattached(record, interface)),
        None if indices.clone().all(|index| interface(observed, index).is_some()) => Plan {
            steps: set_status(observed, status::bound),
            wait: Wait::Done,
        },
        None => Plan::wait(Wait::Done),
    }
}

/// Whether an attached ENI has to go to another place, because its node has another trunk or is on another instance.
fn follows(observed: &Observed<'_>, interface: &NetworkInterface, target: &AttachTo) -> bool {
    let wanted = interface.spec.attach_to.as_ref();
    let elsewhere = wanted.is_some_and(|wanted| {
        wanted.instance_id != target.instance_id || wanted.trunk_eni_id != target.trunk_eni_id
    });
    elsewhere && observed.pod == PodState::Living && interface.metadata.deletion_timestamp.is_none()
}

/// Whether a NetworkInterface says that its ENI is attached where it should be.
fn is_attached(interface: &NetworkInterface) -> bool {
    let Some(status) = interface
        .status
        .as_ref()
        .filter(|status| status.phase == Phase::Bind)
    else {
        return false;
    };
    // Objects of upstream have no target.
    interface.spec.attach_to.as_ref().is_none_or(|target| {
        status.instance_id == target.instance_id && status.trunk_eni_id == target.trunk_eni_id
    })
}

/// Whether every ENI of the record can be made anew.
fn may_be_replaced(observed: &Observed<'_>) -> bool {
    let allocations = &observed.record.spec.allocations;
    observed.pod == PodState::Living && allocations.iter().all(is_replaceable)
}

fn plan_detaching(observed: &Observed<'_>) -> Plan {
    if observed.pod != PodState::Gone {
        return Plan::wait(Wait::PodLives);
    }
    let mut steps = Vec::new();
    let mut attached = false;
    for index in 0..observed.record.spec.allocations.len() {
        let Some(interface) = interface(observed, index) else {
            continue;
        };
        if interface.metadata.deletion_timestamp.is_some() {
            continue;
        }
        if interface.spec.attach_to.is_some() {
            steps.push(Step::SetTarget {
                index,
                attach_to: None,
            });
        }
        let phase = interface
            .status
            .as_ref()
            .map_or(&Phase::Initial, |status| &status.phase);
        // The ENI is attached, or an attach may be under way, also without a phase. Only the NetworkInterface knows
        // when this is over, and says so unless the ENI must not be touched.
        let untouched = *phase == Phase::Initial && interface.spec.manage_policy.hands_off();
        attached |= interface.spec.attach_to.is_some() || !(*phase == Phase::Unbind || untouched);
    }
    if steps.is_empty() && !attached {
        return Plan {
            steps: set_status(observed, status::unbound),
            wait: Wait::Done,
        };
    }
    Plan {
        steps,
        wait: Wait::Interfaces,
    }
}

/// Plans for a record that is being deleted. The finalizer holds the record while its pod lives.
fn plan_deletion(observed: &Observed<'_>) -> Plan {
    let finalizers = observed.record.metadata.finalizers.as_deref().unwrap_or_default();
    if !finalizers
        .iter()
        .any(|f| f == finalizer::POD_ENI || f == finalizer::POD_ENI_OLD)
    {
        return Plan::wait(Wait::Done);
    }
    match observed.pod {
        PodState::Living => serve_to_the_end(observed),
        PodState::Leaving => Plan::wait(Wait::PodLives),
        PodState::Gone => release(observed),
    }
}

/// Plans for a record that is being deleted while its pod lives. The pod needs its network until its end, and no other
/// record can be made for the pod before this one is gone. So the recorded intents are carried out as for any record.
fn serve_to_the_end(observed: &Observed<'_>) -> Plan {
    let mut plan = match phase(observed.record) {
        Phase::Initial | Phase::Binding => plan_binding(observed),
        Phase::Bind => plan_bound(observed),
        Phase::Detaching | Phase::Unbind | Phase::Deleting | Phase::Other(_) => Plan::wait(Wait::PodLives),
    };
    if matches!(plan.wait, Wait::Done | Wait::Interfaces) {
        plan.wait = Wait::PodLives;
    }
    plan
}

/// Releases what the record names. The finalizer goes when every intent is resolved and each ENI has a NetworkInterface
/// that is being deleted. The NetworkInterface waits for the cloud; the record, and a new pod of the same name, do not.
fn release(observed: &Observed<'_>) -> Plan {
    let record = observed.record;
    let mut steps = Vec::new();
    let mut wait = Wait::Done;
    for (index, allocation) in record.spec.allocations.iter().enumerate() {
        match release_one(observed, index, allocation) {
            Ok(Some(step)) => steps.push(step),
            Ok(None) => {}
            Err(reason) => wait = worse(wait, reason),
        }
    }
    // The interfaces and the record go in one round, unless something is unknown: a NetworkInterface that is being
    // deleted cannot come back.
    let only_deletes = steps
        .iter()
        .all(|step| matches!(step, Step::DeleteInterface { .. }));
    if wait == Wait::Done && only_deletes {
        steps.push(Step::DropFinalizers);
    }
    Plan { steps, wait }
}

fn release_one(observed: &Observed<'_>, index: usize, allocation: &Allocation) -> Result<Option<Step>, Wait> {
    if open_intent(allocation).is_some() {
        let evidence = observed.evidence.get(index).ok_or(Wait::Malformed)?;
        return match intent::resolve(evidence, observed.quiet_since, observed.now, observed.limits) {
            Resolution::Nothing => Ok(None),
            Resolution::Eni(eni) => Ok(Some(Step::Record {
                index,
                eni,
                attach_to: None,
            })),
            Resolution::LookUpByTag => Ok(Some(Step::LookUpByTag { index })),
            Resolution::Wait(time) => Err(Wait::Later(time)),
        };
    }
    if allocation.eni.id.is_empty() {
        return Ok(None);
    }
    match interface(observed, index) {
        // No object owns the ENI, or the ENI is gone already. A NetworkInterface for the ENI finds out.
        None => Ok(Some(Step::MakeInterface {
            index,
            attach_to: None,
        })),
        Some(interface) if interface.metadata.deletion_timestamp.is_some() => Ok(None),
        Some(_) => Ok(Some(Step::DeleteInterface { index })),
    }
}
