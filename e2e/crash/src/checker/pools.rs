//! The shared ENIs of nodes: record and cloud name the same addresses, limits hold, and an Assign whose answer was
//! lost is not done twice.

use std::collections::{BTreeMap, BTreeSet};

use super::{Facts, Snapshot, Violation};

/// What the record of a node says about its shared ENIs while nothing is under way.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordedPool {
    pub node: String,
    pub instance: String,
    /// Addresses by ENI.
    pub enis: BTreeMap<String, BTreeSet<String>>,
    /// How many addresses no pod has.
    pub idle: usize,
    /// Fewest and most idle addresses, by the node's configuration.
    pub min: usize,
    pub max: usize,
    /// ENIs beside the primary one, and addresses of each, that the instance type allows.
    pub most_enis: usize,
    pub most_addresses: usize,
}

/// Error codes of the cloud for a call after which an instance would have more than its type allows.
const LIMITS: [&str; 2] = [
    "EniPerInstanceLimitExceeded",
    "InvalidOperation.Ipv4CountExceeded",
];

/// Calls that asked for more than an instance can have. Before such a call the record named too little.
pub fn beyond_limits(facts: &Facts) -> Vec<Violation> {
    let beyond = |call: &&super::Call| LIMITS.contains(&call.outcome.as_str());
    let calls = facts.calls.iter().filter(beyond);
    calls
        .map(|call| Violation::BeyondLimit {
            what: call.to_string(),
        })
        .collect()
}

/// Operations that were done under more than one token: the addresses came twice.
pub fn assigned_twice(facts: &Facts) -> Vec<Violation> {
    let mut done: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let assigns = facts
        .calls
        .iter()
        .filter(|call| call.action.starts_with("Assign"));
    for call in assigns.filter(|call| call.done()) {
        let Some(token) = call.token.as_deref() else {
            continue;
        };
        if let Some(operation) = facts.assigns.get(token) {
            done.entry(operation).or_default().insert(token);
        }
    }
    done.into_iter()
        .filter(|(_, tokens)| tokens.len() > 1)
        .map(|(operation, _)| Violation::AssignedTwice {
            operation: operation.to_owned(),
        })
        .collect()
}

/// Checks the nodes of a moment at which nothing is under way.
pub fn pools_at_rest(snapshot: &Snapshot) -> Vec<Violation> {
    snapshot
        .pools
        .iter()
        .flat_map(|pool| {
            let mut found = disagreements(snapshot, pool);
            found.extend(size(pool));
            found
        })
        .collect()
}

fn disagreements(snapshot: &Snapshot, pool: &RecordedPool) -> Vec<Violation> {
    let here =
        |eni: &&super::EniInCloud| eni.ours && !eni.member && eni.instance.as_deref() == Some(&pool.instance);
    let there: BTreeSet<(&str, &String)> = snapshot
        .enis
        .iter()
        .filter(here)
        .flat_map(|eni| eni.addresses.iter().map(|address| (eni.id.as_str(), address)))
        .collect();
    let recorded: BTreeSet<(&str, &String)> = pool
        .enis
        .iter()
        .flat_map(|(eni, addresses)| addresses.iter().map(|address| (eni.as_str(), address)))
        .collect();
    let said = |(eni, address): &(&str, &String), recorded: bool| Violation::Disagree {
        node: pool.node.clone(),
        eni: (*eni).to_owned(),
        address: (*address).clone(),
        recorded,
    };
    let unknown = there.difference(&recorded).map(|pair| said(pair, false));
    unknown
        .chain(recorded.difference(&there).map(|pair| said(pair, true)))
        .collect()
}

fn size(pool: &RecordedPool) -> Vec<Violation> {
    let mut found = Vec::new();
    if pool.idle < pool.min || pool.idle > pool.max {
        found.push(Violation::PoolSize {
            node: pool.node.clone(),
            idle: pool.idle,
            wanted: [pool.min, pool.max],
        });
    }
    if pool.enis.len() > pool.most_enis {
        found.push(Violation::BeyondLimit {
            what: format!("{} has {} ENIs beside its own", pool.node, pool.enis.len()),
        });
    }
    for (eni, addresses) in &pool.enis {
        if addresses.len() > pool.most_addresses {
            found.push(Violation::BeyondLimit {
                what: format!("{eni} of {} has {} addresses", pool.node, addresses.len()),
            });
        }
    }
    found
}
