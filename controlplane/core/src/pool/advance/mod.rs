//! Operations under way: the meaning of their answers, and the next call.

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

/// Advances every operation as far as possible.
pub(super) fn advance(draft: &mut Draft<'_>) {
    for operation in std::mem::take(&mut draft.status.operations) {
        let evidence = draft.evidence(&operation);
        let left = match &operation.kind {
            // A call is under way. Its answer wakes the node.
            _ if evidence.in_flight => Some(operation),
            OperationKind::CreateEni | OperationKind::CreateTrunk => create(draft, operation, &evidence),
            OperationKind::AttachEni | OperationKind::AttachTrunk => attach(draft, operation, &evidence),
            OperationKind::AssignIps => assign(draft, operation, &evidence),
            OperationKind::UnassignIps => unassign(draft, operation, &evidence),
            // The operation is of a newer version, which will handle it.
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

/// Whether degradation forbids to give anything back.
fn is_held_back(draft: &Draft<'_>) -> bool {
    draft.observed.settings.degradation.keeps_everything()
}

/// Whether a request has to wait, for its time or for the end of the degradation.
fn must_wait(draft: &mut Draft<'_>, operation: &Operation, evidence: &Evidence) -> bool {
    let begins = operation.started_at.as_ref().map(|time| time.0);
    let until = begins.into_iter().chain(evidence.not_before).max();
    let left = until.map_or(Duration::ZERO, |until| elapsed(draft.observed.now, until));
    if !left.is_zero() {
        draft.wake_after(left);
        return true;
    }
    // Operations that were sent are finished. Other operations wait.
    let takes = operation.kind == OperationKind::UnassignIps;
    let held_back = draft.observed.settings.degradation.begins_nothing() || (takes && is_held_back(draft));
    held_back && !evidence.may_have_been_sent
}

/// The same operation as another attempt, after a delay. `None` after [`MAX_ATTEMPTS`].
fn again(draft: &Draft<'_>, operation: Operation, refused: &Refused) -> Option<Operation> {
    (operation.attempt < MAX_ATTEMPTS).then(|| next_attempt(operation, refused, draft.observed.now))
}

fn next_attempt(operation: Operation, refused: &Refused, now: Timestamp) -> Operation {
    let attempt = operation.attempt.saturating_add(1);
    Operation {
        attempt,
        started_at: at(now + backoff(attempt, now)),
        last_error: Some(failure(refused, now)),
        ..operation
    }
}
