//! Compares the record with the cloud. ENIs and addresses that are not recorded are taken over. Recorded ones that the
//! cloud does not have become invalid.

use std::time::Duration;

use jiff::Timestamp;
use terway_crds::names::tag;
use terway_crds::node::{IpStatus, Nic, NicStatus, NodeEni};
use terway_crds::{Family, Operation, OperationKind};

use super::draft::{Draft, addresses, at, nic_of};
use super::{Call, Inventory, news};
use crate::binding;
use crate::cloud::{CloudEni, EniKind, EniStatus};
use crate::intent::elapsed;
use crate::ownership::{Foreign, foreign};

/// Shortest time between two comparisons of a node because of contradictions.
const SUSPECT_PACE: Duration = Duration::from_secs(15);

/// An operation that was begun this long ago does not keep a comparison from being made. A comparison leaves the ENI of
/// an operation alone.
const PATIENCE: Duration = Duration::from_secs(300);

/// Compares, if a comparison is due. No operation begins while a comparison is due, because a list is valid only if
/// nothing has changed since a consistency window before its request.
pub(super) fn adopt(draft: &mut Draft<'_>) {
    let now = draft.observed.now;
    let due = due_in(draft);
    let first = draft.status.last_sync_openapi_time.is_none();
    if !due.is_zero() {
        draft.wake_after(due);
        return;
    }
    // A node that was never compared is compared at every level of degradation. Its pods could not be served otherwise.
    if !first && draft.observed.settings.degradation.keeps_everything() {
        return;
    }
    // An operation that waits for its next attempt changes nothing in the cloud.
    let begun = |o: &Operation| match &o.started_at {
        Some(time) => time.0 <= now && elapsed(time.0, now) < PATIENCE,
        None => true,
    };
    if !first && draft.status.operations.iter().any(begun) {
        return;
    }
    let quiet = quiet(draft);
    let left = elapsed(now, quiet);
    if !left.is_zero() {
        draft.wake_after(left);
        return;
    }
    let observed = draft.observed;
    let is_new = |inventory: &&Inventory| {
        inventory.asked >= quiet
            && observed
                .compared
                .is_none_or(|compared| inventory.asked > compared)
    };
    match observed.inventory.filter(is_new) {
        Some(inventory) => compare(draft, inventory),
        None => draft.calls.push(Call::ListEnis),
    }
}

/// The time since which a list shows everything that was done for this node.
fn quiet(draft: &Draft<'_>) -> Timestamp {
    draft.observed.quiet_since + draft.observed.settings.limits.consistency
}

/// Time until the next comparison: the planned time, or at once when something has contradicted the record since the
/// last one.
fn due_in(draft: &Draft<'_>) -> Duration {
    let (Some(_), Some(next)) = (
        &draft.status.last_sync_openapi_time,
        &draft.status.next_sync_openapi_time,
    ) else {
        return Duration::ZERO;
    };
    let observed = draft.observed;
    let planned = elapsed(observed.now, next.0);
    match (observed.suspected, observed.compared) {
        (None, _) => planned,
        (Some(_), None) => Duration::ZERO,
        (Some(suspected), Some(compared)) if suspected < compared => planned,
        (Some(_), Some(compared)) => planned.min(elapsed(observed.now, compared + SUSPECT_PACE)),
    }
}

/// Whether this process has compared the node with the cloud, and nothing has changed since. Only then the instance has
/// certainly no trunk beside the recorded one.
pub(super) fn is_fresh(draft: &Draft<'_>) -> bool {
    let quiet = quiet(draft);
    draft.compared || draft.observed.compared.is_some_and(|compared| compared >= quiet)
}

/// Whether a comparison is due. Nothing begins until it is made.
pub(super) fn is_due(draft: &Draft<'_>) -> bool {
    !draft.observed.settings.degradation.keeps_everything() && !draft.compared && due_in(draft).is_zero()
}

