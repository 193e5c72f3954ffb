//! The values that describe the simulated VPC: subnets, ports and the switchable rules.

use std::{net::Ipv4Addr, path::PathBuf, time::Duration};

use ipnet::Ipv4Net;

use super::wire::ethernet::Mac;
use crate::world::FabricRules;

/// How the fabric behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FabricOptions {
    /// Behaviour that the cloud does not document, as the world sets it.
    pub rules: FabricRules,
    /// Idle life of a security group session (910 s in the ECS user guide on security groups).
    pub session_life: Duration,
    /// Largest number of sessions of all ENIs together.
    pub session_limit: usize,
    /// Largest IPv4 packet in bytes, without Ethernet header and tag.
    pub mtu: usize,
}

impl Default for FabricOptions {
    fn default() -> Self {
        Self::new(FabricRules::default())
    }
}

impl FabricOptions {
    /// A fabric with these rules and the documented sizes.
    pub fn new(rules: FabricRules) -> Self {
        Self {
            rules,
            session_life: Duration::from_secs(910),
            session_limit: 500_000,
            mtu: 1500,
        }
    }
}

/// A vSwitch as the fabric sees it: a subnet with a gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VSwitchNet {
    /// The vSwitch id that ports name.
    pub id: String,
    /// Its address range.
    pub cidr: Ipv4Net,
}

impl VSwitchNet {
    /// The gateway: the third-last address of the range (VPC user guide, vSwitches).
    pub fn gateway(&self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.cidr.broadcast()).saturating_sub(2))
    }
}

/// An attached ENI (or a host of the VPC that no instance owns).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// The ENI's id, unique in the fabric.
    pub eni_id: String,
    /// The ENI's MAC.
    pub mac: Mac,
    /// Primary and secondary IPv4 addresses; each is owned by one port only.
    pub addresses: Vec<Ipv4Addr>,
    /// The vSwitch of the ENI. It is part of the topology.
    pub vswitch_id: String,
    /// Security groups. Unknown groups match nothing.
    pub security_groups: Vec<String>,
    /// How the ENI is connected to its instance.
    pub kind: PortKind,
}

/// How an ENI is connected to its instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortKind {
    /// A NIC of its own: a TAP in the instance's network namespace.
    Direct {
        /// The namespace in which the TAP appears, for example `/proc/123/ns/net`. It is not held open, so the
        /// namespace ends with its processes.
        netns: PathBuf,
        /// Name of the TAP; the next free `ethN` when absent.
        ifname: Option<String>,
    },
    /// Tagged frames on the TAP of another port.
    Member {
        /// ENI id of the trunk, which must be plugged as `Direct`.
        trunk: String,
        /// VLAN id, 1 to 4094.
        vlan: u16,
    },
}
