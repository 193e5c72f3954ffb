//! More addresses: how many are missing, and where they are taken from.

use std::cmp::Reverse;
use std::time::Duration;

use terway_crds::names::condition;
use terway_crds::node::{Nic, NicStatus};
use terway_crds::{EniKind, Operation, OperationKind, RequestParameters, TrafficMode};

use super::draft::{Draft, at};
use super::{BATCH, MAX_CREATE, MAX_OPERATIONS, adopt, creates, room};
use crate::binding;
use crate::vswitch::{Candidate, choose};

/// Time after which a node that lacks addresses is looked at again, whatever happens.
const SHORT: Duration = Duration::from_secs(30);

/// Pods come in groups. A pool that they take from is filled up when none has come for this time, so that a
/// group costs one call and not one for each of its pods; recorded times are whole seconds.
const CALM: Duration = Duration::from_secs(2);

/// Begins what is needed: addresses on ENIs that have room, the largest number first, then new ENIs.
/// Demand is counted once: what is under way is taken off it.
pub(super) fn begin(draft: &mut Draft<'_>) {
    let mut missing = missing(draft);
    draft.unmet = missing;
    if draft.observed.settings.degradation.begins_nothing() || adopt::is_due(draft) {
        return;
    }
    if missing == 0 {
        // An attempt that has not begun is not needed any more.
        let now = draft.observed.now;
        let waits = |o: &Operation| o.started_at.as_ref().is_some_and(|time| time.0 > now);
        let drop = |o: &Operation| o.kind == OperationKind::CreateEni && waits(o);
        draft.status.operations.retain(|operation| !drop(operation));
    }
    if wants_trunk(draft) {
        let count = begin_create(draft, OperationKind::CreateTrunk, missing.max(1));
        missing = missing.saturating_sub(count);
    }
    missing = grow(draft, missing);
    let waits = draft
        .status
        .operations
        .iter()
        .any(|o| creates(o) && o.last_error.is_some());
    // What there will be room for in a moment is not worth an ENI.
    let (soon, patience) = room::soon(draft);
    if let Some(patience) = patience.filter(|_| missing > 0) {
        draft.wake_after(patience);
    }
    let later = missing.min(soon);
    missing -= later;
    // One that was refused a moment ago would be refused again.
    while missing > 0 && !waits && may_begin(draft) && has_place(draft) {
        let count = begin_create(draft, OperationKind::CreateEni, missing);
        if count == 0 {
            break;
        }
        missing = missing.saturating_sub(count);
    }
    draft.unmet = missing + later;
    if draft.unmet > 0 {
        // Nothing tells that a vSwitch has recovered.
        draft.wake_after(SHORT);
    }
}

/// Addresses that are wanted, not there, and not on their way.
fn missing(draft: &mut Draft<'_>) -> usize {
    let pool = draft.observed.record.spec.pool.clone().unwrap_or_default();
    let size = |count: i32| usize::try_from(count).unwrap_or(0);
    let there = binding::free_addresses(&draft.status).len() + draft.coming();
    let min = size(pool.min_pool_size);
    let mut missing = (draft.waiting.len() + min).saturating_sub(there);
    let calm = draft.unchanged_for();
    // Half a pool is enough for the rest of a group to take from while it is filled up.
    if missing > 0 && draft.waiting.is_empty() && there >= min.div_ceil(2) && calm < CALM {
        draft.wake_after(CALM - calm);
        missing = 0;
    }
    missing.max(warm_up(draft, size(pool.warm_up_size)))
}

/// What the one-time warm-up still lacks. It never asks for more than the node can have, and is over
/// for good when it has been reached once.
fn warm_up(draft: &mut Draft<'_>, size: usize) -> usize {
    if draft.status.warm_up_completed {
        return 0;
    }
    let target = size.min(draft.per_adapter() * shared_places(draft));
    let nics = draft
        .status
        .network_interfaces
        .values()
        .filter(|nic| binding::is_shared(nic));
    let have: usize = nics
        .filter(|nic| nic.status == NicStatus::InUse)
        .map(|nic| nic.ipv4.len())
        .sum();
    draft.status.warm_up_target = i32::try_from(target).unwrap_or(i32::MAX);
    draft.status.warm_up_allocated_count = i32::try_from(have.min(target)).unwrap_or(i32::MAX);
    draft.status.warm_up_completed = have >= target;
    target.saturating_sub(have + draft.coming())
}

/// ENIs that pods may share on this node.
pub(super) fn shared_places(draft: &Draft<'_>) -> usize {
    let flavors = draft.observed.record.spec.flavor.iter();
    flavors
        .filter(|flavor| flavor.traffic_mode == TrafficMode::Standard)
        .filter(|flavor| matches!(flavor.kind, EniKind::Secondary | EniKind::Trunk))
        .map(|flavor| usize::try_from(flavor.count).unwrap_or(0))
        .sum()
}

fn may_begin(draft: &Draft<'_>) -> bool {
    draft.status.operations.len() < MAX_OPERATIONS
}

/// Whether the instance has a place for one more ENI, beside what is there, what is left alone there,
/// and the one that the trunk needs.
pub(super) fn has_place(draft: &Draft<'_>) -> bool {
    let shared = draft
        .status
        .network_interfaces
        .values()
        .filter(|nic| !nic.unschedulable)
        .count();
    let beginning = draft.status.operations.iter().filter(|o| creates(o)).count();
    let of_instance = usize::try_from(draft.observed.record.spec.node_cap.adapters - 1).unwrap_or(0);
    let reserved = usize::from(wants_trunk(draft));
    shared + beginning + reserved < shared_places(draft) && draft.places_taken() + reserved < of_instance
}

