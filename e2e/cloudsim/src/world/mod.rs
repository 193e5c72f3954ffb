//! The world file: the initial state of the simulated cloud. An unknown key is refused by name, so that a typing
//! mistake never becomes a silent default.

pub mod generate;
mod read;
pub mod security_group;
pub mod timing;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

use crate::clock::ClockSetting;
use crate::fault::Fault;
pub use read::WorldError;
pub use security_group::{GroupKind, PortRange, Protocol, Rule, SecurityGroup};
pub use timing::{ActionTiming, Latency, Span, Staleness};

/// A whole simulated region.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct World {
    pub region: String,
    /// Id of the account, which ARNs name.
    #[serde(default = "account_id")]
    pub account_id: String,
    /// Access keys that may sign requests.
    pub credentials: Vec<Credential>,
    /// RAM roles of instances and of callers of STS.
    #[serde(default)]
    pub ram_roles: Vec<RamRole>,
    pub vpcs: Vec<Vpc>,
    pub v_switches: Vec<VSwitch>,
    #[serde(default)]
    pub security_groups: Vec<SecurityGroup>,
    #[serde(default)]
    pub instance_types: Vec<InstanceType>,
    #[serde(default)]
    pub instances: Vec<Instance>,
    /// Free ENIs that exist from the start. `world generate` writes them.
    #[serde(default)]
    pub network_interfaces: Vec<PresetEni>,
    /// Hosts of the VPC that are not instances, such as the OpenAPI endpoint.
    #[serde(default)]
    pub hosts: Vec<Host>,
    /// Latencies by action; `default` is for all other actions.
    #[serde(default)]
    pub latency: BTreeMap<String, ActionTiming>,
    /// How far reads lag behind.
    #[serde(default)]
    pub staleness: Staleness,
    #[serde(default)]
    pub clock: ClockSetting,
    #[serde(default)]
    pub quotas: Quotas,
    #[serde(default)]
    pub rules: Rules,
    #[serde(default)]
    pub fabric: FabricRules,
    /// Faults in force from the start. The admin API can add more.
    #[serde(default)]
    pub faults: Vec<Fault>,
}

/// An access key pair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Credential {
    pub access_key_id: String,
    pub access_key_secret: String,
}

fn account_id() -> String {
    "1234567890123456".to_owned()
}

/// A RAM role. The metadata service and STS give its credentials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RamRole {
    pub name: String,
    /// Life of credentials from the metadata service.
    #[serde(default = "role_life")]
    pub life: Span,
    /// Longest life of credentials from STS.
    #[serde(default = "max_session")]
    pub max_session: Span,
    /// Access keys that may assume the role; any key when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trusted_keys: Option<Vec<String>>,
    /// OIDC tokens that may assume the role.
    #[serde(default)]
    pub oidc: Vec<OidcTrust>,
}

fn role_life() -> Span {
    Span::secs(6 * 3600)
}

fn max_session() -> Span {
    Span::secs(3600)
}

/// OIDC tokens that a role trusts, such as those of a cluster's service accounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OidcTrust {
    /// ARN of the identity provider.
    pub provider: String,
    pub issuer: String,
    pub audience: String,
    /// Subjects, such as `system:serviceaccount:kube-system:terway`; one may end in `*`.
    pub subjects: Vec<String>,
}

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

/// Calls per minute and action. Absent: unlimited.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Quotas {
    /// Calls per minute of each action that `perMinute` does not name.
    pub default_per_minute: Option<u32>,
    pub per_minute: BTreeMap<String, u32>,
    /// Number of ENIs of the account in the region.
    pub network_interfaces: Option<u32>,
}

/// Rules of the API that are unverified, or that a test changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Rules {
    /// How long a ClientToken is remembered.
    pub client_token_life: Span,
    /// Code for a token that is repeated with other parameters.
    pub client_token_reuse: ClientTokenReuse,
    /// Largest difference between a request's time stamp and the gateway's clock, either way.
    pub timestamp_tolerance: Span,
    /// Whether signatures, time stamps and nonces are checked at all.
    pub verify_signatures: bool,
    /// Number of secondary IPv4 addresses and prefixes of a free ENI.
    pub free_eni_ipv4: u32,
    /// Number of IPv6 addresses and prefixes of a free ENI.
    pub free_eni_ipv6: u32,
    /// Number of trunk ENIs of an instance.
    pub trunks_per_instance: u32,
    /// Number of CIDR reservations of each family of a vSwitch.
    pub reservations_per_v_switch: u32,
}

impl Default for Rules {
    fn default() -> Self {
        Rules {
            client_token_life: Span::secs(24 * 3600),
            client_token_reuse: ClientTokenReuse::default(),
            timestamp_tolerance: Span::secs(31 * 60),
            verify_signatures: true,
            free_eni_ipv4: 49,
            free_eni_ipv6: 10,
            trunks_per_instance: 1,
            reservations_per_v_switch: 10,
        }
    }
}

/// The code for a repeated token with other parameters. The ECS documentation names the first; upstream's client knows
/// both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum ClientTokenReuse {
    #[default]
    IdempotentParameterMismatch,
    IdempotentFailed,
}

/// Behaviour of the fabric that is unverified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct FabricRules {
    /// Source MAC of tagged frames.
    pub member_mac: MemberMac,
    /// Whether a packet between two members of one trunk may return on this trunk, with another VLAN id.
    pub trunk_hairpin: bool,
    /// Whether a frame is dropped whose source MAC or address is not the ENI's.
    pub spoof_drop: bool,
}

impl Default for FabricRules {
    fn default() -> Self {
        FabricRules {
            member_mac: MemberMac::Trunk,
            trunk_hairpin: true,
            spoof_drop: true,
        }
    }
}

/// Source MAC of the tagged frames of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MemberMac {
    Trunk,
    Member,
}
