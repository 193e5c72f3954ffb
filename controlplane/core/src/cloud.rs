//! What the cloud holds, as plain values: the common language of planners, of the cloud client, which reads
//! them from answers, and of tests, which make them up.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use terway_crds::Family;

/// Most security groups of one ENI (ECS user guide, page "Limits": security groups per ENI).
pub const MAX_SECURITY_GROUPS: usize = 10;
/// Most tags of one ENI (ECS API page "CreateNetworkInterface", parameter `Tag.N`).
pub const MAX_TAGS: usize = 20;

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

/// One private address of an ENI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PrivateIp {
    pub address: IpAddr,
    /// The ENI's own IPv4 address, which stays with the ENI for life. No IPv6 address is primary.
    pub primary: bool,
}

impl PrivateIp {
    /// The address that an ENI keeps for life.
    pub fn primary(address: impl Into<IpAddr>) -> Self {
        PrivateIp {
            address: address.into(),
            primary: true,
        }
    }

    /// An address that can be assigned to an ENI and taken back.
    pub fn secondary(address: impl Into<IpAddr>) -> Self {
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
    /// The ENI's own IPv4 address.
    pub primary_ip: Option<IpAddr>,
    /// The private addresses of both families, the primary included: IPv4 first, each family in the cloud's order.
    pub private_ips: Vec<PrivateIp>,
    pub tags: BTreeMap<String, String>,
    /// RFC 3339, as the cloud sends it.
    pub creation_time: String,
}

impl CloudEni {
    /// The private addresses of one family, in the cloud's order.
    pub fn addresses(&self, family: Family) -> impl Iterator<Item = IpAddr> {
        let addresses = self.private_ips.iter().map(|ip| ip.address);
        addresses.filter(move |address| Family::of(*address) == family)
    }

    /// The private addresses of both families that can be taken back, in the cloud's order.
    pub fn secondary_ips(&self) -> impl Iterator<Item = IpAddr> {
        self.private_ips
            .iter()
            .filter(|ip| !ip.primary)
            .map(|ip| ip.address)
    }
}

/// The networks of a vSwitch, at most one of each family.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cidrs {
    v4: Option<IpNet>,
    v6: Option<IpNet>,
}

impl Cidrs {
    /// The network of a family.
    pub fn of(&self, family: Family) -> Option<IpNet> {
        family.choose(self.v4, self.v6)
    }
}

impl FromIterator<IpNet> for Cidrs {
    fn from_iter<I: IntoIterator<Item = IpNet>>(nets: I) -> Self {
        let mut cidrs = Cidrs::default();
        for net in nets {
            *Family::of_net(net).choose(&mut cidrs.v4, &mut cidrs.v6) = Some(net);
        }
        cidrs
    }
}

/// The last observation of an ENI whose change the poller was asked to watch.
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
    /// For example `10.0.16.0/22` and `2001:db8:0:7::/64`.
    pub cidrs: Cidrs,
    pub available_ips: i64,
}

/// Limits of an instance type (DescribeInstanceTypes).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceTypeLimits {
    pub instance_type: String,
    pub eni_quantity: i32,
    pub eni_total_quantity: i32,
    /// IPv4 addresses of one ENI, the primary included.
    pub private_ips_per_eni: i32,
    pub ipv6_per_eni: i32,
    pub trunk_supported: bool,
    pub eri_quantity: i32,
    pub network_cards: i32,
}

/// What a failed call means for its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// It is unknown whether the cloud acted: there was no answer, a 5xx, an unreadable answer, or an answer without
    /// the expected id. A create may be sent again only with the same ClientToken and parameters.
    Unknown,
    /// The cloud did not act, because there were too many calls. The bucket of this action is slowed down already.
    Throttled,
    /// The cloud did not act, because the object is in transition. Look at the object again before repeating the call.
    Conflict,
    /// The object does not exist. In a create: the vSwitch or group does not exist.
    NotFound,
    /// The cloud did not act, because the vSwitch has no free address. Choose another vSwitch.
    Exhausted,
    /// The cloud did not act, because a limit of the instance, group or account is reached.
    Limit,
    /// The cloud did not act, and never will with these parameters.
    Invalid,
    /// The cloud did not act, because keys or permissions are wrong, or the gate held the call back. Such calls fail
    /// until somebody repairs the cause.
    Forbidden,
    /// The ClientToken was used with other parameters before. Look for the ENI by its tags.
    TokenReused,
    /// The call was not sent, because the lease of this process might end before the call does.
    Fenced,
}
