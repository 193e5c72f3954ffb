//! Operations under way: what their answers mean, and what to send next.

use std::net::Ipv4Addr;
use std::time::Duration;

use jiff::Timestamp;
use terway_crds::names::condition;
use terway_crds::node::NicStatus;
use terway_crds::{Operation, OperationKind};

use super::draft::{Draft, News, address_of, addresses, at, nic_of};
use super::{Call, Known, MAX_ATTEMPTS, Refused, Reply, demand, index};
use crate::binding;
use crate::cloud::{CloudEni, EniObservation, EniStatus};
use crate::intent::{self, Refusal, at_the_latest, elapsed};
use crate::node::backoff;

/// Takes every operation as far as it gets.
pub(super) fn settle(draft: &mut Draft<'_>) {
    for operation in std::mem::take(&mut draft.status.operations) {
        let known = draft.known(&operation);
        let left = match &operation.kind {
            // A call is under way; its answer wakes us.
            _ if known.in_flight => Some(operation),
            OperationKind::CreateEni | OperationKind::CreateTrunk => create(draft, operation, &known),
            OperationKind::AttachEni | OperationKind::AttachTrunk => attach(draft, operation, &known),
            OperationKind::AssignIps => assign(draft, operation, &known),
            OperationKind::UnassignIps => unassign(draft, operation, &known),
            // Of a newer version: it knows what to do.
            OperationKind::Other(_) => Some(operation),
        };
        draft.status.operations.extend(left);
    }
    for (id, nic) in draft.status.network_interfaces.clone() {
        if nic.status != NicStatus::Deleting || nic.unschedulable {
            continue;
        }
        if draft.observed.released.contains(&id) {
            draft.status.network_interfaces.remove(&id);
        } else if !draft.observed.leaving.contains(&id) && !is_held_back(draft) {
            // Also where the object was made, and the word that it is to go was lost.
            draft.calls.push(Call::HandOver(id));
        }
    }
}

/// Whether nothing may be given back for the time being.
fn is_held_back(draft: &Draft<'_>) -> bool {
    draft.observed.settings.degradation.keeps_everything()
}

/// Whether a request has to wait: until its time has come, or for the end of the degradation.
fn must_wait(draft: &mut Draft<'_>, operation: &Operation, known: &Known) -> bool {
    let begins = operation.started_at.as_ref().map(|time| time.0);
    let until = begins.into_iter().chain(known.not_before).max();
    let left = until.map_or(Duration::ZERO, |until| elapsed(draft.observed.now, until));
    if !left.is_zero() {
        draft.wake_after(left);
        return true;
    }
    // What was sent is brought to its end; the rest waits.
    let takes = operation.kind == OperationKind::UnassignIps;
    let held_back = draft.observed.settings.degradation.begins_nothing() || (takes && is_held_back(draft));
    held_back && !known.evidence.may_have_been_sent
}

fn create(draft: &mut Draft<'_>, operation: Operation, known: &Known) -> Option<Operation> {
    if must_wait(draft, &operation, known) {
        return Some(operation);
    }
    let observed = draft.observed;
    let started = operation.started_at.as_ref().map(|time| time.0);
    let name = index(&operation).to_owned();
    match intent::next(started, &known.evidence, observed.now, &observed.settings.limits) {
        intent::Step::Send => draft.calls.push(Call::Create(name)),
        intent::Step::LookUpByTag => draft.calls.push(Call::LookUpByTag(name)),
        intent::Step::LookUpById(eni) => draft.calls.push(Call::LookUp { operation: name, eni }),
        intent::Step::Wait(time) => draft.wake_after(time),
        intent::Step::Record(eni) => return Some(record(draft, operation, &eni)),
        intent::Step::NextAttempt(refusal) => return recreate(draft, operation, refusal),
    }
    Some(operation)
}

/// The ENI is there: it is written down, and its attach is the next intent.
fn record(draft: &mut Draft<'_>, operation: Operation, eni: &CloudEni) -> Operation {
    let mut nic = nic_of(eni);
    nic.status = NicStatus::Attaching;
    draft.news.push(News::Created(format!(
        "ENI {} was created in vSwitch {}",
        eni.id, eni.vswitch_id
    )));
    draft.status.network_interfaces.insert(eni.id.clone(), nic);
    Operation {
        kind: match operation.kind {
            OperationKind::CreateTrunk => OperationKind::AttachTrunk,
            _ => OperationKind::AttachEni,
        },
        eni_id: eni.id.clone(),
        vswitch_id: eni.vswitch_id.clone(),
        started_at: at(draft.observed.now),
        parameters: None,
        last_error: None,
        ..operation
    }
}

