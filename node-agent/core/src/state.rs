//! The part of the kernel's network state that the datapath is about, in one comparable
//! type: what should be and what is are both a [`NetState`], so that a plan is their
//! difference.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::Ipv4Addr,
};

use ipnet::Ipv4Net;

use crate::{
    program::{FilterAt, InterfaceIp, PopKey, Program, PushValue},
    symmetric::Symmetric,
};

/// Route scope as the kernel numbers it: anywhere.
pub const SCOPE_UNIVERSE: u8 = 0;
/// Route scope as the kernel numbers it: on this link.
pub const SCOPE_LINK: u8 = 253;

/// A unicast IPv4 route.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    pub table: u32,
    pub destination: Ipv4Net,
    pub gateway: Option<Ipv4Addr>,
    pub ifindex: u32,
    pub onlink: bool,
    pub scope: u8,
}

impl Route {
    /// To something directly on the link.
    pub fn direct(table: u32, destination: Ipv4Net, ifindex: u32) -> Self {
        Self {
            table,
            destination,
            gateway: None,
            ifindex,
            onlink: false,
            scope: SCOPE_LINK,
        }
    }

    /// Through a gateway that the link reaches though no address says so.
    pub fn via(table: u32, destination: Ipv4Net, gateway: Ipv4Addr, ifindex: u32) -> Self {
        Self {
            table,
            destination,
            gateway: Some(gateway),
            ifindex,
            onlink: true,
            scope: SCOPE_UNIVERSE,
        }
    }
}

/// An IPv4 rule that looks into a table.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rule {
    pub priority: u32,
    pub from: Option<Ipv4Net>,
    pub to: Option<Ipv4Net>,
    pub oif: Option<String>,
    /// Bits of the packet's mark, and which of them are looked at.
    pub mark: Option<(u32, u32)>,
    pub table: u32,
}

/// What a link is set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkSetting {
    pub up: bool,
    /// Bytes.
    pub mtu: u32,
}

/// A setting below /proc/sys/net/ipv4/conf.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sysctl {
    /// Interface, `all` or `default`.
    pub interface: String,
    pub name: &'static str,
}

impl fmt::Display for Sysctl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "net/ipv4/conf/{}/{}", self.interface, self.name)
    }
}

/// The comparable state of one network namespace. The first group is only ever completed;
/// the second holds what is ours alone, so what is too much in it is removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetState {
    pub links: BTreeMap<u32, LinkSetting>,
    pub addresses: BTreeSet<(u32, Ipv4Net)>,
    /// Permanent neighbours.
    pub neighbours: BTreeMap<InterfaceIp, [u8; 6]>,
    pub sysctls: BTreeMap<Sysctl, String>,
    /// What the marks of symmetric routing are made by.
    pub marking: Option<Symmetric>,

    pub routes: BTreeSet<Route>,
    pub rules: BTreeSet<Rule>,
    /// Filters by place and role, with the kernel's id of the program they carry.
    pub filters: BTreeMap<FilterAt, u32>,
    /// Host veth of each pop entry.
    pub pops: BTreeMap<PopKey, u32>,
    /// VLAN id and host veth of each push entry.
    pub pushes: BTreeMap<InterfaceIp, PushValue>,
    /// Pod MAC of each address that a host veth lets in.
    pub sources: BTreeMap<InterfaceIp, [u8; 6]>,
}

/// What one pod's objects are recognised by when only that pod is looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Focus {
    pub addresses: BTreeSet<Ipv4Addr>,
    /// Host veths.
    pub veths: BTreeSet<u32>,
}

impl Focus {
    /// Whether a rule selects exactly one of the addresses.
    pub fn has_rule(&self, rule: &Rule) -> bool {
        let single = |net: &Option<Ipv4Net>| net.is_some_and(|n| n.prefix_len() == 32 && self.has(n.addr()));
        single(&rule.from) || single(&rule.to)
    }

    pub fn has_route(&self, route: &Route) -> bool {
        self.veths.contains(&route.ifindex)
            || route.destination.prefix_len() == 32 && self.has(route.destination.addr())
    }

    fn has(&self, address: Ipv4Addr) -> bool {
        self.addresses.contains(&address)
    }
}

impl NetState {
    /// What is left when the focus does not count: a plan made from it leaves those pods as they are,
    /// and what they may share with others too, unless `wanted` has it.
    pub fn sparing(mut self, focus: &Focus, wanted: &NetState) -> NetState {
        let shared_way = |r: &Route| r.destination.prefix_len() == 0;
        self.routes
            .retain(|r| wanted.routes.contains(r) || !(focus.has_route(r) || shared_way(r)));
        self.rules
            .retain(|r| wanted.rules.contains(r) || !focus.has_rule(r));
        self.filters.retain(|k, _| {
            wanted.filters.contains_key(k) || (k.1 == Program::PodSource && !focus.veths.contains(&k.0))
        });
        self.pops
            .retain(|k, veth| wanted.pops.contains_key(k) || !(focus.has(k.2) || focus.veths.contains(veth)));
        self.pushes
            .retain(|k, v| wanted.pushes.contains_key(k) || !(focus.has(k.1) || focus.veths.contains(&v.1)));
        self.sources
            .retain(|k, _| wanted.sources.contains_key(k) || !focus.veths.contains(&k.0));
        self
    }

    /// What is left when only the focus counts and what `wanted` has as well, so that a
    /// plan made from it leaves all other pods alone.
    pub fn narrowed(mut self, focus: &Focus, wanted: &NetState) -> NetState {
        self.routes
            .retain(|r| focus.has_route(r) || wanted.routes.contains(r));
        self.rules
            .retain(|r| focus.has_rule(r) || wanted.rules.contains(r));
        self.filters
            .retain(|k, _| focus.veths.contains(&k.0) || wanted.filters.contains_key(k));
        self.pops
            .retain(|k, veth| focus.has(k.2) || focus.veths.contains(veth) || wanted.pops.contains_key(k));
        self.pushes
            .retain(|k, v| focus.has(k.1) || focus.veths.contains(&v.1) || wanted.pushes.contains_key(k));
        self.sources
            .retain(|k, _| focus.veths.contains(&k.0) || wanted.sources.contains_key(k));
        self
    }
}
