//! Addresses that an ENI gives back.

use std::net::IpAddr;

use jiff::Timestamp;
use terway_crds::Operation;
use terway_crds::names::condition;

use super::{must_wait, next_attempt};
use crate::binding;
use crate::node::backoff;
use crate::pool::draft::{Draft, addresses, at};
use crate::pool::{Call, Known, Reply, index};

pub fn unassign(draft: &mut Draft<'_>, operation: Operation, known: &Known) -> Option<Operation> {
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
        nic.ipv4.retain(|address, ip| {
            let ours = operation.addresses.contains(address) && gone(address);
            // A bound address is never in an operation that gives it back.
            !ours || binding::is_bound(ip)
        });
    }
}