fn wants_trunk(draft: &Draft<'_>) -> bool {
    let wanted = draft
        .observed
        .record
        .spec
        .eni
        .as_ref()
        .is_some_and(|eni| eni.enable_trunk);
    let is_trunk = |nic: &Nic| nic.kind == Some(EniKind::Trunk) && nic.status != NicStatus::Deleting;
    let there = draft.status.network_interfaces.values().any(is_trunk);
    let coming = draft
        .status
        .operations
        .iter()
        .any(|o| matches!(o.kind, OperationKind::CreateTrunk | OperationKind::AttachTrunk));
    let of_instance = usize::try_from(draft.observed.record.spec.node_cap.adapters - 1).unwrap_or(0);
    wanted && !there && !coming && draft.places_taken() < of_instance
}

/// Assigns to ENIs that have room.
fn grow(draft: &mut Draft<'_>, mut missing: usize) -> usize {
    let per_adapter = draft.per_adapter();
    let mut rooms: Vec<(String, String, usize)> = draft
        .status
        .network_interfaces
        .values()
        .filter(|nic| binding::serves(nic) && nic.ipv4.len() < per_adapter)
        .filter(|nic| !draft.is_busy(&nic.id))
        .map(|nic| {
            (
                nic.id.clone(),
                nic.vswitch_id.clone(),
                per_adapter - nic.ipv4.len(),
            )
        })
        .collect();
    rooms.sort_by_key(|(id, _, room)| (Reverse(*room), id.clone()));
    for (eni, vswitch, room) in rooms {
        if missing == 0 || !may_begin(draft) {
            break;
        }
        let Some(left) = left_in(draft, &vswitch) else {
            if is_exhausted(draft, &vswitch) {
                draft.note(&eni, condition::INSUFFICIENT_IP, exhausted_words(&vswitch));
            }
            continue;
        };
        let count = missing.min(room).min(BATCH).min(left);
        use_up(draft, &vswitch, count);
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

/// Addresses left in a vSwitch; `None` when there are none. One that is not among the node's own any more
/// is still asked as long as it has some.
pub(super) fn left_in(draft: &Draft<'_>, vswitch: &str) -> Option<usize> {
    let known = draft.vswitches.iter().find(|v| v.id == vswitch);
    let known = known.or_else(|| draft.observed.vswitches.iter().find(|v| v.id == vswitch))?;
    usize::try_from(known.available).ok().filter(|left| *left > 0)
}

/// Whether a vSwitch is known to have no address left. Of one that is not known nothing is said.
pub(super) fn is_exhausted(draft: &Draft<'_>, vswitch: &str) -> bool {
    let known = draft.observed.vswitches.iter().find(|v| v.id == vswitch);
    known.is_some_and(|known| known.available <= 0)
}

fn use_up(draft: &mut Draft<'_>, vswitch: &str, count: usize) {
    let count = i64::try_from(count).unwrap_or(0);
    if let Some(known) = draft.vswitches.iter_mut().find(|v| v.id == vswitch) {
        known.available -= count;
    }
}

/// Begins a new ENI with up to `wanted` addresses, all of them in the one call; gives how many.
fn begin_create(draft: &mut Draft<'_>, kind: OperationKind, wanted: usize) -> usize {
    let Some(parameters) = parameters(draft, wanted) else {
        return 0;
    };
    let count = usize::try_from(parameters.ipv4_count).unwrap_or(0);
    let vswitch_id = parameters.vswitch_id.clone();
    use_up(draft, &vswitch_id, count);
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

/// The request for a new ENI, by the settings of now. `None` when no vSwitch has an address left.
pub(super) fn parameters(draft: &Draft<'_>, wanted: usize) -> Option<RequestParameters> {
    let record = draft.observed.record;
    let options = record.spec.eni.as_ref()?;
    let zone = &record.spec.node_metadata.zone_id;
    let seed = draft
        .observed
        .seed
        .wrapping_add(draft.status.operations.len() as u64);
    let count = wanted.min(draft.per_adapter()).clamp(1, MAX_CREATE);
    // One with too few for the whole ENI is taken only where no other is left: an ENI cannot move.
    let enough: Vec<Candidate> = draft
        .vswitches
        .iter()
        .filter(|vswitch| vswitch.available >= i64::try_from(count).unwrap_or(1))
        .cloned()
        .collect();
    let policy = &options.vswitch_select_policy;
    let chosen =
        choose(policy, zone, &enough, seed).or_else(|_| choose(policy, zone, &draft.vswitches, seed));
    let chosen = chosen.ok()?;
    let count = count.min(usize::try_from(chosen.available).unwrap_or(1)).max(1);
    Some(RequestParameters {
        vswitch_id: chosen.id.clone(),
        security_group_ids: options.security_group_ids.clone(),
        resource_group_id: options.resource_group_id.clone(),
        ipv4_count: i32::try_from(count).unwrap_or(1),
        // A shared ENI goes with its instance.
        delete_on_release: true,
        tags: options.tag.clone(),
        description: "shared ENI of a Kubernetes node, made by terway".into(),
        ..RequestParameters::default()
    })
}
