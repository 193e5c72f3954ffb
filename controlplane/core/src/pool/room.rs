//! Room on ENIs that are busy: pods that come one after the other get it a moment later, and need no ENI more.

use std::time::Duration;

use jiff::Timestamp;
use terway_crds::{Operation, OperationKind};

use super::draft::Draft;
use super::{attaches, creates, demand};
use crate::binding;

/// Time after which an operation that is not over is not waited for any more: more than making an ENI takes.
const SOON: Duration = Duration::from_secs(10);

/// Addresses for which there is room as soon as what is under way is done, and the time after which that
/// is not counted on any more.
pub(super) fn soon(draft: &Draft<'_>) -> (usize, Option<Duration>) {
    let mut rooms = 0;
    let mut patience: Option<Duration> = None;
    for operation in &draft.status.operations {
        let Some(left) = patience_with(operation, draft.observed.now) else {
            continue;
        };
        let room = room_after(draft, operation);
        if room > 0 {
            rooms += room;
            patience = Some(patience.map_or(left, |known| known.min(left)));
        }
    }
    (rooms, patience)
}

/// How much longer an operation may take and be counted on; `None` for one that is in trouble or late.
fn patience_with(operation: &Operation, now: Timestamp) -> Option<Duration> {
    let started = operation.started_at.as_ref()?.0;
    let age = Duration::try_from(now.duration_since(started)).ok()?;
    let left = SOON.checked_sub(age).filter(|left| !left.is_zero())?;
    operation.last_error.is_none().then_some(left)
}

/// Room that is left on the ENI of an operation once it is done.
fn room_after(draft: &Draft<'_>, operation: &Operation) -> usize {
    let (used, vswitch) = if creates(operation) {
        let asked = operation
            .parameters
            .as_ref()
            .map_or(1, |request| request.ipv4_count.max(1));
        (
            usize::try_from(asked).unwrap_or(usize::MAX),
            &operation.vswitch_id,
        )
    } else {
        let Some(nic) = draft.status.network_interfaces.get(&operation.eni_id) else {
            return 0;
        };
        let asked = match operation.kind {
            OperationKind::AssignIps => usize::try_from(operation.count).unwrap_or(0),
            _ => 0,
        };
        let takes = binding::serves(nic) || (attaches(operation) && binding::is_shared(nic));
        if !takes {
            return 0;
        }
        (nic.ipv4.len() + asked, &nic.vswitch_id)
    };
    let left = demand::left_in(draft, vswitch).unwrap_or(0);
    draft.per_adapter().saturating_sub(used).min(left)
}