/// The attempt made nothing. The next one takes the settings of now, and another vSwitch if that is
/// what was missing; with none to choose, the operation is over until one recovers.
fn recreate(draft: &mut Draft<'_>, operation: Operation, refusal: Option<Refusal>) -> Option<Operation> {
    let exhausted = refusal.as_ref().is_some_and(|refusal| refusal.vswitch_exhausted);
    if let Some(refusal) = &refusal {
        draft.news.push(News::CreateRefused(format!(
            "the cloud refused to create an ENI in vSwitch {}: {}: {}",
            operation.vswitch_id, refusal.code, refusal.message
        )));
    }
    if exhausted && let Some(vswitch) = draft.vswitches.iter_mut().find(|v| v.id == operation.vswitch_id) {
        vswitch.available = 0;
    }
    let count = operation
        .parameters
        .as_ref()
        .map_or(1, |parameters| parameters.ipv4_count);
    // With none to choose nothing was made, and the demand asks again when there is one.
    let parameters = demand::parameters(draft, usize::try_from(count).unwrap_or(1))?;
    let attempt = operation.attempt + 1;
    // Another vSwitch may be tried at once.
    let delay = match refusal {
        Some(_) if !exhausted => backoff(attempt),
        _ => Duration::ZERO,
    };
    let now = draft.observed.now;
    Some(Operation {
        attempt,
        vswitch_id: parameters.vswitch_id.clone(),
        started_at: at(now + delay),
        parameters: Some(parameters),
        last_error: refusal.map(|refusal| crate::pod_eni::failure(&refusal, now)),
        ..operation
    })
}

fn attach(draft: &mut Draft<'_>, operation: Operation, known: &Known) -> Option<Operation> {
    let eni = operation.eni_id.clone();
    if let Some(Reply::Refused(refused)) = &known.reply {
        return attach_refused(draft, operation, refused);
    }
    let Some((seen, seen_at)) = draft.observed.seen.get(&eni) else {
        // One that this process has just made is attached nowhere; all else is looked at first.
        match known.sent {
            None if !known.evidence.may_have_been_sent => send_attach(draft, &operation, known),
            _ => draft.calls.push(Call::Watch(eni)),
        }
        return Some(operation);
    };
    let instance = &draft.observed.record.spec.node_metadata.instance_id;
    let grace = draft.observed.settings.limits.grace;
    match seen {
        EniObservation::Absent => vanished(draft, operation, &eni, *seen_at),
        EniObservation::Present(found) => match &found.status {
            EniStatus::InUse if found.instance_id.as_ref() == Some(instance) => {
                attached(draft, found);
                None
            }
            EniStatus::InUse | EniStatus::Detaching | EniStatus::Deleting => {
                draft.news.push(News::Invalid(format!(
                    "ENI {eni} was to be attached here and is {:?} at {}",
                    found.status,
                    found.instance_id.as_deref().unwrap_or("no instance")
                )));
                draft.status.network_interfaces.remove(&eni);
                None
            }
            EniStatus::Available => {
                match known.sent {
                    Some(sent) if elapsed(sent, *seen_at) < grace => {
                        draft.calls.push(Call::Watch(eni));
                        draft.wake_after(grace);
                    }
                    _ => send_attach(draft, &operation, known),
                }
                Some(operation)
            }
            EniStatus::Attaching | EniStatus::Other(_) => {
                draft.calls.push(Call::Watch(eni));
                Some(operation)
            }
        },
    }
}

fn send_attach(draft: &mut Draft<'_>, operation: &Operation, known: &Known) {
    if !must_wait(draft, operation, known) {
        draft.calls.push(Call::Attach(index(operation).to_owned()));
    }
}

fn attached(draft: &mut Draft<'_>, eni: &CloudEni) {
    let fresh = nic_of(eni);
    let nic = draft
        .status
        .network_interfaces
        .entry(eni.id.clone())
        .or_insert(fresh.clone());
    nic.status = NicStatus::InUse;
    nic.conditions.remove(condition::OPERATION_ERR);
    // What a new ENI has is known for certain only now.
    for (address, ip) in fresh.ipv4 {
        nic.ipv4.entry(address).or_insert(ip);
    }
    draft
        .news
        .push(News::Attached(format!("ENI {} is attached", eni.id)));
}

