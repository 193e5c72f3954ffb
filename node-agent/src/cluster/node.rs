//! The agent's view of this node's Node object (group network.alibabacloud.com): the trunk, and the addresses of the
//! shared ENIs with their pods.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use terway_address::Family;
use terway_crds::intent::{Operation, OperationKind};
use terway_crds::node::{Ip, Nic as NicRecord, NicStatus};
use terway_crds::{EniKind, TerwayNode, TerwayNodeStatus};

use super::unusable::{Unusable, served_on};

/// Sentences about trouble that the message of one wait contains. Further ones are in the object only.
const MAX_TROUBLES: usize = 4;

/// This node as its Node object describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeView {
    /// UID of the object.
    pub uid: String,
    /// The trunk ENI when it is attached, or why there is none.
    pub trunk: Result<AttachedEni, NoTrunk>,
    /// Pods that have a shared address here, by UID.
    pub shared: BTreeMap<String, SharedPod>,
    /// Addresses of this node's ENIs that no pod has.
    pub idle: BTreeSet<IpAddr>,
    /// Why no pod ever gets a shared address here; `None` when pods can get one.
    pub no_shared: Option<String>,
    /// The reasons why new addresses are missing, in the words of the control plane and of the cloud.
    pub troubles: Vec<String>,
}

/// Why a node has no trunk ENI, as far as its Node object tells.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoTrunk {
    /// The object says nothing of one.
    #[error("the control plane has not given it a trunk ENI (yet)")]
    NotGiven,
    /// The trunk is being made or attached, one sentence for each thing that is known.
    #[error("{}", .0.join("; "))]
    UnderWay(Vec<String>),
    /// The trunk is attached, and its record is wrong.
    #[error(transparent)]
    Unusable(Unusable),
    /// The object cannot be decoded.
    #[error("its Node object cannot be decoded: {0}")]
    Undecodable(String),
}

impl Default for NodeView {
    fn default() -> Self {
        NodeView {
            uid: String::new(),
            trunk: Err(NoTrunk::NotGiven),
            shared: BTreeMap::new(),
            idle: BTreeSet::new(),
            no_shared: None,
            troubles: Vec::new(),
        }
    }
}

/// An attached ENI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttachedEni {
    /// ENI id.
    pub eni_id: String,
    /// MAC address; the NIC is found by it.
    pub mac: [u8; 6],
    /// CIDR of its vSwitch.
    pub cidr: IpNet,
}

/// A pod and its shared address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedPod {
    /// Namespace and name, joined by a slash.
    pub pod_id: String,
    /// The address and its ENI, or the reason why the address cannot be used now.
    pub address: Result<SharedAddress, Unusable>,
}

/// An address of a shared ENI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedAddress {
    /// The pod's address.
    pub ip: IpAddr,
    /// The ENI.
    pub eni: AttachedEni,
}

impl NodeView {
    /// Makes the view of an object.
    pub fn new(object: &TerwayNode) -> Self {
        let empty = TerwayNodeStatus::default();
        let status = object.status.as_ref().unwrap_or(&empty);
        NodeView {
            uid: object.metadata.uid.clone().unwrap_or_default(),
            trunk: trunk(status),
            shared: shared(status),
            idle: idle(status),
            no_shared: no_shared(object),
            troubles: troubles(status),
        }
    }

    /// The view of a Node object that cannot be decoded.
    pub fn unreadable(error: &str) -> Self {
        let why = NoTrunk::Undecodable(error.to_owned());
        NodeView {
            troubles: vec![why.to_string()],
            trunk: Err(why),
            ..Default::default()
        }
    }
}

fn trunk(status: &TerwayNodeStatus) -> Result<AttachedEni, NoTrunk> {
    let trunks = || {
        status
            .network_interfaces
            .values()
            .filter(|nic| nic.kind == Some(EniKind::Trunk))
    };
    if let Some(nic) = trunks().find(|nic| nic.status == NicStatus::InUse) {
        // Members are reached by the trunk in every family that pods have.
        let [first, others @ ..] = Family::SERVED;
        let in_others = others.into_iter().map(|family| attached(nic, family));
        let attached = in_others.fold(attached(nic, first), Result::or);
        return attached.map_err(NoTrunk::Unusable);
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
        return Err(NoTrunk::NotGiven);
    }
    Err(NoTrunk::UnderWay(known))
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

/// An ENI that is attached and completely described, or the reason why it is not.
fn attached(nic: &NicRecord, family: Family) -> Result<AttachedEni, Unusable> {
    let eni = nic.id.clone();
    if nic.status != NicStatus::InUse {
        let status = nic.status.clone();
        return Err(Unusable::NotAttached { eni, status });
    }
    let mac = parse_mac(&nic.mac_address).ok_or_else(|| Unusable::NoMac {
        eni: eni.clone(),
        mac: nic.mac_address.clone(),
    })?;
    let cidr = nic.cidr(family)?.ok_or_else(|| Unusable::NoCidr {
        eni: eni.clone(),
        family,
    })?;
    Ok(AttachedEni {
        eni_id: eni,
        mac,
        cidr,
    })
}

fn shared(status: &TerwayNodeStatus) -> BTreeMap<String, SharedPod> {
    let mut pods = BTreeMap::new();
    for nic in status.network_interfaces.values() {
        // A pod that has only an IPv6 address counts as bound too. Otherwise the record of its sandbox's end would be
        // removed too early.
        for (family, ip) in nic.all_addresses() {
            if ip.pod_uid.is_empty() {
                continue;
            }
            let pod = SharedPod {
                pod_id: ip.pod_id.clone(),
                address: address(nic, family, ip),
            };
            let better = pod.address.is_ok() || !pods.contains_key(&ip.pod_uid);
            if better {
                pods.insert(ip.pod_uid.clone(), pod);
            }
        }
    }
    pods
}

fn address(nic: &NicRecord, family: Family, ip: &Ip) -> Result<SharedAddress, Unusable> {
    let ip = served_on(&nic.id, ip.address(family)?)?;
    let eni = attached(nic, family)?;
    if !eni.cidr.contains(&ip) {
        return Err(Unusable::OutsideCidr {
            eni: eni.eni_id,
            ip,
            cidr: eni.cidr,
        });
    }
    Ok(SharedAddress { ip, eni })
}

fn idle(status: &TerwayNodeStatus) -> BTreeSet<IpAddr> {
    let nics = status.network_interfaces.values();
    let all = nics.flat_map(|nic| Family::SERVED.map(|family| nic.addresses(family).values()));
    all.flatten()
        .filter(|ip| ip.pod_uid.is_empty() && ip.pod_id.is_empty())
        .filter_map(|ip| ip.ip.parse().ok())
        .collect()
}

fn no_shared(object: &TerwayNode) -> Option<String> {
    // Zero means that the control plane has not read the instance type's limits yet.
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
