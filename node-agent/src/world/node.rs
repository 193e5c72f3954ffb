//! The part of this node's Node object (of our group) that matters here: the trunk, and which pod has
//! which address of the shared ENIs.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use terway_crds::intent::{Operation, OperationKind};
use terway_crds::node::{Ip, Nic as NicRecord, NicStatus};
use terway_crds::{EniKind, TerwayNode, TerwayNodeStatus};

/// Sentences about trouble that one wait may carry; the rest is in the object itself.
const MAX_TROUBLES: usize = 4;

/// This node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeView {
    /// UID of the object.
    pub uid: String,
    /// The trunk ENI, when it is attached.
    pub trunk: Option<Nic>,
    /// Why there is none, as far as the object tells; empty when there is one.
    pub trunk_missing: String,
    /// Pods that have a shared address here, by UID.
    pub shared: BTreeMap<String, SharedPod>,
    /// Addresses of this node's ENIs that no pod has.
    pub idle: BTreeSet<Ipv4Addr>,
    /// Why no pod will ever get a shared address here.
    pub no_shared: Option<String>,
    /// What keeps addresses from coming, in the control plane's and the cloud's words.
    pub troubles: Vec<String>,
}

/// An attached ENI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nic {
    /// ENI id.
    pub eni_id: String,
    /// MAC address, by which the NIC is found.
    pub mac: [u8; 6],
    /// CIDR of its vSwitch.
    pub cidr: Ipv4Net,
}

/// A pod that has a shared address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedPod {
    /// Namespace and name, joined by a slash.
    pub pod_id: String,
    /// The address and its ENI, or why it cannot be used (yet).
    pub address: Result<SharedAddress, String>,
}

/// An address of a shared ENI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedAddress {
    /// The address.
    pub ip: Ipv4Addr,
    /// The ENI.
    pub nic: Nic,
}

impl NodeView {
    /// The view of an object.
    pub fn new(object: &TerwayNode) -> Self {
        let empty = TerwayNodeStatus::default();
        let status = object.status.as_ref().unwrap_or(&empty);
        let (trunk, trunk_missing) = match trunk(status) {
            Ok(trunk) => (Some(trunk), String::new()),
            Err(why) => (None, why),
        };
        NodeView {
            uid: object.metadata.uid.clone().unwrap_or_default(),
            trunk,
            trunk_missing,
            shared: shared(status),
            idle: idle(status),
            no_shared: no_shared(object),
            troubles: troubles(status),
        }
    }

    /// The view of an object that cannot be decoded.
    pub fn unreadable(error: &str) -> Self {
        let why = format!("its Node object cannot be decoded: {error}");
        NodeView {
            trunk_missing: why.clone(),
            troubles: vec![why],
            ..Default::default()
        }
    }
}

fn trunk(status: &TerwayNodeStatus) -> Result<Nic, String> {
    let trunks = || {
        status
            .network_interfaces
            .values()
            .filter(|nic| nic.kind == Some(EniKind::Trunk))
    };
    if let Some(nic) = trunks().find(|nic| nic.status == NicStatus::InUse) {
        return attached(nic);
    }
    let states = trunks().map(|nic| format!("trunk ENI {} is {}", nic.id, nic.status));
    let of_the_trunk = status.operations.iter().filter(|operation| {
        matches!(
            operation.kind,
            OperationKind::CreateTrunk | OperationKind::AttachTrunk
        )
    });
    let known: Vec<String> = states.chain(of_the_trunk.map(operation)).collect();
    if known.is_empty() {
        return Err("the control plane has not given it a trunk ENI (yet)".to_owned());
    }
    Err(known.join("; "))
}

fn operation(operation: &Operation) -> String {
    match &operation.last_error {
        Some(failure) => format!(
            "{} failed, the cloud said {}: {}",
            operation.kind, failure.code, failure.message
        ),
        None => format!("{} is under way", operation.kind),
    }
}

/// What can be done with an ENI, once it is attached and described.
fn attached(nic: &NicRecord) -> Result<Nic, String> {
    if nic.status != NicStatus::InUse {
        return Err(format!("ENI {} is {}", nic.id, nic.status));
    }
    let mac = parse_mac(&nic.mac_address)
        .ok_or_else(|| format!("ENI {} has the MAC address {:?}", nic.id, nic.mac_address))?;
    let cidr = nic
        .ipv4_cidr
        .parse()
        .map_err(|_| format!("ENI {} has the vSwitch CIDR {:?}", nic.id, nic.ipv4_cidr))?;
    Ok(Nic {
        eni_id: nic.id.clone(),
        mac,
        cidr,
    })
}

fn shared(status: &TerwayNodeStatus) -> BTreeMap<String, SharedPod> {
    let mut pods = BTreeMap::new();
    for nic in status.network_interfaces.values() {
        // A pod that has only an IPv6 address counts as bound all the same, or the report of its
        // sandbox's end would be forgotten too early.
        for ip in nic.ipv6.values().chain(nic.ipv4.values()) {
            if ip.pod_uid.is_empty() {
                continue;
            }
            let pod = SharedPod {
                pod_id: ip.pod_id.clone(),
                address: address(nic, ip),
            };
            let better = pod.address.is_ok() || !pods.contains_key(&ip.pod_uid);
            if better {
                pods.insert(ip.pod_uid.clone(), pod);
            }
        }
    }
    pods
}

fn address(nic: &NicRecord, ip: &Ip) -> Result<SharedAddress, String> {
    let address: Ipv4Addr = ip
        .ip
        .parse()
        .map_err(|_| format!("the address {:?} of ENI {} is no IPv4 address", ip.ip, nic.id))?;
    let nic = attached(nic)?;
    if !nic.cidr.contains(&address) {
        return Err(format!(
            "the address {address} of ENI {} is not in {}",
            nic.eni_id, nic.cidr
        ));
    }
    Ok(SharedAddress { ip: address, nic })
}

fn idle(status: &TerwayNodeStatus) -> BTreeSet<Ipv4Addr> {
    let all = status
        .network_interfaces
        .values()
        .flat_map(|nic| nic.ipv4.values());
    all.filter(|ip| ip.pod_uid.is_empty() && ip.pod_id.is_empty())
        .filter_map(|ip| ip.ip.parse().ok())
        .collect()
}

fn no_shared(object: &TerwayNode) -> Option<String> {
    // Zero means that the control plane has not looked yet.
    (object.spec.node_cap.adapters == 1).then(|| {
        format!(
            "its instance type {} has no room for an ENI beside the primary one",
            object.spec.node_metadata.instance_type
        )
    })
}

fn troubles(status: &TerwayNodeStatus) -> Vec<String> {
    let conditions = status
        .conditions
        .iter()
        .filter(|condition| condition.status == "False");
    let conditions = conditions.map(|c| format!("{} is False, {}: {}", c.type_, c.reason, c.message));
    let nics = status.network_interfaces.values().flat_map(|nic| {
        let told = nic.conditions.iter();
        told.map(|(kind, condition)| format!("ENI {}: {kind}: {}", nic.id, condition.message))
    });
    let refused = status
        .operations
        .iter()
        .filter(|operation| operation.last_error.is_some())
        .map(operation);
    conditions.chain(refused).chain(nics).take(MAX_TROUBLES).collect()
}

/// `aa:bb:cc:dd:ee:ff`.
fn parse_mac(text: &str) -> Option<[u8; 6]> {
    let mut mac = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut mac {
        let part = parts.next().filter(|part| part.len() == 2)?;
        *byte = u8::from_str_radix(part, 16).ok()?;
    }
    parts.next().is_none().then_some(mac)
}

#[cfg(test)]
mod tests;
