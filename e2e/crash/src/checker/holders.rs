//! Nothing is taken from a living pod, and foreign ENIs are not touched.

use super::{Call, Claim, Facts, Violation};

/// Detach, Delete and Unassign of something that a living pod was bound to. A refusal by the cloud is no excuse: the
/// cloud might have done the call.
pub fn touched_while_living(facts: &Facts) -> Vec<Violation> {
    facts
        .calls
        .iter()
        .filter(|call| call.takes_away())
        .filter_map(|call| {
            let pod = holder(facts, call)?;
            Some(Violation::TouchedWhileLiving {
                pod,
                call: call.clone(),
            })
        })
        .collect()
}

/// The pod that was bound to what a call takes away when it arrived: alive, or on a shared ENI without a report
/// that its sandbox is gone. Nothing is taken from anybody with an ENI that somebody else has deleted, or has detached
/// and that was not attached again.
fn holder(facts: &Facts, call: &Call) -> Option<String> {
    let eni = call.eni.as_deref()?;
    if facts.out_of_service(eni, call.arrived) {
        return None;
    }
    let concerns = |claim: &&Claim| {
        let spared = claim.shared && call.unassigns() && !call.addresses.contains(&claim.address);
        claim.eni == eni && claim.at <= call.arrived && !spared
    };
    facts
        .claims
        .iter()
        .filter(concerns)
        .filter_map(|claim| Some((claim, facts.pod(&claim.pod_uid)?)))
        .find(|(claim, pod)| pod.holds(claim, call.arrived))
        .map(|(_, pod)| format!("{} ({})", pod.name, pod.uid))
}

/// Calls that could change an ENI which is not ours.
pub fn foreign_touched(facts: &Facts) -> Vec<Violation> {
    let foreign =
        |call: &&Call| call.mutates() && call.eni.as_ref().is_some_and(|eni| facts.foreign.contains(eni));
    facts
        .calls
        .iter()
        .filter(foreign)
        .map(|call| Violation::ForeignTouched { call: call.clone() })
        .collect()
}
