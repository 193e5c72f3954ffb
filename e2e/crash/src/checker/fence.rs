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
            (!is_of(&call.caller, leader)).then(|| Violation::Stale {
                call: call.clone(),
                leader: leader.to_owned(),
            })
        })
        .collect()
}

/// The leader at the time a call arrived; `None` while nobody led.
fn leader_at<'a>(facts: &'a Facts, call: &Call) -> Option<&'a str> {
    let term = facts.terms.iter().rev().find(|term| term.since <= call.arrived)?;
    Some(term.holder.as_str()).filter(|holder| !holder.is_empty())
}

/// Whether a User-Agent is that of a replica: the replica's identity stands in it in brackets.
pub fn is_of(user_agent: &str, identity: &str) -> bool {
    user_agent.contains(&format!("({identity})"))
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
