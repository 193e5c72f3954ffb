//! An ENI that is made.

use std::time::Duration;

use terway_crds::node::NicStatus;
use terway_crds::{Operation, OperationKind};

use super::must_wait;
use crate::cloud::CloudEni;
use crate::intent::{self, Refusal};
use crate::node::backoff;
use crate::pool::draft::{Draft, News, at, nic_of};
use crate::pool::{Call, Known, demand, index};

pub fn create(draft: &mut Draft<'_>, operation: Operation, known: &Known) -> Option<Operation> {
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
