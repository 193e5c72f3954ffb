//! Compares the list of the cluster's ENIs with the objects that say where the ENIs are.
//!
//! One list serves the whole cluster. A contradiction proves nothing, because the object or the ENI may have changed
//! meanwhile; it is only the reason for a look at one ENI, or at the ENIs of one node.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use terway_crds::node::{IpStatus, Nic, NicStatus};
use terway_crds::{NetworkInterface, Phase, TerwayNode};

use crate::cloud::{CloudEni, EniStatus};
use crate::conditions::failing_reason;
use crate::network_interface::ENI_NOT_FOUND;

/// What the cluster's objects say about ENIs, until the list has confirmed it.
#[derive(Debug, Default)]
pub struct Drift<'a> {
    unconfirmed: BTreeMap<&'a str, Expected<'a>>,
    contradicted: Contradictions,
}

#[derive(Debug)]
enum Expected<'a> {
    /// An ENI of a pod, on this instance and trunk.
    OfPod { instance: &'a str, trunk: &'a str },
    /// An ENI of a pod that the cloud did not know when it was last looked at.
    Lost,
    /// An ENI of this node.
    OfNode {
        node: &'a str,
        instance: &'a str,
        nic: &'a Nic,
    },
}

/// What has to be looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contradictions {
    /// ENIs with a NetworkInterface.
    pub enis: BTreeSet<String>,
    /// The ENIs of nodes that the list contradicts, by node.
    pub nodes: BTreeMap<String, BTreeSet<String>>,
    /// The ENIs of nodes that the list does not have, by node.
    pub unlisted: BTreeMap<String, BTreeSet<String>>,
}

impl<'a> Drift<'a> {
    /// Takes the objects as they are before the list is requested.
    pub fn new<I, N>(interfaces: &'a [I], nodes: &'a [N]) -> Self
    where
        I: AsRef<NetworkInterface>,
        N: AsRef<TerwayNode>,
    {
        let mut drift = Self::default();
        for interface in interfaces {
            drift.expect_interface(interface.as_ref());
        }
        for node in nodes {
            drift.expect_node(node.as_ref());
        }
        drift
    }

    fn expect_interface(&mut self, interface: &'a NetworkInterface) {
        let (Some(id), Some(target), Some(status)) = (
            &interface.metadata.name,
            &interface.spec.attach_to,
            &interface.status,
        ) else {
            return;
        };
        if interface.metadata.deletion_timestamp.is_some() || interface.spec.manage_policy.hands_off() {
            return;
        }
        let settled = status.phase == Phase::Bind
            && status.instance_id == target.instance_id
            && status.trunk_eni_id == target.trunk_eni_id;
        let lost = failing_reason(&status.conditions, terway_crds::names::condition::READY);
        let expected = if settled {
            Expected::OfPod {
                instance: &status.instance_id,
                trunk: &status.trunk_eni_id,
            }
        } else if lost == Some(ENI_NOT_FOUND) {
            Expected::Lost
        } else {
            return;
        };
        self.unconfirmed.insert(id, expected);
    }

    fn expect_node(&mut self, record: &'a TerwayNode) {
        let (Some(node), Some(status)) = (&record.metadata.name, &record.status) else {
            return;
        };
        let busy = |nic: &Nic| status.operations.iter().any(|o| o.eni_id == nic.id);
        let settled = |nic: &&Nic| nic.status == NicStatus::InUse && !nic.unschedulable && !busy(nic);
        let nics = status.network_interfaces.values().filter(settled);
        self.unconfirmed.extend(nics.map(|nic| {
            let instance = &record.spec.node_metadata.instance_id;
            (nic.id.as_str(), Expected::OfNode { node, instance, nic })
        }));
    }

    /// Compares one listed ENI.
    pub fn see(&mut self, eni: &CloudEni) {
        let Some(expected) = self.unconfirmed.remove(eni.id.as_str()) else {
            return;
        };
        match expected {
            Expected::OfPod { instance, trunk } => {
                let on_trunk = trunk.is_empty() || eni.trunk_eni_id.as_deref() == Some(trunk);
                if !(is_on(eni, instance) && on_trunk) {
                    self.contradicted.enis.insert(eni.id.clone());
                }
            }
            Expected::Lost => {
                self.contradicted.enis.insert(eni.id.clone());
            }
            Expected::OfNode { node, instance, nic } => {
                if !is_on(eni, instance) || lacks_addresses(eni, nic) {
                    let enis = self.contradicted.nodes.entry(node.to_owned()).or_default();
                    enis.insert(eni.id.clone());
                }
            }
        }
    }

    /// The contradictions, at the end of a complete list.
    pub fn end(mut self) -> Contradictions {
        for (id, expected) in self.unconfirmed {
            match expected {
                Expected::OfPod { .. } => {
                    self.contradicted.enis.insert(id.to_owned());
                }
                Expected::Lost => {}
                Expected::OfNode { node, .. } => {
                    let enis = self.contradicted.unlisted.entry(node.to_owned()).or_default();
                    enis.insert(id.to_owned());
                }
            }
        }
        self.contradicted
    }
}

fn is_on(eni: &CloudEni, instance: &str) -> bool {
    eni.status == EniStatus::InUse && eni.instance_id.as_deref() == Some(instance)
}

/// Whether the record has a usable address that the ENI does not have. More addresses of the ENI hurt nobody.
fn lacks_addresses(eni: &CloudEni, nic: &Nic) -> bool {
    let there: BTreeSet<IpAddr> = eni.private_ips.iter().map(|ip| ip.address).collect();
    let mut recorded = nic
        .all_addresses()
        .filter(|(_, ip)| ip.status == IpStatus::Valid)
        .filter_map(|(family, ip)| ip.address(family).ok());
    recorded.any(|address| !there.contains(&address))
}

/// The nodes whose ENIs have to be listed: those that the list contradicts, and those with an ENI that is missing in
/// the list for the first time. An ENI that was taken over from another program may lack the cluster's tag, and then no
/// list has it. `missed` has the ENIs that earlier lists did not have, and takes those of this list.
pub fn nodes_to_compare(
    found: &Contradictions,
    missed: &mut BTreeMap<String, BTreeSet<String>>,
) -> BTreeSet<String> {
    let known = std::mem::replace(missed, found.unlisted.clone());
    let news =
        |(node, enis): &(&String, &BTreeSet<String>)| known.get(*node).is_none_or(|old| !enis.is_subset(old));
    let missing = found.unlisted.iter().filter(news).map(|(node, _)| node);
    missing.chain(found.nodes.keys()).cloned().collect()
}

#[cfg(test)]
mod tests;
