//! Binds a record: makes each ENI, then lets it be attached to the pod's node.

use std::time::Duration;

use terway_crds::names::condition;
use terway_crds::{Allocation, AttachTo, NetworkInterface, Phase, PodEni};

use super::observed::{Observed, PodState, interface};
use super::status;
use super::step::{Plan, Step, Wait, set_status, worse};
use crate::carrier::Carrier;
use crate::conditions::failing_reason;
use crate::intent::{self, elapsed};
use crate::network_interface::{DETACHED, ENI_NOT_FOUND};
use crate::node::NodeFacts;
use crate::pod::node_name;

/// The target of an allocation: the instance and trunk of the pod's node.
pub(super) fn target(
    allocation: &Allocation,
    node: Option<&NodeFacts>,
    record: &PodEni,
) -> Result<AttachTo, Wait> {
    let node = node.ok_or(Wait::NoNode)?;
    if node.instance_id.is_empty() {
        return Err(Wait::NoNode);
    }
    let trunk_eni_id = match Carrier::recorded(allocation, node) {
        Carrier::TrunkMember => node.trunk_on.clone().ok_or(Wait::NoTrunk)?,
        Carrier::WholeNic | Carrier::SharedNic => return Err(Wait::NotServed),
    };
    Ok(AttachTo {
        instance_id: node.instance_id.clone(),
        trunk_eni_id,
        node_name: node_name(record).to_owned(),
        network_card_index: None,
    })
}

pub(super) fn plan_binding(observed: &Observed<'_>) -> Plan {
    let record = observed.record;
    if record.spec.allocations.is_empty() {
        return Plan::wait(Wait::Malformed);
    }
    if observed.pod != PodState::Living {
        return Plan::wait(Wait::Pod);
    }
    let mut steps = Vec::new();
    let mut wait = Wait::Done;
    for (index, allocation) in record.spec.allocations.iter().enumerate() {
        let target = match target(allocation, observed.node, record) {
            Ok(target) => target,
            Err(reason) => {
                wait = worse(wait, reason);
                continue;
            }
        };
        match bind_one(observed, index, allocation, target) {
            Ok(Some(step)) => {
                steps.push(step);
                wait = worse(wait, Wait::Interfaces);
            }
            Ok(None) => {}
            Err(reason) => wait = worse(wait, reason),
        }
    }
    if steps.is_empty() && wait == Wait::Done {
        return Plan {
            steps: set_status(observed, status::bound),
            wait: Wait::Done,
        };
    }
    Plan { steps, wait }
}

/// The next step towards an attached allocation; `None` if the allocation is attached.
fn bind_one(
    observed: &Observed<'_>,
    index: usize,
    allocation: &Allocation,
    target: AttachTo,
) -> Result<Option<Step>, Wait> {
    if allocation.eni.id.is_empty() {
        return make_one(observed, index, allocation, target).map(Some);
    }
    let Some(interface) = interface(observed, index) else {
        return Ok(Some(Step::MakeInterface {
            index,
            attach_to: Some(target),
        }));
    };
    if interface.metadata.deletion_timestamp.is_some() {
        return Err(Wait::Interfaces);
    }
    if interface.spec.attach_to.as_ref() != Some(&target) {
        return Ok(Some(Step::SetTarget {
            index,
            attach_to: Some(target),
        }));
    }
    let Some(status) = &interface.status else {
        return Err(Wait::Interfaces);
    };
    if status.phase == Phase::Bind
        && status.instance_id == target.instance_id
        && status.trunk_eni_id == target.trunk_eni_id
    {
        return Ok(None);
    }
    match failing(interface) {
        None | Some(DETACHED) => Err(Wait::Interfaces),
        Some(ENI_NOT_FOUND) if is_replaceable(allocation) => Ok(Some(Step::Replace { index })),
        Some(_) => Err(status::unattached(observed.record, interface)),
    }
}

/// Whether the cloud does not know the ENI of a NetworkInterface.
pub(super) fn is_lost(interface: &NetworkInterface) -> bool {
    failing(interface) == Some(ENI_NOT_FOUND)
}

/// Why an ENI is not attached as wanted, if its NetworkInterface says so.
fn failing(interface: &NetworkInterface) -> Option<&str> {
    let status = interface.status.as_ref()?;
    failing_reason(&status.conditions, condition::READY)
}

/// Whether another ENI may be made for an allocation: its request is recorded, and nobody relies on its address.
pub(super) fn is_replaceable(allocation: &Allocation) -> bool {
    allocation.creation.is_some() && !allocation.allocation_type.is_fixed()
}

/// The next step towards an allocation's ENI.
fn make_one(
    observed: &Observed<'_>,
    index: usize,
    allocation: &Allocation,
    target: AttachTo,
) -> Result<Step, Wait> {
    let creation = allocation.creation.as_ref().ok_or(Wait::Malformed)?;
    let evidence = observed.evidence.get(index).ok_or(Wait::Malformed)?;
    let started = creation.started_at.as_ref().map(|time| time.0);
    let delay = started.map_or(Duration::ZERO, |started| elapsed(observed.now, started));
    if !delay.is_zero() {
        let error = creation.last_error.clone().unwrap_or_default();
        return Err(Wait::Refused {
            delay,
            code: error.code,
            message: error.message,
        });
    }
    match intent::next(started, evidence, observed.now, observed.limits) {
        intent::Step::Send => Ok(Step::Create { index }),
        intent::Step::LookUpByTag => Ok(Step::LookUpByTag { index }),
        intent::Step::LookUpById(id) => Ok(Step::LookUpById { index, id }),
        intent::Step::Record(eni) => Ok(Step::Record {
            index,
            eni,
            attach_to: Some(target),
        }),
        intent::Step::NextAttempt(refused) => Ok(Step::NextAttempt { index, refused }),
        intent::Step::Wait(time) => Err(Wait::Later(time)),
    }
}
