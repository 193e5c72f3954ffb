//! More addresses: how many are missing, and from which ENIs they come.

use std::cmp::Reverse;
use std::time::Duration;

use terway_crds::names::condition;
use terway_crds::node::NicStatus;
use terway_crds::{Operation, OperationKind, RequestParameters};

use super::draft::{Draft, at};
use super::{BATCH, MAX_CREATE, MAX_OPERATIONS, adopt, creates, forecast, gone, trunk};
use crate::binding;
use crate::room::{COUNTED, size};

/// Time after which a node that lacks addresses is planned again in any case.
const SHORT: Duration = Duration::from_secs(30);

/// Pods come in groups. A pool is filled up when no pod has come for this time, so that a group costs one call instead
/// of one call per pod. Recorded times are whole seconds.
const CALM: Duration = Duration::from_secs(2);

/// Begins operations for missing addresses: on ENIs with room first, those with the most room first, then new ENIs.
/// Addresses that are under way already are not requested again.
pub(super) fn begin(draft: &mut Draft<'_>) {
    let mut missing = missing(draft);
    draft.unmet = missing;
    if draft.observed.settings.degradation.begins_nothing() || adopt::is_due(draft) {
        return;
    }
    if missing == 0 {
        // Operations whose attempt has not begun are not needed any more.
        let now = draft.observed.now;
        let waits = |o: &Operation| o.started_at.as_ref().is_some_and(|time| time.0 > now);
        let drop = |o: &Operation| o.kind == OperationKind::CreateEni && waits(o);
        draft.status.operations.retain(|operation| !drop(operation));
    }
    if trunk::is_missing(draft) {
        match trunk::begin(draft, missing) {
            Some(count) => missing = missing.saturating_sub(count),
            None => return,
        }
    }
    missing = grow(draft, missing);
    let waits = draft
        .status
        .operations
        .iter()
        .any(|o| creates(o) && o.last_error.is_some());
    // Addresses for which a busy ENI will soon have room need no new ENI.
    let (soon, patience) = forecast::soon(draft);
    if let Some(patience) = patience.filter(|_| missing > 0) {
        draft.wake_after(patience);
    }
    let later = missing.min(soon);
    missing -= later;
    // A create that was refused a moment ago would be refused again.
    while missing > 0 && !waits && may_begin(draft) && has_place(draft) {
        let count = begin_create(draft, OperationKind::CreateEni, missing);
        if count == 0 {
            break;
        }
        missing = missing.saturating_sub(count);
    }
    draft.unmet = missing + later;
    if draft.unmet > 0 {
        // The cloud does not report that a vSwitch has recovered, so the node is planned again.
        draft.wake_after(SHORT);
    }
}

/// Number of wanted addresses that neither exist nor are under way.
fn missing(draft: &mut Draft<'_>) -> usize {
    let pool = draft.observed.record.spec.pool.clone().unwrap_or_default();
    let there = binding::free_addresses(&draft.status).len() + forecast::coming(draft);
    let min = size(pool.min_pool_size);
    let mut missing = (draft.waiting.len() + min).saturating_sub(there);
    let calm = draft.unchanged_for();
    // Half a pool is enough for the rest of a group while the pool is filled up.
    if missing > 0 && draft.waiting.is_empty() && there >= min.div_ceil(2) && calm < CALM {
        draft.wake_after(CALM - calm);
        missing = 0;
    }
    missing.max(warm_up(draft, size(pool.warm_up_size)))
}

/// Number of addresses that the one-time warm-up still needs. It never exceeds the node's limit. When the warm-up has
/// been reached once, it is over for ever.
fn warm_up(draft: &mut Draft<'_>, wanted: usize) -> usize {
    if draft.status.warm_up_completed {
        return 0;
    }
    let capacity = draft.capacity();
    let target = wanted.min(capacity.addresses());
    let nics = draft
        .status
        .network_interfaces
        .values()
        .filter(|nic| binding::is_shared(nic));
    let have: usize = nics
        .filter(|nic| nic.status == NicStatus::InUse)
        .map(|nic| capacity.room(nic).used)
        .sum();
    draft.status.warm_up_target = i32::try_from(target).unwrap_or(i32::MAX);
    draft.status.warm_up_allocated_count = i32::try_from(have.min(target)).unwrap_or(i32::MAX);
    draft.status.warm_up_completed = have >= target;
    target.saturating_sub(have + forecast::coming(draft))
}

