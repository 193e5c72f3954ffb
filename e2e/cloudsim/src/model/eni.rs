//! One elastic network interface, as the cloud keeps it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::family::Prefix;

/// Hardware address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl Serialize for Mac {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The type of an ENI. A Secondary ENI is a Member while a trunk carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum EniKind {
    Primary,
    Secondary,
    Trunk,
    Member,
}

impl EniKind {
    /// The word the API uses.
    pub fn name(self) -> &'static str {
        match self {
            EniKind::Primary => "Primary",
            EniKind::Secondary => "Secondary",
            EniKind::Trunk => "Trunk",
            EniKind::Member => "Member",
        }
    }
}

/// State of an ENI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum EniStatus {
    Available,
    Attaching,
    InUse,
    Detaching,
    Deleting,
}

impl EniStatus {
    /// The word the API uses.
    pub fn name(self) -> &'static str {
        match self {
            EniStatus::Available => "Available",
            EniStatus::Attaching => "Attaching",
            EniStatus::InUse => "InUse",
            EniStatus::Detaching => "Detaching",
            EniStatus::Deleting => "Deleting",
        }
    }
}

/// The instance to which an ENI is attached, is being attached, or from which it is being detached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Attachment {
    pub instance_id: Arc<str>,
    /// Id of the trunk that carries a member.
    pub trunk_eni_id: Option<Arc<str>>,
    /// VLAN id of a member; 0 for other ENIs.
    pub device_index: u16,
    pub network_card_index: u32,
}

/// An ENI.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Eni {
    pub id: Arc<str>,
    /// Number in order of creation. Listings and pages use this order.
    pub serial: u64,
    pub mac: Mac,
    #[serde(rename = "type")]
    pub kind: EniKind,
    pub status: EniStatus,
    pub vpc_id: Arc<str>,
    pub vswitch_id: Arc<str>,
    pub zone_id: Arc<str>,
    pub security_group_ids: Vec<Arc<str>>,
    pub primary_ip: Ipv4Addr,
    pub secondary_ips: Vec<Ipv4Addr>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ipv4_prefixes: Vec<Prefix<Ipv4Addr>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ipv6_addresses: Vec<Ipv6Addr>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ipv6_prefixes: Vec<Prefix<Ipv6Addr>>,
    pub tags: BTreeMap<Arc<str>, Arc<str>>,
    pub name: String,
    pub description: String,
    pub resource_group_id: String,
    pub traffic_mode: String,
    pub delete_on_release: bool,
    pub source_dest_check: bool,
    /// Number of queues; the number of the instance type when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_number: Option<u32>,
    pub created: Timestamp,
    pub attachment: Option<Attachment>,
}

impl Eni {
    /// Every private address, the primary one first.
    pub fn addresses(&self) -> impl Iterator<Item = Ipv4Addr> + '_ {
        std::iter::once(self.primary_ip).chain(self.secondary_ips.iter().copied())
    }

    /// Every IPv4 address that the fabric routes to the ENI, including those of its prefixes.
    pub fn routed_addresses(&self) -> impl Iterator<Item = Ipv4Addr> + '_ {
        self.addresses()
            .chain(self.ipv4_prefixes.iter().flat_map(Prefix::addresses))
    }

    /// Id of the instance of the attachment.
    pub fn instance(&self) -> Option<&Arc<str>> {
        self.attachment.as_ref().map(|attachment| &attachment.instance_id)
    }

    /// Id of the trunk that carries the ENI.
    pub fn trunk(&self) -> Option<&Arc<str>> {
        self.attachment
            .as_ref()
            .and_then(|attachment| attachment.trunk_eni_id.as_ref())
    }
}
