//! The resources in the world file: VPCs, vSwitches, instance types, instances, ENIs and hosts.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

/// A VPC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Vpc {
    pub id: String,
    pub cidr: Ipv4Net,
}

/// A vSwitch: a subnet of a VPC in one zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VSwitch {
    pub id: String,
    pub vpc: String,
    pub zone: String,
    pub cidr: Ipv4Net,
    /// Number of free addresses that nobody gets, to simulate an exhausted vSwitch. The admin API changes it.
    #[serde(default)]
    pub withheld: u32,
    /// The IPv6 block; IPv6 is off when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv6_cidr: Option<Ipv6Net>,
    /// Blocks that are reserved for prefixes from the start.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reserved_cidrs: Vec<IpNet>,
}

/// Limits of an instance type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InstanceType {
    pub id: String,
    /// Number of directly attached ENIs, including the primary one.
    pub eni_quantity: u32,
    /// Number of all ENIs. The number beyond `eniQuantity` are the member slots of a trunk.
    pub eni_total_quantity: u32,
    /// Number of private IPv4 addresses of an ENI, including the primary address.
    pub private_ips_per_eni: u32,
    #[serde(default)]
    pub ipv6_per_eni: u32,
    #[serde(default)]
    pub trunk_supported: bool,
    #[serde(default)]
    pub eri_quantity: u32,
    #[serde(default = "one")]
    pub network_cards: u32,
    #[serde(default = "one")]
    pub cpu: u32,
    #[serde(default = "one")]
    pub memory_gib: u32,
}

fn one() -> u32 {
    1
}

/// An ECS instance with its primary ENI.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Instance {
    pub id: String,
    #[serde(rename = "type")]
    pub instance_type: String,
    pub v_switch: String,
    /// Primary address; the next free one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Ipv4Addr>,
    /// Id of the primary ENI; generated when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary_eni: Option<String>,
    pub security_groups: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ram_role: Option<String>,
    /// Whether the metadata service requires a token.
    #[serde(default)]
    pub metadata_token_required: bool,
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// A number of free ENIs with the same settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PresetEni {
    #[serde(default = "one")]
    pub count: u32,
    pub v_switch: String,
    pub security_groups: Vec<String>,
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// A host of the VPC without an instance; with `--fabric` its port appears in the
/// simulator's own network namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Host {
    pub name: String,
    pub v_switch: String,
    pub address: Ipv4Addr,
    pub security_groups: Vec<String>,
}
