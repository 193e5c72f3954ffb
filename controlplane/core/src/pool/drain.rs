//! Drains ENIs. An ENI that cannot be filled, because its vSwitch is exhausted, is replaced by an ENI in another
//! vSwitch. It takes no new pods, and it is given back when its last pod is gone.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use terway_crds::EniKind;
use terway_crds::names::condition;
use terway_crds::node::{Nic, NicCondition, NicStatus};

use super::draft::Draft;
use super::{demand, news};
use crate::binding::{self, DRAINING};

/// Ends the draining of ENIs, and the condition of an exhausted vSwitch, if their vSwitch has addresses again.
pub(super) fn recover(draft: &mut Draft<'_>) {
    let recovered: Vec<String> = draft
        .status
        .network_interfaces
        .values()
        .filter(|nic| {
            nic.conditions.contains_key(DRAINING) || nic.conditions.contains_key(condition::INSUFFICIENT_IP)
        })
        .filter(|nic| nic.status == NicStatus::InUse && draft.stock.left_in(&nic.vswitch_id).is_some())
        .map(|nic| nic.id.clone())
        .collect();
    for id in recovered {
        if let Some(nic) = draft.status.network_interfaces.get_mut(&id) {
            nic.conditions.remove(DRAINING);
            nic.conditions.remove(condition::INSUFFICIENT_IP);
        }
    }
}

/// Chooses an ENI to replace if addresses are missing and every place is taken. Gives back draining ENIs that are
/// empty.
pub(super) fn drain(draft: &mut Draft<'_>) {
    if draft.observed.settings.degradation.keeps_everything() {
        return;
    }
    if draft.unmet > 0 && !demand::has_place(draft) && draft.status.operations.is_empty() {
        choose(draft);
    }
    let empty: Vec<String> = draft
        .status
        .network_interfaces
        .values()
        .filter(|nic| nic.conditions.contains_key(DRAINING) && nic.status == NicStatus::InUse)
        .filter(|nic| draft.capacity().room(nic).bound == 0 && !draft.is_busy(&nic.id))
        .map(|nic| nic.id.clone())
        .collect();
    for id in empty {
        if let Some(nic) = draft.status.network_interfaces.get_mut(&id) {
            nic.status = NicStatus::Deleting;
        }
    }
}

fn choose(draft: &mut Draft<'_>) {
    let already = |nic: &Nic| nic.conditions.contains_key(DRAINING) || nic.status == NicStatus::Deleting;
    // A replacement helps only if another vSwitch has addresses. One ENI is replaced at a time.
    if draft.status.network_interfaces.values().any(already) || demand::parameters(draft, 1).is_none() {
        return;
    }
    let capacity = draft.capacity();
    let stuck = draft
        .status
        .network_interfaces
        .values()
        .filter(|nic| binding::serves(nic) && nic.kind != Some(EniKind::Trunk))
        .filter(|nic| capacity.room(nic).left() > 0 && draft.stock.is_exhausted(&nic.vswitch_id))
        .min_by_key(|nic| (capacity.room(nic).bound, nic.id.clone()))
        .map(|nic| (nic.id.clone(), nic.vswitch_id.clone()));
    let Some((id, vswitch)) = stuck else { return };
    let message = format!(
        "{}: this ENI takes no new pods and is replaced when its last one is gone",
        demand::exhausted_words(&vswitch)
    );
    draft.news.push(news::draining(format!("ENI {id}: {message}")));
    let now = draft.observed.now;
    if let Some(nic) = draft.status.network_interfaces.get_mut(&id) {
        nic.conditions.insert(
            DRAINING.to_owned(),
            NicCondition {
                observed_time: Some(Time(now)),
                message,
            },
        );
    }
}
