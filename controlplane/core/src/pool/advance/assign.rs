//! The outcome of an operation that gives addresses to an ENI.

use std::net::IpAddr;
use std::time::Duration;

use terway_crds::Operation;
use terway_crds::names::condition;

use super::{again, must_wait};
use crate::intent::{Evidence, Refused, Reply, elapsed};
use crate::pool::draft::{Draft, addresses};
use crate::pool::{Call, index, news};

pub fn assign(draft: &mut Draft<'_>, operation: Operation, evidence: &Evidence) -> Option<Operation> {
    let limits = &draft.observed.settings.limits;
    let age = operation
        .started_at
        .as_ref()
        .map(|time| elapsed(time.0, draft.observed.now));
    let token_lives = age.is_some_and(|age| age < limits.token_life);
    match &evidence.reply {
        Some(Reply::Assigned(addresses)) => {
            added(draft, &operation.eni_id, addresses);
            None
        }
        Some(Reply::Refused(refused)) if !evidence.replayed => {
            assign_refused(draft, operation, &refused.clone())
        }
        // The cloud may have acted on an earlier request with this token. The addresses of the ENI show it.
        Some(Reply::Refused(_) | Reply::TokenReused) => compare(draft, operation, evidence),
        Some(Reply::Unknown | Reply::Busy | Reply::Accepted | Reply::Created(_)) | None => {
            if token_lives || !evidence.may_have_been_sent {
                if !must_wait(draft, &operation, evidence) {
                    draft.calls.push(Call::Assign(index(&operation).to_owned()));
                }
                return Some(operation);
            }
            compare(draft, operation, evidence)
        }
    }
}

/// Finds the result of an Assign in the ENI's addresses. Addresses carry no tag, but no other operation of the ENI runs
/// at the same time, so the addresses that the record does not have are those of this Assign. Only two answers, a
/// consistency window apart, prove that there are none.
fn compare(draft: &mut Draft<'_>, operation: Operation, evidence: &Evidence) -> Option<Operation> {
    let (eni, consistency) = (
        operation.eni_id.clone(),
        draft.observed.settings.limits.consistency,
    );
    let recorded = draft.status.network_interfaces.get(&eni);
    let recorded = |address: &IpAddr| recorded.is_some_and(|nic| nic.find(*address).is_some());
    let lookups = &evidence.lookups;
    let new: Vec<IpAddr> = lookups
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
        [first, .., last] if elapsed(first.at, last.at) >= consistency => match &evidence.reply {
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

fn added(draft: &mut Draft<'_>, eni: &str, new: &[IpAddr]) {
    if let Some(nic) = draft.status.network_interfaces.get_mut(eni) {
        nic.conditions.remove(condition::INSUFFICIENT_IP);
        nic.conditions.remove(condition::OPERATION_ERR);
        for address in new {
            nic.find_or_add(*address, false);
        }
    }
}

fn assign_refused(draft: &mut Draft<'_>, operation: Operation, refused: &Refused) -> Option<Operation> {
    let eni = operation.eni_id.clone();
    let words = format!(
        "ENI {eni} got no more addresses: {}: {}",
        refused.code, refused.message
    );
    draft.news.push(news::alloc_refused(words.clone()));
    if refused.is_exhausted() {
        draft.note(&eni, condition::INSUFFICIENT_IP, words);
        return None;
    }
    draft.note(&eni, condition::OPERATION_ERR, words);
    if refused.is_limit() || refused.is_not_found() {
        draft.status.next_sync_openapi_time = None;
        return None;
    }
    again(draft, operation, refused)
}
