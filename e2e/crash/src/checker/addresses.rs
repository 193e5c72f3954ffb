//! An ENI or address has one pod at a time, and a pod keeps its own. A Fixed pod keeps it for ever. A pod on a shared
//! ENI keeps its address until its sandbox is gone and a cooldown is over.

use std::collections::BTreeMap;

use super::{Claim, Facts, PodLife, Violation};

/// ENIs and addresses that two pods had while both lived.
pub fn used_twice(facts: &Facts) -> Vec<Violation> {
    let mut found = Vec::new();
    for (at, second) in facts.claims.iter().enumerate() {
        for first in &facts.claims[..at] {
            let (Some(one), Some(other)) = (facts.pod(&first.pod_uid), facts.pod(&second.pod_uid)) else {
                continue;
            };
            if one.uid == other.uid || !one.lives_at(second.at) {
                continue;
            }
            let whole = !first.shared || !second.shared;
            let what = if whole && first.eni == second.eni {
                first.eni.clone()
            } else if !first.address.is_empty() && first.address == second.address {
                first.address.clone()
            } else {
                continue;
            };
            let violation = Violation::UsedTwice {
                what,
                pods: [one.name.clone(), other.name.clone()],
            };
            if !found.contains(&violation) {
                found.push(violation);
            }
        }
    }
    found
}

/// Fixed pods that came back, under the same name, with something else.
pub fn fixed_changed(facts: &Facts) -> Vec<Violation> {
    let mut first: BTreeMap<(&str, usize), (&PodLife, &Claim)> = BTreeMap::new();
    let mut found = Vec::new();
    for claim in &facts.claims {
        let Some(pod) = facts.pod(&claim.pod_uid).filter(|pod| pod.fixed) else {
            continue;
        };
        let (_, before) = *first
            .entry((pod.name.as_str(), claim.index))
            .or_insert((pod, claim));
        let same = before.eni == claim.eni && before.address == claim.address;
        // An ENI that somebody else deleted cannot be kept.
        if !same && !facts.deleted_by_others(&before.eni, claim.at) {
            found.push(Violation::FixedChanged {
                pod: pod.name.clone(),
                before: format!("{} {}", before.eni, before.address),
                after: format!("{} {}", claim.eni, claim.address),
            });
        }
    }
    found
}

/// Shared addresses that were given to the next pod before the sandbox of the last one was reported gone and the
/// cooldown was over.
pub fn reused_early(facts: &Facts) -> Vec<Violation> {
    let mut found = Vec::new();
    for (at, second) in facts.claims.iter().enumerate().filter(|(_, claim)| claim.shared) {
        for first in facts.claims[..at].iter().filter(|claim| claim.shared) {
            if first.address != second.address || first.pod_uid == second.pod_uid {
                continue;
            }
            let (Some(one), Some(other)) = (facts.pod(&first.pod_uid), facts.pod(&second.pod_uid)) else {
                continue;
            };
            let free = one.let_go.map(|let_go| let_go + facts.cooldown);
            if free.is_none_or(|free| second.at < free) {
                found.push(Violation::ReusedEarly {
                    address: second.address.clone(),
                    pods: [one.name.clone(), other.name.clone()],
                });
            }
        }
    }
    found
}

/// Pods of shared ENIs that were given another address than the one they run with.
pub fn address_changed(facts: &Facts) -> Vec<Violation> {
    let mut first: BTreeMap<&str, &Claim> = BTreeMap::new();
    let mut found = Vec::new();
    for claim in facts.claims.iter().filter(|claim| claim.shared) {
        let before = *first.entry(claim.pod_uid.as_str()).or_insert(claim);
        if before.address != claim.address {
            let pod = facts.pod(&claim.pod_uid).map(|pod| pod.name.clone());
            found.push(Violation::AddressChanged {
                pod: pod.unwrap_or_else(|| claim.pod_uid.clone()),
                before: before.address.clone(),
                after: claim.address.clone(),
            });
        }
    }
    found
}