fn attach_refused(draft: &mut Draft<'_>, operation: Operation, refused: &Refused) -> Option<Operation> {
    let (eni, refusal) = (operation.eni_id.clone(), &refused.refusal);
    let words = format!(
        "ENI {eni} was not attached: {}: {}",
        refusal.code, refusal.message
    );
    draft.news.push(News::AttachRefused(words.clone()));
    draft.note(&eni, condition::OPERATION_ERR, words);
    if refused.limit {
        draft.status.next_sync_openapi_time = None;
    }
    if refused.limit || refused.not_found || operation.attempt >= MAX_ATTEMPTS {
        give_up(draft, &eni);
        return None;
    }
    Some(next_attempt(operation, refusal, draft.observed.now))
}

/// An ENI that cannot be used is given back.
fn give_up(draft: &mut Draft<'_>, eni: &str) {
    if let Some(nic) = draft.status.network_interfaces.get_mut(eni) {
        nic.status = NicStatus::Deleting;
    }
}

/// The recorded ENI is not there: after the grace it is given up.
fn vanished(draft: &mut Draft<'_>, operation: Operation, eni: &str, seen_at: Timestamp) -> Option<Operation> {
    let now = draft.observed.now;
    let since = operation.started_at.as_ref().map_or(now, |time| time.0);
    let grace = draft
        .observed
        .settings
        .limits
        .consistency
        .max(draft.observed.settings.limits.grace);
    // What was seen then counts, not what time it is.
    let left = grace.saturating_sub(elapsed(at_the_latest(since), seen_at));
    if !left.is_zero() {
        draft.calls.push(Call::Watch(eni.to_owned()));
        draft.wake_after(left);
        return Some(operation);
    }
    draft.news.push(News::Invalid(format!(
        "ENI {eni} vanished before it was attached"
    )));
    give_up(draft, eni);
    None
}

fn assign(draft: &mut Draft<'_>, operation: Operation, known: &Known) -> Option<Operation> {
    let limits = &draft.observed.settings.limits;
    let age = operation
        .started_at
        .as_ref()
        .map(|time| elapsed(time.0, draft.observed.now));
    let token_lives = age.is_some_and(|age| age < limits.token_life);
    match &known.reply {
        Some(Reply::Assigned(addresses)) => {
            added(draft, &operation.eni_id, addresses);
            None
        }
        Some(Reply::Refused(refused)) if !known.evidence.replayed => {
            assign_refused(draft, operation, &refused.clone())
        }
        // An earlier request with this token may have been done: what the ENI has will tell.
        Some(Reply::Refused(_) | Reply::TokenReused) => compare(draft, operation, known),
        Some(Reply::Unknown | Reply::Throttled | Reply::Accepted) | None => {
            if token_lives || !known.evidence.may_have_been_sent {
                if !must_wait(draft, &operation, known) {
                    draft.calls.push(Call::Assign(index(&operation).to_owned()));
                }
                return Some(operation);
            }
            compare(draft, operation, known)
        }
    }
}

/// An Assign has no tag that its addresses would carry. But no other operation of the ENI runs beside
/// it, so addresses that the cloud shows and the record does not are what it assigned. Two answers, a
/// consistency window apart, must agree that there are none.
fn compare(draft: &mut Draft<'_>, operation: Operation, known: &Known) -> Option<Operation> {
    let (eni, consistency) = (
        operation.eni_id.clone(),
        draft.observed.settings.limits.consistency,
    );
    let recorded = draft.status.network_interfaces.get(&eni);
    let recorded =
        |address: &Ipv4Addr| recorded.is_some_and(|nic| nic.ipv4.contains_key(&address.to_string()));
    let lookups = &known.evidence.lookups;
    let new: Vec<Ipv4Addr> = lookups
        .iter()
        .filter_map(|lookup| lookup.found.as_deref())
        .flat_map(addresses)
        .filter(|address| !recorded(address))
        .collect();
    if !new.is_empty() {
        added(draft, &eni, &new);
        return None;
    }
    let look = Call::LookUp {
        operation: index(&operation).to_owned(),
        eni,
    };
    match lookups.as_slice() {
        [first, .., last] if elapsed(first.at, last.at) >= consistency => match &known.reply {
            Some(Reply::Refused(refused)) => return assign_refused(draft, operation, &refused.clone()),
            _ => return None,
        },
        [first, ..] => match consistency.saturating_sub(elapsed(first.at, draft.observed.now)) {
            Duration::ZERO => draft.calls.push(look),
            left => draft.wake_after(left),
        },
        [] => draft.calls.push(look),
    }
    Some(operation)
}

