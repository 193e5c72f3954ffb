//! What the cloud is seen to hold, as plain values: the common language of planners,
//! the cloud client (which fills these) and tests (which make them up).

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// State of an ENI as DescribeNetworkInterfaces tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EniStatus {
    Available,
    Attaching,
    InUse,
    Detaching,
    Deleting,
    /// A value this version does not know; never acted on.
    Other(String),
}

/// Kind of an ENI as the cloud names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EniKind {
    Primary,
    Secondary,
    Trunk,
    Member,
    Other(String),
}

/// One private IPv4 address of an ENI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PrivateIp {
    pub address: Ipv4Addr,
    /// The ENI's own address, which stays with it for life.
    pub primary: bool,
}

impl PrivateIp {
    /// The address that an ENI keeps for life.
    pub fn primary(address: impl Into<Ipv4Addr>) -> Self {
        PrivateIp {
            address: address.into(),
            primary: true,
        }
    }

    /// An address that can be assigned to an ENI and taken back.
    pub fn secondary(address: impl Into<Ipv4Addr>) -> Self {
        PrivateIp {
            address: address.into(),
            primary: false,
        }
    }
}

/// One ENI as the cloud describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudEni {
    pub id: String,
    pub status: EniStatus,
    pub kind: EniKind,
    pub mac: String,
    pub zone_id: String,
    pub vpc_id: String,
    pub vswitch_id: String,
    pub security_group_ids: Vec<String>,
    pub resource_group_id: String,
    /// Instance it is attached to; `None` while free.
    pub instance_id: Option<String>,
    /// Trunk it is a member of.
    pub trunk_eni_id: Option<String>,
    /// VLAN id of a member (the cloud calls it DeviceIndex), 1–4094.
    pub device_index: Option<u16>,
    pub network_card_index: Option<i32>,
    pub primary_ip: Option<Ipv4Addr>,
    /// Every private IPv4 address, the primary included, in the cloud's order.
    pub private_ips: Vec<PrivateIp>,
    pub tags: BTreeMap<String, String>,
    /// RFC 3339, as the cloud sends it.
    pub creation_time: String,
}

impl CloudEni {
    /// The private IPv4 addresses that can be taken back, in the cloud's order.
    pub fn secondary_ips(&self) -> impl Iterator<Item = Ipv4Addr> {
        self.private_ips
            .iter()
            .filter(|ip| !ip.primary)
            .map(|ip| ip.address)
    }
}

/// What the poller saw last of an ENI somebody waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EniObservation {
    Present(Box<CloudEni>),
    /// A complete answer did not contain it. Never made from a failed read.
    Absent,
}

/// One vSwitch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VSwitch {
    pub id: String,
    pub zone_id: String,
    pub vpc_id: String,
    /// IPv4 CIDR, for example `10.0.16.0/22`.
    pub cidr: String,
    pub ipv6_cidr: Option<String>,
    pub available_ips: i64,
}

/// Limits of an instance type (DescribeInstanceTypes).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceTypeLimits {
    pub instance_type: String,
    pub eni_quantity: i32,
    pub eni_total_quantity: i32,
    pub private_ips_per_eni: i32,
    pub ipv6_per_eni: i32,
    pub trunk_supported: bool,
    pub eri_quantity: i32,
    pub network_cards: i32,
}
