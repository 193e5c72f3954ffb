//! The outcome of an operation that takes addresses from an ENI.

use std::net::IpAddr;

use jiff::Timestamp;
use terway_crds::names::condition;
use terway_crds::{Family, Operation};

use super::{must_wait, next_attempt};
use crate::binding;
use crate::intent::{Evidence, Reply, backoff};
use crate::pool::draft::{Draft, addresses, at};
use crate::pool::{Call, index};

pub fn unassign(draft: &mut Draft<'_>, operation: Operation, evidence: &Evidence) -> Option<Operation> {
    let now = draft.observed.now;
    match &evidence.reply {
        Some(Reply::Accepted) => {
            forget(draft, &operation, |_| true);
            return None;
        }
        // One of the addresses is gone already. The ENI shows which ones are left.
        Some(Reply::Refused(refused)) if refused.is_not_found() => {
            return remains(draft, operation, evidence, now);
        }
        Some(Reply::Refused(refused)) => {
            let eni = &operation.eni_id;
            let words = format!(
                "ENI {eni} did not give addresses back: {}: {}",
                refused.code, refused.message
            );
            draft.note(&eni.clone(), condition::OPERATION_ERR, words);
            // The request is repeated until the addresses are given back.
            return Some(next_attempt(operation, refused, now));
        }
        Some(Reply::Created(_) | Reply::Assigned(_) | Reply::Unknown | Reply::Busy | Reply::TokenReused)
        | None => {}
    }
    if must_wait(draft, &operation, evidence) {
        return Some(operation);
    }
    // Only a leader that has written in this term may take something away.
    if operation.term != draft.observed.settings.term {
        let term = draft.observed.settings.term.clone();
        return Some(Operation { term, ..operation });
    }
    draft.calls.push(Call::Unassign(index(&operation).to_owned()));
    Some(operation)
}

/// Looks at the ENI. Addresses that it does not have are removed from the record; others are requested again.
fn remains(
    draft: &mut Draft<'_>,
    operation: Operation,
    evidence: &Evidence,
    now: Timestamp,
) -> Option<Operation> {
    let Some(lookup) = evidence.lookups.last() else {
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
        .map(IpAddr::to_string)
        .filter(|address| operation.addresses.contains(address))
        .collect();
    forget(draft, &operation, |address| !still.contains(address));
    if still.is_empty() {
        return None;
    }
    let attempt = operation.attempt.saturating_add(1);
    Some(Operation {
        attempt,
        started_at: at(now + backoff(attempt, now)),
        addresses: still,
        ..operation
    })
}

/// Removes addresses whose end the cloud has confirmed.
fn forget(draft: &mut Draft<'_>, operation: &Operation, gone: impl Fn(&String) -> bool) {
    if let Some(nic) = draft.status.network_interfaces.get_mut(&operation.eni_id) {
        for family in Family::ALL {
            nic.addresses_mut(family).retain(|address, ip| {
                let ours = operation.addresses.contains(address) && gone(address);
                // An operation never gives back a bound address.
                !ours || binding::is_bound(ip)
            });
        }
    }
}