fn may_begin(draft: &Draft<'_>) -> bool {
    draft.status.operations.len() < MAX_OPERATIONS
}

/// Whether the instance has a place for one more ENI, in addition to its ENIs, ENIs that are left alone, and the trunk.
pub(super) fn has_place(draft: &Draft<'_>) -> bool {
    let shared = draft
        .status
        .network_interfaces
        .values()
        .filter(|nic| !nic.unschedulable && !gone::is_gone(nic))
        .count();
    let beginning = draft.status.operations.iter().filter(|o| creates(o)).count();
    let capacity = draft.capacity();
    let reserved = usize::from(trunk::is_missing(draft));
    shared + beginning + reserved < capacity.shared_enis()
        && draft.places_taken() + reserved < capacity.enis()
}

/// Begins Assigns on ENIs with room. Returns the number of addresses that are still missing.
fn grow(draft: &mut Draft<'_>, mut missing: usize) -> usize {
    let capacity = draft.capacity();
    let mut rooms: Vec<(String, String, usize)> = draft
        .status
        .network_interfaces
        .values()
        .filter(|nic| binding::serves(nic) && !draft.is_busy(&nic.id))
        .map(|nic| (nic.id.clone(), nic.vswitch_id.clone(), capacity.room(nic).left()))
        .filter(|(_, _, room)| *room > 0)
        .collect();
    rooms.sort_by_key(|(id, _, room)| (Reverse(*room), id.clone()));
    for (eni, vswitch, room) in rooms {
        if missing == 0 || !may_begin(draft) {
            break;
        }
        let Some(left) = draft.stock.left_in(&vswitch) else {
            if draft.stock.is_exhausted(&vswitch) {
                draft.note(&eni, condition::INSUFFICIENT_IP, exhausted_words(&vswitch));
            }
            continue;
        };
        let count = missing.min(room).min(BATCH).min(left);
        draft.stock.take(&vswitch, count);
        let id = draft.new_id();
        draft.status.operations.push(Operation {
            id,
            kind: OperationKind::AssignIps,
            eni_id: eni,
            vswitch_id: vswitch,
            count: i32::try_from(count).unwrap_or(0),
            attempt: 1,
            started_at: at(draft.observed.now),
            ..Operation::default()
        });
        missing -= count;
    }
    missing
}

/// Why an ENI gets no more addresses.
pub(super) fn exhausted_words(vswitch: &str) -> String {
    format!("vSwitch {vswitch} has no free address left")
}

/// Begins a new ENI with up to `wanted` addresses, all in one call. Returns their number.
pub(super) fn begin_create(draft: &mut Draft<'_>, kind: OperationKind, wanted: usize) -> usize {
    let Some(parameters) = parameters(draft, wanted) else {
        return 0;
    };
    let count = parameters.address_count(COUNTED);
    let vswitch_id = parameters.vswitch_id.clone();
    draft.stock.take(&vswitch_id, count);
    let id = draft.new_id();
    draft.status.operations.push(Operation {
        id,
        kind,
        vswitch_id,
        attempt: 1,
        started_at: at(draft.observed.now),
        parameters: Some(parameters),
        ..Operation::default()
    });
    count
}

/// The request for a new ENI with the present settings. `None` if no vSwitch has a free address.
pub(super) fn parameters(draft: &Draft<'_>, wanted: usize) -> Option<RequestParameters> {
    let record = draft.observed.record;
    let options = record.spec.eni.as_ref()?;
    let zone = &record.spec.node_metadata.zone_id;
    let seed = draft
        .observed
        .seed
        .wrapping_add(draft.status.operations.len() as u64);
    let count = wanted.min(draft.capacity().per_eni()).clamp(1, MAX_CREATE);
    let chosen = draft
        .stock
        .choose(&options.vswitch_select_policy, zone, count, seed)?;
    let count = count.min(usize::try_from(chosen.available).unwrap_or(1)).max(1);
    Some(RequestParameters {
        vswitch_id: chosen.id.clone(),
        security_group_ids: options.security_group_ids.clone(),
        resource_group_id: options.resource_group_id.clone(),
        ipv4_count: i32::try_from(count).unwrap_or(1),
        // The cloud deletes a shared ENI together with its instance.
        delete_on_release: true,
        tags: options.tag.clone(),
        description: "shared ENI of a Kubernetes node, made by terway".into(),
        ..RequestParameters::default()
    })
}
