//! The rules in the world file: quotas, and behaviour that is unverified or that a test changes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::timing::Span;

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
