//! Security groups and their rules, as the world file writes them. The API shows this model, and the fabric filters
//! packets with it. The semantics are those of the ECS user guide on security groups.

use std::fmt;
use std::str::FromStr;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

/// A security group. Rules are stateful. The rules of all groups of an ENI are merged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecurityGroup {
    pub id: String,
    pub vpc: String,
    #[serde(default, rename = "type")]
    pub kind: GroupKind,
    /// Whether members of a basic group reach each other. `Accept` overrides rules.
    #[serde(default)]
    pub inner_access_policy: Policy,
    #[serde(default)]
    pub ingress: Vec<Rule>,
    #[serde(default)]
    pub egress: Vec<Rule>,
    /// Number of private addresses that the group may hold; unlimited when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_addresses: Option<u32>,
}

/// The kind of a group. In a basic group, members reach each other and egress is allowed. In an enterprise group,
/// members are isolated and both directions are denied unless a rule allows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GroupKind {
    #[default]
    Basic,
    Enterprise,
}

/// Verdict of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Policy {
    #[default]
    Accept,
    Drop,
}

/// One rule of one direction. A rule without `cidr` and `group` matches any peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rule {
    #[serde(default)]
    pub policy: Policy,
    /// Priority from 1 to 100. The smaller number wins; at equal priority `Drop` wins.
    #[serde(default = "first_priority")]
    pub priority: u8,
    #[serde(default)]
    pub protocol: Protocol,
    /// Destination ports, for TCP and UDP.
    #[serde(default)]
    pub ports: PortRange,
    /// Addresses of peers: the source of ingress, the destination of egress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cidr: Option<Ipv4Net>,
    /// Group of peers (only in rules of basic groups).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

fn first_priority() -> u8 {
    1
}

/// Layer-4 protocol of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    #[default]
    All,
    Tcp,
    Udp,
    Icmp,
}

/// Inclusive port range, written `8080` or `8000-8999`; all ports by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "PortText")]
pub struct PortRange {
    pub first: u16,
    pub last: u16,
}

impl PortRange {
    /// Whether `port` lies in the range.
    pub fn contains(&self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }
}

impl Default for PortRange {
    fn default() -> Self {
        PortRange {
            first: 0,
            last: u16::MAX,
        }
    }
}

/// A text that is not a port range.
#[derive(Debug, thiserror::Error)]
#[error("port range {0:?} is not of the form 8080 or 8000-8999")]
pub struct PortRangeError(String);

impl FromStr for PortRange {
    type Err = PortRangeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        match (first.trim().parse(), last.trim().parse()) {
            (Ok(first), Ok(last)) if first <= last => Ok(PortRange { first, last }),
            _ => Err(PortRangeError(text.to_owned())),
        }
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

impl Serialize for PortRange {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// YAML reads `8080` as a number and `8000-8999` as text.
#[derive(Deserialize)]
#[serde(untagged)]
enum PortText {
    Number(u16),
    Text(String),
}

impl TryFrom<PortText> for PortRange {
    type Error = PortRangeError;

    fn try_from(value: PortText) -> Result<Self, Self::Error> {
        match value {
            PortText::Number(port) => Ok(PortRange {
                first: port,
                last: port,
            }),
            PortText::Text(text) => text.parse(),
        }
    }
}
