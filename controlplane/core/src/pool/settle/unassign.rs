//! Addresses that an ENI gives back.

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
        // One of them is gone already; what is left of them the ENI itself tells.
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
            // What is to be given back is asked for until it is.
            return Some(next_attempt(operation, refused, now));
        }
        Some(Reply::Created(_) | Reply::Assigned(_) | Reply::Unknown | Reply::Busy | Reply::TokenReused)
        | None => {}
    }
    if must_wait(draft, &operation, evidence) {
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
        for family in Family::ALL {
            nic.addresses_mut(family).retain(|address, ip| {
                let ours = operation.addresses.contains(address) && gone(address);
                // A bound address is never in an operation that gives it back.
                !ours || binding::is_bound(ip)
            });
        }
    }
}
