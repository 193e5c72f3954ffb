//! Addresses and room that operations under way will bring.

use std::time::Duration;

use jiff::Timestamp;
use terway_crds::node::NicStatus;
use terway_crds::{Operation, OperationKind};

use super::draft::Draft;
use super::{attaches, creates};
use crate::binding;
use crate::room::{COUNTED, size};

/// An operation that takes longer than this is not waited for any more. Making an ENI takes less.
const SOON: Duration = Duration::from_secs(10);

/// Addresses that an operation asks the cloud for.
fn asked(operation: &Operation) -> usize {
    let parameters = operation.parameters.as_ref();
    match operation.kind {
        OperationKind::CreateEni | OperationKind::CreateTrunk => {
            parameters.map_or(1, |parameters| parameters.address_count(COUNTED))
        }
        OperationKind::AssignIps => size(operation.count),
        OperationKind::AttachEni
        | OperationKind::AttachTrunk
        | OperationKind::UnassignIps
        | OperationKind::Other(_) => 0,
    }
}

/// Addresses that operations under way will bring.
pub(super) fn coming(draft: &Draft<'_>) -> usize {
    let now = draft.observed.now;
    // One that was refused and waits for its next attempt may be refused again.
    let waits = |o: &Operation| o.started_at.as_ref().is_some_and(|time| time.0 > now);
    let operations = draft.status.operations.iter().filter(|o| !waits(o));
    let attaching = draft.status.network_interfaces.values();
    let attaching = attaching
        .filter(|nic| nic.status == NicStatus::Attaching && binding::is_shared(nic))
        .map(|nic| nic.all_addresses().filter(|(_, ip)| binding::is_free(ip)).count());
    operations.map(asked).sum::<usize>() + attaching.sum::<usize>()
}

/// Free addresses on ENIs with an operation under way, as soon as that is done, and the time after which they are not
/// counted on any more. Pods that arrive one after the other wait for these instead of causing a new ENI.
pub(super) fn soon(draft: &Draft<'_>) -> (usize, Option<Duration>) {
    let mut room = 0;
    let mut patience: Option<Duration> = None;
    for operation in &draft.status.operations {
        let Some(left) = patience_with(operation, draft.observed.now) else {
            continue;
        };
        let after = room_after(draft, operation);
        if after > 0 {
            room += after;
            patience = Some(patience.map_or(left, |known| known.min(left)));
        }
    }
    (room, patience)
}

/// How much longer an operation may take and be counted on; `None` for one that is in trouble or late.
fn patience_with(operation: &Operation, now: Timestamp) -> Option<Duration> {
    let started = operation.started_at.as_ref()?.0;
    let age = Duration::try_from(now.duration_since(started)).ok()?;
    let left = SOON.checked_sub(age).filter(|left| !left.is_zero())?;
    operation.last_error.is_none().then_some(left)
}

/// Addresses that the ENI of an operation can get once the operation is done.
fn room_after(draft: &Draft<'_>, operation: &Operation) -> usize {
    let (room, vswitch) = if creates(operation) {
        (draft.capacity().empty(), &operation.vswitch_id)
    } else {
        let nic = draft.status.network_interfaces.get(&operation.eni_id);
        let takes = |nic| binding::serves(nic) || (attaches(operation) && binding::is_shared(nic));
        match nic {
            Some(nic) if takes(nic) => (draft.capacity().room(nic), &nic.vswitch_id),
            _ => return 0,
        }
    };
    let in_vswitch = draft.stock.left_in(vswitch).unwrap_or(0);
    room.with(asked(operation)).left().min(in_vswitch)
}
