//! Only the leader changes the cloud, and a token always stands for the same request.

use super::{Call, Facts, Violation};

/// Mutating calls that arrived from a replica while another one led.
pub fn stale_calls(facts: &Facts) -> Vec<Violation> {
    facts
        .calls
        .iter()
        .filter(|call| call.mutates())
        .filter_map(|call| {
            let leader = leader_at(facts, call)?;
            (!is_of(call, leader)).then(|| Violation::Stale {
                call: call.clone(),
                leader: leader.to_owned(),
            })
        })
        .collect()
}

/// Who led when a call arrived; `None` before anybody did, and while nobody does.
fn leader_at<'a>(facts: &'a Facts, call: &Call) -> Option<&'a str> {
    let term = facts.terms.iter().rev().find(|term| term.since <= call.arrived)?;
    Some(term.holder.as_str()).filter(|holder| !holder.is_empty())
}

/// The User-Agent holds the identity in brackets.
fn is_of(call: &Call, identity: &str) -> bool {
    call.caller.contains(&format!("({identity})"))
}

/// Calls whose token the cloud knew with other parameters.
pub fn tokens_misused(facts: &Facts) -> Vec<Violation> {
    let misused = |call: &&Call| {
        matches!(
            call.outcome.as_str(),
            "IdempotentParameterMismatch" | "IdempotentFailed"
        )
    };
    facts
        .calls
        .iter()
        .filter(misused)
        .map(|call| Violation::TokenMisused { call: call.clone() })
        .collect()
}
