//! Changes to the allocations of a PodENI.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use terway_crds::{Allocation, Creation, Family, PodEni};

use crate::cloud::{Cidrs, CloudEni};
use crate::intent::{IntentId, Refused, backoff, failure};
use crate::vswitch::Candidate;

/// Identity of the intent of allocation `index`, as it is recorded.
pub fn intent_id(record: &PodEni, index: usize) -> Option<IntentId> {
    let creation = record.spec.allocations.get(index)?.creation.as_ref()?;
    Some(IntentId {
        owner_uid: record.metadata.uid.clone()?,
        index: index.to_string(),
        attempt: creation.attempt,
    })
}

/// The allocation with the ENI that was made for it. `cidrs` are those of the ENI's vSwitch.
pub fn with_eni(allocation: &Allocation, eni: &CloudEni, cidrs: Option<&Cidrs>) -> Allocation {
    let mut changed = allocation.clone();
    changed.eni.id = eni.id.clone();
    changed.eni.mac = eni.mac.clone();
    // The cloud's answer to a creation can lack some of these. The record then keeps what was asked
    // for.
    for (known, told) in [
        (&mut changed.eni.zone, &eni.zone_id),
        (&mut changed.eni.vpc_id, &eni.vpc_id),
        (&mut changed.eni.vswitch_id, &eni.vswitch_id),
        (&mut changed.eni.resource_group_id, &eni.resource_group_id),
    ] {
        if !told.is_empty() {
            known.clone_from(told);
        }
    }
    if !eni.security_group_ids.is_empty() {
        changed.eni.security_group_ids.clone_from(&eni.security_group_ids);
    }
    changed.clear_addresses();
    for family in Family::SERVED {
        let address = match family {
            Family::V4 => eni.primary_ip,
            Family::V6 => eni.addresses(family).next(),
        };
        address
            .into_iter()
            .for_each(|address| changed.set_address(address));
    }
    cidrs.into_iter().for_each(|cidrs| set_cidrs(&mut changed, cidrs));
    changed
}

fn set_cidrs(allocation: &mut Allocation, cidrs: &Cidrs) {
    let served = Family::SERVED.into_iter();
    served
        .filter_map(|family| cidrs.of(family))
        .for_each(|net| allocation.set_cidr(net));
}

/// What a new attempt takes from the networks as they are now; they may have been repaired.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choice {
    /// The newly chosen vSwitch; `None` when there is none to choose.
    pub vswitch: Option<Candidate>,
    /// The security groups; empty when they are not known.
    pub security_group_ids: Vec<String>,
}

/// The allocation with the next attempt of its intent. After a refusal the next attempt begins
/// later, unless it tries another vSwitch. The record holds the time at which it begins, so that a
/// control plane that restarts still waits.
pub fn next_attempt(
    allocation: &Allocation,
    choice: &Choice,
    refused: Option<&Refused>,
    now: Timestamp,
) -> Allocation {
    let mut changed = allocation.clone();
    let mut creation = changed.creation.take().unwrap_or_default();
    creation.attempt += 1;
    let mut tries_other = false;
    if let Some(vswitch) = &choice.vswitch {
        tries_other = vswitch.id != creation.parameters.vswitch_id;
        creation.parameters.vswitch_id.clone_from(&vswitch.id);
        changed.eni.vswitch_id.clone_from(&vswitch.id);
        set_cidrs(&mut changed, &vswitch.cidrs);
    }
    if !choice.security_group_ids.is_empty() {
        creation
            .parameters
            .security_group_ids
            .clone_from(&choice.security_group_ids);
        changed
            .eni
            .security_group_ids
            .clone_from(&choice.security_group_ids);
    }
    let begin = match refused {
        Some(_) if !tries_other => now + backoff(creation.attempt),
        _ => now,
    };
    creation.started_at = Some(Time(begin));
    creation.last_error = refused.map(|refused| failure(refused, now));
    changed.creation = Some(creation);
    changed
}

/// The allocation without the ENI that is gone, and with a new attempt to make one.
pub fn replaced(allocation: &Allocation, now: Timestamp) -> Allocation {
    let mut changed = next_attempt(allocation, &Choice::default(), None, now);
    changed.eni.id.clear();
    changed.eni.mac.clear();
    changed.clear_addresses();
    changed
}

/// The intent of an allocation that has no ENI yet.
pub(super) fn open_intent(allocation: &Allocation) -> Option<&Creation> {
    if allocation.eni.id.is_empty() {
        allocation.creation.as_ref()
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
