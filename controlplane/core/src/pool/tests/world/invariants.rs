//! What must hold at every moment of a node's life.

use std::collections::BTreeSet;

use terway_crds::Operation;
use terway_crds::node::{IpStatus, NicStatus};

use super::{ADAPTERS, PER_ADAPTER, World};
use crate::binding;
use crate::pool::draft::addresses;

impl World {
    /// What must hold at every moment.
    pub(super) fn check(&self) {
        let status = self.status();
        let mut holders = BTreeSet::new();
        for nic in status.network_interfaces.values() {
            for ip in nic.ipv4.values().filter(|ip| binding::is_bound(ip)) {
                assert!(
                    holders.insert(ip.pod_uid.clone()),
                    "{} has two addresses",
                    ip.pod_uid
                );
                assert_ne!(nic.status, NicStatus::Deleting, "a bound ENI is given back");
                assert_ne!(ip.status, IpStatus::Deleting, "a bound address is given back");
                if ip.status == IpStatus::Invalid || self.taken.contains(&nic.id) {
                    continue;
                }
                let there = self.cloud.enis.get(&nic.id).map(addresses).unwrap_or_default();
                assert!(
                    there.iter().any(|address| address.to_string() == ip.ip),
                    "{} is bound and the cloud does not have it",
                    ip.ip
                );
            }
        }
        let attached = self
            .cloud
            .enis
            .values()
            .filter(|eni| eni.instance_id.is_some())
            .count();
        assert!(
            attached < ADAPTERS as usize,
            "more ENIs than the instance can have"
        );
        for eni in self.cloud.enis.values() {
            assert!(
                addresses(eni).len() <= PER_ADAPTER,
                "more addresses than an ENI can have"
            );
        }
        for operation in &status.operations {
            let same = |o: &&Operation| !o.eni_id.is_empty() && o.eni_id == operation.eni_id;
            assert!(
                status.operations.iter().filter(same).count() <= 1,
                "two operations of one ENI"
            );
        }
    }
}