fn added(draft: &mut Draft<'_>, eni: &str, new: &[Ipv4Addr]) {
    if let Some(nic) = draft.status.network_interfaces.get_mut(eni) {
        nic.conditions.remove(condition::INSUFFICIENT_IP);
        nic.conditions.remove(condition::OPERATION_ERR);
        for address in new {
            let (key, ip) = address_of(*address, false);
            nic.ipv4.entry(key).or_insert(ip);
        }
    }
}

fn assign_refused(draft: &mut Draft<'_>, operation: Operation, refused: &Refused) -> Option<Operation> {
    let (eni, refusal) = (operation.eni_id.clone(), &refused.refusal);
    let words = format!(
        "ENI {eni} got no more addresses: {}: {}",
        refusal.code, refusal.message
    );
    draft.news.push(News::AllocRefused(words.clone()));
    if refusal.vswitch_exhausted {
        draft.note(&eni, condition::INSUFFICIENT_IP, words);
        return None;
    }
    draft.note(&eni, condition::OPERATION_ERR, words);
    if refused.limit || refused.not_found {
        draft.status.next_sync_openapi_time = None;
        return None;
    }
    again(draft, operation, refusal)
}

/// The same once more, as another attempt, after a while; not for ever.
fn again(draft: &Draft<'_>, operation: Operation, refusal: &Refusal) -> Option<Operation> {
    (operation.attempt < MAX_ATTEMPTS).then(|| next_attempt(operation, refusal, draft.observed.now))
}

fn next_attempt(operation: Operation, refusal: &Refusal, now: Timestamp) -> Operation {
    let attempt = operation.attempt + 1;
    Operation {
        attempt,
        started_at: at(now + backoff(attempt)),
        last_error: Some(crate::pod_eni::failure(refusal, now)),
        ..operation
    }
}

fn unassign(draft: &mut Draft<'_>, operation: Operation, known: &Known) -> Option<Operation> {
    let now = draft.observed.now;
    match &known.reply {
        Some(Reply::Accepted) => {
            forget(draft, &operation, |_| true);
            return None;
        }
        // One of them is gone already; what is left of them the ENI itself tells.
        Some(Reply::Refused(refused)) if refused.not_found => return remains(draft, operation, known, now),
        Some(Reply::Refused(refused)) => {
            let (eni, refusal) = (&operation.eni_id, &refused.refusal);
            let words = format!(
                "ENI {eni} did not give addresses back: {}: {}",
                refusal.code, refusal.message
            );
            draft.note(&eni.clone(), condition::OPERATION_ERR, words);
            // What is to be given back is asked for until it is.
            return Some(next_attempt(operation, refusal, now));
        }
        Some(Reply::Assigned(_) | Reply::Unknown | Reply::Throttled | Reply::TokenReused) | None => {}
    }
    if must_wait(draft, &operation, known) {
        return Some(operation);
    }
    // Only a leader whose write was taken in this term may take something away.
    if operation.term != draft.observed.settings.term {
        let term = draft.observed.settings.term.clone();
        return Some(Operation { term, ..operation });
    }
    draft.calls.push(Call::Unassign(index(&operation).to_owned()));
    Some(operation)
}

/// Looks at the ENI; addresses it does not have are forgotten, others are asked for again.
fn remains(draft: &mut Draft<'_>, operation: Operation, known: &Known, now: Timestamp) -> Option<Operation> {
    let Some(lookup) = known.evidence.lookups.last() else {
        draft.calls.push(Call::LookUp {
            operation: index(&operation).to_owned(),
            eni: operation.eni_id.clone(),
        });
        return Some(operation);
    };
    let still: Vec<String> = lookup
        .found
        .as_deref()
        .map(addresses)
        .unwrap_or_default()
        .iter()
        .map(Ipv4Addr::to_string)
        .filter(|address| operation.addresses.contains(address))
        .collect();
    forget(draft, &operation, |address| !still.contains(address));
    if still.is_empty() {
        return None;
    }
    let attempt = operation.attempt + 1;
    Some(Operation {
        attempt,
        started_at: at(now + backoff(attempt)),
        addresses: still,
        ..operation
    })
}

/// The cloud has confirmed that these addresses are gone.
fn forget(draft: &mut Draft<'_>, operation: &Operation, gone: impl Fn(&String) -> bool) {
    if let Some(nic) = draft.status.network_interfaces.get_mut(&operation.eni_id) {
        nic.ipv4.retain(|address, ip| {
            let ours = operation.addresses.contains(address) && gone(address);
            // A bound address is never in an operation that gives it back.
            !ours || binding::is_bound(ip)
        });
    }
}
