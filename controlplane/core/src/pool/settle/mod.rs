//! Operations under way: what their answers mean, and what to send next.

mod assign;
mod attach;
mod create;
mod unassign;

use std::time::Duration;

use jiff::Timestamp;
use terway_crds::node::NicStatus;
use terway_crds::{Operation, OperationKind};

use super::draft::{Draft, at};
use super::{Call, MAX_ATTEMPTS};
use crate::intent::{Evidence, Refused, backoff, elapsed, failure};

use assign::assign;
use attach::attach;
use create::create;
use unassign::unassign;

/// Takes every operation as far as it gets.
pub(super) fn settle(draft: &mut Draft<'_>) {
    for operation in std::mem::take(&mut draft.status.operations) {
        let evidence = draft.evidence(&operation);
        let left = match &operation.kind {
            // A call is under way; its answer wakes us.
            _ if evidence.in_flight => Some(operation),
            OperationKind::CreateEni | OperationKind::CreateTrunk => create(draft, operation, &evidence),
            OperationKind::AttachEni | OperationKind::AttachTrunk => attach(draft, operation, &evidence),
            OperationKind::AssignIps => assign(draft, operation, &evidence),
            OperationKind::UnassignIps => unassign(draft, operation, &evidence),
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
fn must_wait(draft: &mut Draft<'_>, operation: &Operation, evidence: &Evidence) -> bool {
    let begins = operation.started_at.as_ref().map(|time| time.0);
    let until = begins.into_iter().chain(evidence.not_before).max();
    let left = until.map_or(Duration::ZERO, |until| elapsed(draft.observed.now, until));
    if !left.is_zero() {
        draft.wake_after(left);
        return true;
    }
    // What was sent is brought to its end; the rest waits.
    let takes = operation.kind == OperationKind::UnassignIps;
    let held_back = draft.observed.settings.degradation.begins_nothing() || (takes && is_held_back(draft));
    held_back && !evidence.may_have_been_sent
}

/// The same once more, as another attempt, after a while; not for ever.
fn again(draft: &Draft<'_>, operation: Operation, refused: &Refused) -> Option<Operation> {
    (operation.attempt < MAX_ATTEMPTS).then(|| next_attempt(operation, refused, draft.observed.now))
}

fn next_attempt(operation: Operation, refused: &Refused, now: Timestamp) -> Operation {
    let attempt = operation.attempt + 1;
    Operation {
        attempt,
        started_at: at(now + backoff(attempt)),
        last_error: Some(failure(refused, now)),
        ..operation
    }
}
