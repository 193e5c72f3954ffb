//! The outcome of an operation that creates an ENI.

use std::time::Duration;

use terway_crds::node::NicStatus;
use terway_crds::{EniKind, Operation, OperationKind};

use super::must_wait;
use crate::cloud::CloudEni;
use crate::intent::{self, Evidence, Refused, backoff, failure};
use crate::pool::draft::{Draft, at, nic_of};
use crate::pool::{Call, demand, index, news};
use crate::room::COUNTED;

pub fn create(draft: &mut Draft<'_>, operation: Operation, evidence: &Evidence) -> Option<Operation> {
    // A request without parameters, in a record that somebody edited, cannot be sent. An ENI that was made is collected
    // by its tags.
    operation.parameters.as_ref()?;
    if must_wait(draft, &operation, evidence) {
        return Some(operation);
    }
    let observed = draft.observed;
    let started = operation.started_at.as_ref().map(|time| time.0);
    let name = index(&operation).to_owned();
    match intent::next(started, evidence, observed.now, &observed.settings.limits) {
        intent::Step::Send => draft.calls.push(Call::Create(name)),
        intent::Step::LookUpByTag => draft.calls.push(Call::LookUpByTag(name)),
        intent::Step::LookUpById(eni) => draft.calls.push(Call::LookUp { operation: name, eni }),
        intent::Step::Wait(time) => draft.wake_after(time),
        intent::Step::Record(eni) => return Some(record(draft, operation, &eni)),
        intent::Step::NextAttempt(refused) => return recreate(draft, operation, refused),
    }
    Some(operation)
}

/// Records the new ENI, and the intent to attach it.
fn record(draft: &mut Draft<'_>, operation: Operation, eni: &CloudEni) -> Operation {
    let mut nic = nic_of(eni);
    nic.status = NicStatus::Attaching;
    // The kind that was asked for counts where the answer names none.
    nic.kind.get_or_insert(match operation.kind {
        OperationKind::CreateTrunk => EniKind::Trunk,
        _ => EniKind::Secondary,
    });
    draft.news.push(news::created(&eni.id, &eni.vswitch_id));
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

/// Begins the next attempt after one that made nothing. It has the present settings, and another vSwitch if the old one
/// was exhausted. Without a usable vSwitch the operation ends.
fn recreate(draft: &mut Draft<'_>, operation: Operation, refused: Option<Refused>) -> Option<Operation> {
    let exhausted = refused.as_ref().is_some_and(Refused::is_exhausted);
    if let Some(refused) = &refused {
        draft
            .news
            .push(news::create_refused(&operation.vswitch_id, refused));
    }
    if exhausted {
        draft.stock.is_found_exhausted(&operation.vswitch_id);
    }
    let count = operation
        .parameters
        .as_ref()
        .map_or(1, |parameters| parameters.address_count(COUNTED));
    // Without a usable vSwitch the operation ends. The demand begins a new one when a vSwitch recovers.
    let parameters = demand::parameters(draft, count)?;
    let attempt = operation.attempt.saturating_add(1);
    // An attempt with another vSwitch may begin at once.
    let delay = match refused {
        Some(_) if !exhausted => backoff(attempt, draft.observed.now),
        _ => Duration::ZERO,
    };
    let now = draft.observed.now;
    Some(Operation {
        attempt,
        vswitch_id: parameters.vswitch_id.clone(),
        started_at: at(now + delay),
        parameters: Some(parameters),
        last_error: refused.map(|refused| failure(&refused, now)),
        ..operation
    })
}