fn compare(draft: &mut Draft<'_>, inventory: &Inventory) {
    let Some(options) = draft.observed.record.spec.eni.clone() else {
        return;
    };
    for eni in &inventory.enis {
        let is_ours_to_see = matches!(eni.kind, EniKind::Secondary | EniKind::Trunk);
        if !is_ours_to_see || draft.observed.elsewhere.contains(&eni.id) {
            continue;
        }
        let left_alone = is_left_alone(eni, &options);
        match draft.status.network_interfaces.contains_key(&eni.id) {
            true => known(draft, eni, left_alone),
            // An ENI that is leaving the instance is not taken over.
            false if matches!(eni.status, EniStatus::Detaching | EniStatus::Deleting) => continue,
            false => unknown(draft, eni, left_alone),
        }
        if !left_alone {
            check_groups(draft, eni, &options);
        }
    }
    missing(draft, inventory);
    strangers(draft);
    draft.compared = true;
    let now = draft.observed.now;
    // The random share keeps nodes that joined together from asking together for ever.
    let spread = 1.0 + (draft.observed.seed % 1000) as f64 / 1000.0;
    draft.status.last_sync_openapi_time = at(now);
    draft.status.next_sync_openapi_time = at(now + draft.observed.settings.sync_period.mul_f64(spread));
    draft.news.push(news::synced());
}

/// Whether an ENI is left alone: it has a tag of the block list or of another cluster, or lacks a tag of the filter. It
/// still takes a place of the instance, so the record shows it.
fn is_left_alone(eni: &CloudEni, options: &NodeEni) -> bool {
    let has = |key: &str, value: &str| eni.tags.get(key).is_some_and(|known| known == value);
    let blocked = options.tag_block_list.iter().any(|tag| has(&tag.key, &tag.value));
    let passes = options.tag_filter.iter().all(|(key, value)| has(key, value));
    // ENIs without the tag of any cluster were made by a program before us, and their pods run.
    let cluster = options
        .tag
        .get(tag::CLUSTER)
        .map(String::as_str)
        .unwrap_or_default();
    let others = matches!(
        foreign(eni, cluster),
        Some(Foreign::OtherCluster { .. } | Foreign::Excluded)
    );
    blocked || !passes || others
}

fn unknown(draft: &mut Draft<'_>, eni: &CloudEni, left_alone: bool) {
    let mut nic = nic_of(eni);
    nic.unschedulable = left_alone;
    if left_alone {
        for family in Family::SERVED {
            nic.addresses_mut(family).clear();
        }
    } else if nic.status == NicStatus::Attaching && !draft.is_busy(&eni.id) {
        // The ENI is being attached. This operation waits for the end.
        let id = draft.new_id();
        draft.status.operations.push(Operation {
            id,
            kind: OperationKind::AttachEni,
            eni_id: eni.id.clone(),
            vswitch_id: eni.vswitch_id.clone(),
            attempt: 1,
            started_at: at(draft.observed.now),
            ..Operation::default()
        });
    }
    draft.status.network_interfaces.insert(eni.id.clone(), nic);
}

fn known(draft: &mut Draft<'_>, eni: &CloudEni, left_alone: bool) {
    if draft.is_busy(&eni.id) {
        return;
    }
    let fresh = nic_of(eni);
    let Some(nic) = draft.status.network_interfaces.get_mut(&eni.id) else {
        return;
    };
    nic.unschedulable = left_alone;
    if nic.status == NicStatus::Deleting {
        return;
    }
    if eni.status == EniStatus::InUse {
        nic.status = NicStatus::InUse;
    }
    nic.security_group_ids.clone_from(&fresh.security_group_ids);
    if left_alone {
        // Addresses that pods have stay theirs. The other addresses are not used.
        for family in Family::SERVED {
            nic.addresses_mut(family).retain(|_, ip| binding::is_bound(ip));
        }
        return;
    }
    let there = addresses(eni);
    let lost = lose(nic, |address| there.iter().any(|ip| ip.to_string() == *address));
    for (family, ip) in fresh.all_addresses() {
        let known = nic.addresses_mut(family).entry(ip.ip.clone());
        let known = known.or_insert_with(|| ip.clone());
        // The cloud has the address again.
        if known.status == IpStatus::Invalid {
            known.status = IpStatus::Valid;
        }
    }
    if !lost.is_empty() {
        draft.news.push(news::invalid(format!(
            "ENI {} does not have {} any more; the record says it has",
            eni.id,
            lost.join(", ")
        )));
    }
}

