//! Why a record of the control plane cannot be realised (yet), in the words that a person reads at the pod.

use std::net::IpAddr;

use ipnet::IpNet;
use terway_address::{Family, FamilyNotServed, served};
use terway_crds::address::AddressError;
use terway_crds::node::NicStatus;

/// Why a record cannot be realised (yet).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    #[error("the object cannot be decoded: {error}")]
    Undecodable { error: String },
    #[error(transparent)]
    Address(#[from] AddressError),
    #[error("extraRoutes {text:?} cannot be parsed")]
    Route { text: String },
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
    #[error("ENI {eni} has no vSwitch CIDR of family {family}")]
    NoCidr { eni: String, family: Family },
    #[error("no allocation is for {name}")]
    NoFirstInterface { name: &'static str },
    #[error("two allocations are for the same interface")]
    SameInterface,
    #[error("more than one allocation has the default route")]
    SeveralDefaultRoutes,
}

/// Refuses an address of an ENI whose family is not served.
pub fn served_on(eni: &str, ip: IpAddr) -> Result<IpAddr, Unusable> {
    served(ip).map_err(|refusal| Unusable::FamilyNotServed {
        eni: eni.to_owned(),
        refusal,
    })
}
