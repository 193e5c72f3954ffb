//! Why a record of the control plane cannot be realised (yet), in the words that a person reads at the pod.

use std::net::IpAddr;

use ipnet::IpNet;
use terway_crds::node::NicStatus;
use terway_node_core::address::{FamilyNotServed, served};

/// Why a record cannot be realised (yet).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    #[error("the object cannot be decoded: {error}")]
    Undecodable { error: String },
    #[error("{key} {text:?} cannot be parsed")]
    Unparsable { key: &'static str, text: String },
    #[error("ENI {eni}: {refusal}")]
    FamilyNotServed { eni: String, refusal: FamilyNotServed },
    #[error("the allocation of ENI {eni:?} has no {what}")]
    Incomplete { eni: String, what: &'static str },
    #[error("vid {vid} of {eni} is no VLAN id")]
    NoVlanId { eni: String, vid: i64 },
    #[error("the address {ip} of ENI {eni} is not in {cidr}")]
    OutsideCidr { eni: String, ip: IpAddr, cidr: IpNet },
    #[error("ENI {eni} is {status}")]
    NotAttached { eni: String, status: NicStatus },
    #[error("ENI {eni} has the MAC address {mac:?}")]
    NoMac { eni: String, mac: String },
    #[error("ENI {eni} has the vSwitch CIDR {cidr:?}")]
    NoCidr { eni: String, cidr: String },
    #[error("no allocation is for {name}")]
    NoFirstInterface { name: &'static str },
    #[error("two allocations are for the same interface")]
    SameInterface,
    #[error("more than one allocation has the default route")]
    SeveralDefaultRoutes,
}

/// Reads a value of a record.
pub fn parse<T: std::str::FromStr>(key: &'static str, text: &str) -> Result<T, Unusable> {
    text.parse().map_err(|_| Unusable::Unparsable {
        key,
        text: text.to_owned(),
    })
}

/// Reads an address that a pod is to have.
pub fn pod_address(key: &'static str, text: &str, eni: &str) -> Result<IpAddr, Unusable> {
    served(parse(key, text)?).map_err(|refusal| Unusable::FamilyNotServed {
        eni: eni.to_owned(),
        refusal,
    })
}