/// Handles addresses that the cloud does not show. Addresses of pods are marked invalid; other addresses are removed.
fn lose(nic: &mut Nic, is_there: impl Fn(&String) -> bool) -> Vec<String> {
    let mut lost = Vec::new();
    for family in Family::SERVED {
        nic.addresses_mut(family).retain(|address, ip| {
            if is_there(address) || ip.status == IpStatus::Invalid && binding::is_bound(ip) {
                return true;
            }
            lost.push(address.clone());
            ip.status = IpStatus::Invalid;
            binding::is_bound(ip)
        });
    }
    lost
}

/// Handles recorded ENIs that the instance does not have. They are given back when no pod uses them; see
/// [`super::gone`].
fn missing(draft: &mut Draft<'_>, inventory: &Inventory) {
    let gone: Vec<String> = draft
        .status
        .network_interfaces
        .values()
        .filter(|nic| nic.status != NicStatus::Deleting)
        .filter(|nic| inventory.enis.iter().all(|eni| eni.id != nic.id))
        .filter(|nic| !draft.is_busy(&nic.id))
        .map(|nic| nic.id.clone())
        .collect();
    for id in gone {
        let Some(nic) = draft.status.network_interfaces.get_mut(&id) else {
            continue;
        };
        if nic.unschedulable {
            draft.status.network_interfaces.remove(&id);
            continue;
        }
        lose(nic, |_| false);
        nic.status = if binding::bound_count(nic) == 0 {
            NicStatus::Deleting
        } else {
            // The record shows the ENI until its pods are gone. No pod gets its addresses.
            NicStatus::Detaching
        };
        draft.news.push(news::invalid(format!(
            "ENI {id} is not attached to this node any more; the record says it is"
        )));
    }
}

/// Reports pods whose address no ENI of this node has, or which belongs to another pod. Such a pod keeps its address,
/// and nothing can be recorded for it.
fn strangers(draft: &mut Draft<'_>) {
    let observed = draft.observed;
    for pod in observed.pods.iter().filter(|pod| pod.needs_shared_address()) {
        let Some(address) = pod.address else {
            continue;
        };
        let mut nics = draft.status.network_interfaces.values();
        let ip = nics.find_map(|nic| nic.find(address));
        let trouble = match ip {
            None => "which no shared ENI of this node has".to_owned(),
            Some(ip) if binding::is_bound(ip) && ip.pod_uid != pod.uid && !ip.pod_uid.is_empty() => {
                format!("which is recorded for {}", ip.pod_id)
            }
            Some(_) => continue,
        };
        draft.news.push(news::invalid(format!(
            "pod {}/{} runs with {address}, {trouble}: delete the pod, so that its next one gets an address",
            pod.namespace, pod.name
        )));
    }
}

/// Reports an ENI whose security groups differ from the configuration. The control plane never changes groups of an
/// ENI, because a person has decided about one of the two sides.
fn check_groups(draft: &mut Draft<'_>, eni: &CloudEni, options: &NodeEni) {
    let (mut has, mut wanted) = (eni.security_group_ids.clone(), options.security_group_ids.clone());
    has.sort();
    wanted.sort();
    if has != wanted {
        draft.news.push(news::invalid(format!(
            "ENI {} has security groups {}, and security_groups of eni-config says {}; it is left as it is",
            eni.id,
            has.join(", "),
            wanted.join(", ")
        )));
    }
}
