//! When Node objects showed a full pool, and when they gave a pod its address.

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

use kube::runtime::watcher::Event;
use kube::{Client, ResourceExt};
use terway_crds::TerwayNode;
use terway_crds::node::{Ip, IpStatus, NicStatus};

use crate::observe::{Observer, Progress};

/// The times so far.
#[derive(Debug, Default)]
pub struct PoolTimes {
    pub nodes: HashMap<String, NodeTimes>,
    /// UID of a pod to the time its address was first seen.
    pub bound: HashMap<String, Instant>,
    /// UID of a pod to the time when its address first belonged to nobody again.
    pub freed: HashMap<String, Instant>,
    /// Addresses that pods of two nodes had at a time.
    pub twice: BTreeSet<String>,
    /// Address to the node whose pod has it.
    holders: HashMap<String, String>,
}

/// One Node object.
#[derive(Debug)]
pub struct NodeTimes {
    /// When it was first seen.
    pub first: Instant,
    /// When its pool was first seen full.
    pub full: Option<Instant>,
    /// Whether it is full now.
    pub is_full: bool,
    /// Addresses of pods, by UID.
    given: HashMap<String, String>,
}

impl Progress for PoolTimes {
    fn progress(&self) -> String {
        let full = self.nodes.values().filter(|node| node.is_full).count();
        format!(
            "{} Node objects, {full} of them with a full pool; {} pods have had addresses, {} have none any more",
            self.nodes.len(),
            self.bound.len(),
            self.freed.len()
        )
    }
}

/// Starts watching. A pool is full when it has an ENI and `idle` idle addresses.
pub fn observe(client: &Client, idle: usize) -> Observer<PoolTimes> {
    Observer::new().watching(client, move |seen: &mut PoolTimes, event| match event {
        Event::InitApply(node) | Event::Apply(node) => seen.record(&node, idle),
        Event::Init | Event::InitDone | Event::Delete(_) => {}
    })
}

impl PoolTimes {
    /// Nodes whose pools are full now.
    pub fn full(&self) -> usize {
        self.nodes.values().filter(|node| node.is_full).count()
    }

    fn record(&mut self, node: &TerwayNode, idle: usize) {
        let now = Instant::now();
        let nics = node
            .status
            .iter()
            .flat_map(|status| status.network_interfaces.values());
        let nics: Vec<_> = nics.filter(|nic| nic.status == NicStatus::InUse).collect();
        let all: Vec<&Ip> = nics.iter().flat_map(|nic| nic.ipv4.values()).collect();
        let given: Vec<&Ip> = all.iter().copied().filter(|ip| !ip.pod_uid.is_empty()).collect();
        let is_idle = |ip: &&&Ip| ip.pod_uid.is_empty() && ip.status == IpStatus::Valid;
        let is_full = !nics.is_empty() && all.iter().filter(is_idle).count() >= idle;

        let name = node.name_any();
        let seen = self.nodes.entry(name.clone()).or_insert_with(|| NodeTimes {
            first: now,
            full: None,
            is_full: false,
            given: HashMap::new(),
        });
        seen.is_full = is_full;
        if is_full {
            seen.full.get_or_insert(now);
        }
        let holding = given
            .iter()
            .map(|ip| (ip.pod_uid.clone(), ip.ip.clone()))
            .collect();
        for (uid, address) in std::mem::replace(&mut seen.given, holding) {
            self.holders.remove(&address);
            if !seen.given.contains_key(&uid) {
                self.freed.insert(uid, now);
            }
        }
        for ip in given {
            self.bound.entry(ip.pod_uid.clone()).or_insert(now);
            let other = self.holders.insert(ip.ip.clone(), name.clone());
            if other.is_some_and(|other| other != name) {
                self.twice.insert(ip.ip.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node(name: &str, pods: &[(&str, &str)]) -> TerwayNode {
        let ips: serde_json::Map<_, _> = pods
            .iter()
            .map(|(ip, uid)| {
                (
                    (*ip).to_owned(),
                    json!({"ip": ip, "status": "Valid", "podUID": uid}),
                )
            })
            .collect();
        serde_json::from_value(json!({
            "metadata": {"name": name}, "spec": {},
            "status": {"networkInterfaces": {"eni": {"id": "eni", "status": "InUse", "ipv4": ips}}},
        }))
        .unwrap()
    }

    #[test]
    fn a_pool_is_full_and_empty_again() {
        let mut seen = PoolTimes::default();
        seen.record(&node("a", &[("1", "")]), 2);
        assert_eq!(seen.full(), 0);
        seen.record(&node("a", &[("1", ""), ("2", "")]), 2);
        assert_eq!(seen.full(), 1);
        seen.record(&node("a", &[("1", "p"), ("2", "")]), 2);
        assert_eq!((seen.full(), seen.bound.len(), seen.freed.len()), (0, 1, 0));
        assert!(seen.nodes["a"].full.is_some());
        seen.record(&node("a", &[("1", ""), ("2", "")]), 2);
        assert_eq!((seen.full(), seen.freed.len()), (1, 1));
    }

    #[test]
    fn an_address_on_two_nodes_is_noticed_and_one_that_moves_is_not() {
        let mut seen = PoolTimes::default();
        seen.record(&node("a", &[("1", "p")]), 0);
        seen.record(&node("a", &[("1", "")]), 0);
        seen.record(&node("b", &[("1", "q")]), 0);
        assert!(seen.twice.is_empty());
        seen.record(&node("a", &[("1", "p")]), 0);
        assert_eq!(seen.twice.len(), 1);
    }
}
