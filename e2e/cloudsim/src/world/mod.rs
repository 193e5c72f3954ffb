//! The world file: everything the simulated cloud starts from. Unknown keys are refused
//! by name, so that a typing mistake never becomes a silent default.

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
    /// The account everything belongs to; ARNs name it.
    #[serde(default = "account_id")]
    pub account_id: String,
    /// Access keys that may sign requests.
    pub credentials: Vec<Credential>,
    /// RAM roles that instances hand out credentials for.
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
    /// Free ENIs that exist from the start; `world generate` fills a big world with them.
    #[serde(default)]
    pub network_interfaces: Vec<PresetEni>,
    /// Hosts of the VPC that are no instances, such as the OpenAPI endpoint.
    #[serde(default)]
    pub hosts: Vec<Host>,
    /// Time per action; `default` is for those not named.
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
    /// Faults in force from the start; more can be added by the admin API.
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

/// A RAM role: the metadata service hands out its credentials, and so does STS.
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
    /// Access keys that may assume it; any when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trusted_keys: Option<Vec<String>>,
    /// Whose OIDC tokens may assume it.
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
    /// Free addresses that nobody gets, to play a vSwitch that runs out; the admin API
    /// changes it.
    #[serde(default)]
    pub withheld: u32,
    /// IPv6 is turned on when there is one.
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
    /// ENIs attached directly, the primary included.
    pub eni_quantity: u32,
    /// ENIs in all; what exceeds `eniQuantity` are member slots of a trunk.
    pub eni_total_quantity: u32,
    /// Private IPv4 addresses per ENI, the primary address included.
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
    /// Id of the primary ENI; made up when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary_eni: Option<String>,
    pub security_groups: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ram_role: Option<String>,
    /// Whether the metadata service insists on a token.
    #[serde(default)]
    pub metadata_token_required: bool,
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// A number of equal free ENIs.
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

/// Calls a minute and action; absent means unlimited.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Quotas {
    /// For actions that `perMinute` does not name.
    pub default_per_minute: Option<u32>,
    pub per_minute: BTreeMap<String, u32>,
    /// ENIs of the account in the region.
    pub network_interfaces: Option<u32>,
}

/// Rules of the API that could not be verified, or that a test wants otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Rules {
    /// How long a ClientToken is remembered.
    pub client_token_life: Span,
    /// Code for a token that comes again with other parameters.
    pub client_token_reuse: ClientTokenReuse,
    /// Tolerated distance of a request's time stamp from the cloud's clock, either way.
    pub timestamp_tolerance: Span,
    /// Whether signatures, time stamps and nonces are checked at all.
    pub verify_signatures: bool,
    /// Secondary IPv4 addresses and prefixes that a free ENI may have.
    pub free_eni_ipv4: u32,
    /// IPv6 addresses and prefixes that a free ENI may have.
    pub free_eni_ipv6: u32,
    /// Trunk ENIs that an instance takes.
    pub trunks_per_instance: u32,
    /// Reserved CIDR blocks of each family that a vSwitch takes.
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

/// Both codes are seen in the wild.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum ClientTokenReuse {
    #[default]
    IdempotentParameterMismatch,
    IdempotentFailed,
}

/// Behaviour of the fabric that could not be verified against the real VPC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct FabricRules {
    /// Whose MAC tagged frames carry.
    pub member_mac: MemberMac,
    /// Whether a frame may come back on the trunk it left from, with another VLAN id.
    pub trunk_hairpin: bool,
    /// Whether frames with an address or MAC that is not the ENI's are dropped.
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

/// Whose MAC the tagged frames of a member carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MemberMac {
    Trunk,
    Member,
}
