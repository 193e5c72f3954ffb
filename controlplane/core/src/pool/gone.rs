//! Recorded ENIs that are not on the instance any more: somebody deleted, detached or moved them.
//!
//! The record shows such an ENI as Detaching while living pods are bound to its addresses, so that nobody else gets
//! these addresses. The ENI takes no place of the instance, and it is given back with its last pod.

use terway_crds::TerwayNodeStatus;
use terway_crds::node::{IpStatus, Nic, NicStatus};

use super::draft::Draft;
use super::{Lost, news};
use crate::binding;
use crate::conditions::{Statement, failing_reason, state};

/// Condition of a Node object: every recorded ENI is on the instance.
pub const ENIS_PRESENT: &str = "ENIsPresent";

/// Pods that are named in the words of the condition, at most.
const NAMED: usize = 5;

/// Whether a recorded ENI is not on the instance any more.
pub(super) fn is_gone(nic: &Nic) -> bool {
    nic.status == NicStatus::Detaching
}

/// Gives back ENIs that are gone and have no pod left, and states what is gone.
pub(super) fn settle(draft: &mut Draft<'_>) {
    let busy: Vec<String> = draft.status.operations.iter().map(|o| o.eni_id.clone()).collect();
    let nics = draft.status.network_interfaces.values_mut();
    for nic in nics.filter(|nic| is_gone(nic) && !nic.unschedulable && !busy.contains(&nic.id)) {
        if binding::bound_count(nic) == 0 {
            nic.status = NicStatus::Deleting;
        }
    }
    tell(draft);
}

/// The living pods that lost their address with this change of the record.
pub(super) fn lost(before: Option<&TerwayNodeStatus>, draft: &Draft<'_>) -> Vec<Lost> {
    let was_valid = |nic: &Nic, address: &str| {
        let known = before.and_then(|status| status.network_interfaces.get(&nic.id));
        known.is_some_and(|known| {
            let mut ips = known.all_addresses();
            ips.any(|(_, ip)| ip.ip == address && ip.status == IpStatus::Valid)
        })
    };
    let nics = draft.status.network_interfaces.values();
    let ips = nics.flat_map(|nic| nic.all_addresses().map(move |(_, ip)| (nic, ip)));
    ips.filter(|(nic, ip)| !ip.pod_uid.is_empty() && ip.status == IpStatus::Invalid && was_valid(nic, &ip.ip))
        .map(|(nic, ip)| Lost {
            pod_uid: ip.pod_uid.clone(),
            news: news::address_lost(&nic.id, &ip.ip),
        })
        .collect()
}

/// States which ENIs are gone and whose pods have no network. The true statement only follows a false one.
fn tell(draft: &mut Draft<'_>) {
    let gone: Vec<&Nic> = draft
        .status
        .network_interfaces
        .values()
        .filter(|nic| is_gone(nic) && !nic.unschedulable)
        .collect();
    let told = failing_reason(&draft.status.conditions, ENIS_PRESENT).is_some();
    if gone.is_empty() && !told {
        return;
    }
    let message = if gone.is_empty() {
        "every recorded ENI is on the instance".to_owned()
    } else {
        let enis: Vec<&str> = gone.iter().map(|nic| nic.id.as_str()).collect();
        let ips = gone.iter().flat_map(|nic| nic.all_addresses());
        let mut pods: Vec<&str> = ips
            .filter(|(_, ip)| binding::is_bound(ip))
            .map(|(_, ip)| ip.pod_id.as_str())
            .collect();
        pods.sort_unstable();
        pods.truncate(NAMED);
        format!(
            "ENI {} is not on the instance any more, and its pods have no network: delete these pods: {}",
            enis.join(", "),
            pods.join(", ")
        )
    };
    let statement = Statement {
        kind: ENIS_PRESENT,
        holds: gone.is_empty(),
        reason: if gone.is_empty() { "Present" } else { "ENIGone" },
        message,
    };
    let generation = draft.observed.record.metadata.generation;
    state(
        &mut draft.status.conditions,
        statement,
        generation,
        draft.observed.now,
    );
}
