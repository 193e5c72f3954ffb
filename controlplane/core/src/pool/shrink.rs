//! Fewer addresses: gives back idle addresses above the pool's maximum, and addresses that have been idle for long.

use std::time::Duration;

use jiff::Timestamp;
use terway_crds::node::{IpStatus, Nic, NicStatus};
use terway_crds::{EniKind, Operation, OperationKind};

use super::draft::{Draft, at};
use super::{BATCH, MAX_OPERATIONS, adopt, forecast};
use crate::binding;
use crate::go_duration;
use crate::intent::elapsed;
use crate::room::{COUNTED, Room, size};

/// Gives back surplus addresses. It does nothing while pods wait, while addresses are under way, or before the time
/// between two checks has passed.
pub(super) fn shrink(draft: &mut Draft<'_>) {
    let calm = draft.waiting.is_empty() && draft.unmet == 0 && forecast::coming(draft) == 0;
    if !calm || adopt::is_due(draft) || draft.observed.settings.degradation.keeps_everything() {
        return;
    }
    let pool = draft.observed.record.spec.pool.clone().unwrap_or_default();
    let period = go_duration::parse(&pool.pool_sync_period)
        .filter(|period| !period.is_zero())
        .unwrap_or(draft.observed.settings.pool_period);
    let idle = binding::free_addresses(&draft.status).len();
    let surplus = idle.saturating_sub(size(pool.max_pool_size.max(pool.min_pool_size)));
    let left = period.saturating_sub(elapsed(draft.observed.adjusted, draft.observed.now));
    let mut excess = 0;
    if surplus > 0 {
        if left.is_zero() {
            excess = surplus;
            draft.adjusted = true;
        } else {
            draft.wake_after(left);
        }
    }
    excess += reclaim(draft, idle - excess, size(pool.min_pool_size));
    give_back(draft, excess);
}

/// How many idle addresses have been idle for long enough.
fn reclaim(draft: &mut Draft<'_>, idle: usize, min: usize) -> usize {
    let pool = draft.observed.record.spec.pool.as_ref();
    let Some(reclaim) = pool.and_then(|pool| pool.reclaim.clone()) else {
        return 0;
    };
    let Some(after) = go_duration::parse(&reclaim.after) else {
        return 0;
    };
    let spare = idle.saturating_sub(min);
    if spare == 0 {
        return 0;
    }
    let now = draft.observed.now;
    let next = draft
        .status
        .next_idle_ip_reclaim_time
        .as_ref()
        .map(|time| elapsed(now, time.0));
    let left = after
        .saturating_sub(draft.unchanged_for())
        .max(next.unwrap_or_default());
    if !left.is_zero() {
        draft.wake_after(left);
        return 0;
    }
    let interval = go_duration::parse(&reclaim.interval).unwrap_or(Duration::from_secs(600));
    let jitter: Option<f64> = reclaim.jitter_factor.parse().ok();
    // "NaN" is a number for the parser, and no time can be multiplied by it.
    let jitter = jitter.filter(|jitter| jitter.is_finite()).unwrap_or(0.0);
    let share = (draft.observed.seed % 1000) as f64 / 1000.0;
    let interval = interval.mul_f64(1.0 + jitter.clamp(0.0, 1.0) * share);
    draft.status.next_idle_ip_reclaim_time = at(now.saturating_add(interval).unwrap_or(Timestamp::MAX));
    spare.min(size(reclaim.batch_size))
}

/// Gives back `excess` idle addresses, from the emptiest ENIs first: a whole ENI if all of its addresses are idle, else
/// single addresses. A primary address is given back only with its ENI.
fn give_back(draft: &mut Draft<'_>, mut excess: usize) {
    let capacity = draft.capacity();
    let mut nics: Vec<(Room, String)> = draft
        .status
        .network_interfaces
        .values()
        .filter(|nic| nic.status == NicStatus::InUse && binding::is_shared(nic))
        .filter(|nic| !draft.is_busy(&nic.id))
        .map(|nic| (capacity.room(nic), nic.id.clone()))
        .collect();
    nics.sort_by_key(|(room, id)| (room.bound, room.used, id.clone()));
    for (room, id) in nics {
        if excess == 0 {
            return;
        }
        let Some(nic) = draft.status.network_interfaces.get_mut(&id) else {
            continue;
        };
        if room.bound == 0 && nic.kind == Some(EniKind::Secondary) && room.used <= excess {
            excess -= room.used;
            nic.status = NicStatus::Deleting;
            continue;
        }
        if draft.status.operations.len() >= MAX_OPERATIONS {
            return;
        }
        let addresses = mark(nic, excess.min(BATCH));
        if addresses.is_empty() {
            continue;
        }
        excess -= addresses.len();
        let vswitch_id = nic.vswitch_id.clone();
        let operation = Operation {
            id: draft.new_id(),
            kind: OperationKind::UnassignIps,
            eni_id: id,
            vswitch_id,
            count: i32::try_from(addresses.len()).unwrap_or(0),
            addresses,
            term: draft.observed.settings.term.clone(),
            attempt: 1,
            started_at: at(draft.observed.now),
            ..Operation::default()
        };
        draft.status.operations.push(operation);
    }
}

/// Marks idle addresses, the highest first, because pods get the lowest first.
fn mark(nic: &mut Nic, most: usize) -> Vec<String> {
    let mut idle: Vec<std::net::IpAddr> = nic
        .addresses(COUNTED)
        .values()
        .filter(|ip| binding::is_free(ip) && !ip.primary)
        .filter_map(|ip| ip.address(COUNTED).ok())
        .collect();
    idle.sort_unstable();
    let chosen: Vec<String> = idle.iter().rev().take(most).map(ToString::to_string).collect();
    for address in &chosen {
        if let Some(ip) = nic.addresses_mut(COUNTED).get_mut(address) {
            ip.status = IpStatus::Deleting;
        }
    }
    chosen
}
