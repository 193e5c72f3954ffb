//! What the record of a node says about its shared ENIs, for actors that wait for it and for the rules.

use terway_core::binding;
use terway_crds::node::{IpStatus, NicStatus};
use terway_crds::{TerwayNode, TerwayNodeStatus};

use crate::checker::{Attached, RecordedPool};
use crate::view::Objects;
use crate::world;

fn status(record: &TerwayNode) -> Option<&TerwayNodeStatus> {
    // A record is made first and gets its settings later.
    record.spec.pool.as_ref()?;
    record.status.as_ref()
}

/// Whether nothing is under way on a node: it has no operation, and every ENI is in use.
pub fn rests(record: &TerwayNode) -> bool {
    status(record).is_some_and(|status| {
        let mut nics = status.network_interfaces.values();
        status.operations.is_empty() && nics.all(|nic| nic.status == NicStatus::InUse)
    })
}

/// Names of nodes on which something was under way between two looks.
pub fn restless(before: &Objects, after: &Objects) -> Vec<String> {
    let same = |name: &String, record: &TerwayNode| {
        let earlier = before.terway_nodes.get(name);
        earlier.is_some_and(|earlier| earlier.metadata.resource_version == record.metadata.resource_version)
    };
    let records = after.terway_nodes.iter();
    records
        .filter(|(_, record)| record.spec.pool.is_some())
        .filter(|(name, record)| !rests(record) || !same(name, record))
        .map(|(name, _)| name.clone())
        .collect()
}

/// What the rules compare with the cloud.
pub fn recorded(record: &TerwayNode) -> Option<RecordedPool> {
    let status = status(record)?;
    let pool = record.spec.pool.clone().unwrap_or_default();
    let size = |count: i32| usize::try_from(count).unwrap_or(0);
    let nics = status.network_interfaces.values();
    let instance = record.spec.node_metadata.instance_id.clone();
    let [most_enis, most_addresses] = world::room(&instance);
    Some(RecordedPool {
        node: record.metadata.name.clone().unwrap_or_default(),
        instance,
        enis: nics
            .map(|nic| (nic.id.clone(), nic.ipv4.keys().cloned().collect()))
            .collect(),
        idle: idle(status),
        min: size(pool.min_pool_size),
        max: size(pool.max_pool_size),
        most_enis,
        most_addresses,
    })
}

/// Idle addresses of a node.
pub fn idle(status: &TerwayNodeStatus) -> usize {
    let nics = status.network_interfaces.values();
    let addresses = nics.flat_map(|nic| nic.ipv4.values());
    addresses
        .filter(|ip| ip.status == IpStatus::Valid && !binding::is_bound(ip))
        .count()
}

/// Addresses that pods have on shared ENIs.
pub fn bound(record: &TerwayNode) -> Vec<Attached> {
    let Some(status) = status(record) else {
        return Vec::new();
    };
    let nics = status.network_interfaces.values();
    let addresses = nics.flat_map(|nic| nic.ipv4.values().map(move |ip| (nic, ip)));
    addresses
        .filter_map(|(nic, ip)| {
            let (_, pod) = ip.pod_id.split_once('/')?;
            Some(Attached {
                pod: pod.to_owned(),
                eni: nic.id.clone(),
                address: ip.ip.clone(),
                instance: record.spec.node_metadata.instance_id.clone(),
            })
        })
        .collect()
}
