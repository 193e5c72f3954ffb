//! Changes to the allocations of a PodENI.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use terway_crds::{Allocation, Creation, Family, PodEni};

use crate::cloud::{Cidrs, CloudEni};
use crate::intent::{IntentId, Refused, backoff, elapsed, failure};

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

/// Time before a refused attempt is repeated because its vSwitch has no free address. Nothing is sent while the vSwitch
/// is known to be full, so there is no reason for longer and longer pauses.
const WHILE_FULL: Duration = Duration::from_secs(5);

/// Clocks of two control planes differ by less. An earlier leader may have sent an attempt that begins within this
/// time.
const CLOCKS_APART: Duration = Duration::from_secs(5);

/// The allocation with the next attempt of its intent. `today` is the allocation as a new pod would get it now. `None`:
/// nothing can be said about that, and the same request is tried again. After a refusal the next attempt begins later,
/// unless it asks for something else. The record holds the time at which it begins, so that a control plane that
/// restarts still waits.
pub fn next_attempt(
    allocation: &Allocation,
    today: Option<&Allocation>,
    refused: Option<&Refused>,
    now: Timestamp,
) -> Allocation {
    let mut changed = allocation.clone();
    let mut creation = changed.creation.take().unwrap_or_default();
    creation.attempt = creation.attempt.saturating_add(1);
    let attempt = creation.attempt;
    let begin = match refused {
        None => now,
        // Another vSwitch may have what this one lacks. Against other refusals it does not help.
        Some(refused)
            if differs(
                allocation,
                today,
                refused.is_exhausted() || refused.is_not_found(),
            ) =>
        {
            now
        }
        Some(refused) if refused.is_exhausted() => now + WHILE_FULL,
        Some(_) => now + backoff(attempt, now),
    };
    if let Some((today, wanted)) = today.and_then(|today| Some((today, today.creation.as_ref()?))) {
        creation.parameters.clone_from(&wanted.parameters);
        changed.eni.clone_from(&today.eni);
        changed.ipv4_cidr.clone_from(&today.ipv4_cidr);
        changed.ipv6_cidr.clone_from(&today.ipv6_cidr);
    }
    creation.started_at = Some(Time(begin));
    creation.last_error = refused.map(|refused| failure(refused, now));
    changed.creation = Some(creation);
    changed
}

/// The allocation with an attempt that begins now and asks for what a new pod would get now, if that differs from a
/// refused request that waits for its repetition. `sent`: the repetition may have been sent already. `removed`: the
/// vSwitch of the request is no longer among those of the pod's network.
pub fn corrected(
    allocation: &Allocation,
    today: Option<&Allocation>,
    removed: bool,
    sent: bool,
    now: Timestamp,
) -> Option<Allocation> {
    let creation = open_intent(allocation)?;
    creation.last_error.as_ref()?;
    // Nobody sends an attempt before its time.
    let waits = elapsed(now, creation.started_at.as_ref()?.0) > CLOCKS_APART;
    let unsent = waits || !sent;
    (unsent && differs(allocation, today, removed)).then(|| next_attempt(allocation, today, None, now))
}

/// Whether a new pod would ask the cloud for something else. `vswitch`: another vSwitch counts too.
fn differs(allocation: &Allocation, today: Option<&Allocation>, vswitch: bool) -> bool {
    let parameters = |allocation: &Allocation| {
        let mut parameters = allocation.creation.as_ref()?.parameters.clone();
        if !vswitch {
            parameters.vswitch_id.clear();
        }
        Some(parameters)
    };
    today.is_some_and(|today| parameters(today) != parameters(allocation))
}

/// The allocation without the ENI that is gone, and with a new attempt to make one.
pub fn replaced(allocation: &Allocation, now: Timestamp) -> Allocation {
    let mut changed = next_attempt(allocation, None, None, now);
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
