//! Security groups: which new flows an ENI may open or receive. The rules of all its groups are merged.

use std::{collections::HashMap, net::Ipv4Addr};

use super::wire::ipv4::{ICMP, TCP, UDP};
use crate::world::security_group::{GroupKind, Policy, PortRange, Protocol, Rule, SecurityGroup};

/// The direction in which a packet passes an ENI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Towards the instance.
    Ingress,
    /// Away from the instance.
    Egress,
}

/// A new flow that passes an ENI.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempt<'a> {
    pub direction: Direction,
    pub protocol: u8,
    /// Destination port, for protocols that have ports.
    pub port: Option<u16>,
    pub remote: Ipv4Addr,
    /// Groups of the ENI that owns `remote`; empty when no ENI does.
    pub remote_groups: &'a [String],
}

/// All groups of the VPC.
#[derive(Debug, Default)]
pub(super) struct GroupTable {
    groups: HashMap<String, SecurityGroup>,
}

impl GroupTable {
    pub fn new(groups: Vec<SecurityGroup>) -> Self {
        Self {
            groups: groups
                .into_iter()
                .map(|group| (group.id.clone(), group))
                .collect(),
        }
    }

    /// Whether an ENI with the groups `own` lets this flow begin.
    pub fn allows(&self, own: &[String], attempt: &Attempt<'_>) -> bool {
        if self.are_companions(own, attempt.remote_groups) {
            return true;
        }
        let judged = own
            .iter()
            .filter_map(|id| self.groups.get(id))
            .flat_map(|group| {
                rules(group, attempt.direction)
                    .iter()
                    .map(move |rule| (group.kind, rule))
            })
            .filter(|(kind, rule)| self.matches(*kind, rule, attempt))
            .map(|(_, rule)| (rule.priority, rule.policy == Policy::Accept))
            // `false` sorts before `true`, so drop wins at equal priority.
            .min();
        match judged {
            Some((_, accepted)) => accepted,
            None => attempt.direction == Direction::Egress && self.any_basic(own),
        }
    }

    /// Whether both ends are members of one basic group whose members may reach each other.
    fn are_companions(&self, own: &[String], remote: &[String]) -> bool {
        own.iter()
            .filter(|id| remote.contains(id))
            .filter_map(|id| self.groups.get(id))
            .any(|group| group.kind == GroupKind::Basic && group.inner_access_policy == Policy::Accept)
    }

    fn any_basic(&self, own: &[String]) -> bool {
        own.iter()
            .filter_map(|id| self.groups.get(id))
            .any(|group| group.kind == GroupKind::Basic)
    }

    fn matches(&self, kind: GroupKind, rule: &Rule, attempt: &Attempt<'_>) -> bool {
        covers_protocol(rule.protocol, attempt.protocol)
            && covers_port(rule.ports, attempt.port)
            && rule.cidr.is_none_or(|range| range.contains(&attempt.remote))
            && rule.group.as_ref().is_none_or(|peer| {
                let is_basic = |id| {
                    self.groups
                        .get(id)
                        .is_some_and(|group| group.kind == GroupKind::Basic)
                };
                kind == GroupKind::Basic && attempt.remote_groups.contains(peer) && is_basic(peer)
            })
    }
}

fn rules(group: &SecurityGroup, direction: Direction) -> &[Rule] {
    match direction {
        Direction::Ingress => &group.ingress,
        Direction::Egress => &group.egress,
    }
}

fn covers_protocol(protocol: Protocol, number: u8) -> bool {
    match protocol {
        Protocol::All => true,
        Protocol::Tcp => number == TCP,
        Protocol::Udp => number == UDP,
        Protocol::Icmp => number == ICMP,
    }
}

/// Whether a rule covers a port. A rule that names ports does not cover a protocol without ports.
fn covers_port(range: PortRange, port: Option<u16>) -> bool {
    match port {
        Some(port) => range.contains(port),
        None => range == PortRange::default(),
    }
}

#[cfg(test)]
mod tests;
