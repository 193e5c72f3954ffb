//! What the kernel should have, computed from the pods and from the links there are.

use std::{collections::BTreeSet, net::IpAddr};

use terway_ebpf_abi::{InterfaceAddress, PodHardware, PopTarget, PushTag, TaggedAddress};

use terway_address::{Family, full_prefix};

use crate::{
    carrier::Carrier,
    interface::{PodInterface, Waiting},
    link::{Link, Links},
    object::{
        Address, DeadEnd, Entry, Filter, LinkIndex, LinkSetting, Marks, Neighbour, Pop, Push, Route, Rule,
        Source, Sysctl, filter::Hook,
    },
    ownership::{self, MAIN_TABLE, RULE_FROM_POD, RULE_TO_POD},
    program::{Program, ProgramIds},
    state::State,
    symmetric::Symmetric,
};

/// Settings of each host interface in a family. `forwarding`: packets between pods and ENIs are forwarded. `rp_filter`
/// off: a packet arrives by an interface that is not the main table's way back to its source. IPv6 has no such setting.
fn host_settings(family: Family) -> &'static [(&'static str, &'static str)] {
    family.choose(&[("forwarding", "1"), ("rp_filter", "0")], &[("forwarding", "1")])
}

/// Settings that all pods share.
pub struct Node<'a> {
    pub links: &'a Links,
    pub programs: &'a ProgramIds,
    /// Whether the kernel has [`Hook::Tcx`].
    pub tcx: bool,
    /// Host veths whose check of sources is attached there. It stays there: a plugin's queueing discipline takes every
    /// packet away from a filter of clsact, and the pod's owner may remove the annotation at any time.
    pub on_tcx: &'a BTreeSet<u32>,
    /// The node's own address, the source of packets that the host itself sends by an ENI.
    pub node_ip: Option<IpAddr>,
}

/// The host's side of all pods, and the pods that wait for something.
pub fn host(wants: &[PodInterface], node: &Node<'_>) -> (State, Vec<Waiting>) {
    let mut state = State::default();
    let mut waiting = Vec::new();
    host_sysctls(&mut state, node.links);
    for want in wants {
        let Some(veth) = node.links.of(&want.sandbox) else {
            waiting.push(Waiting::HostLink(want.sandbox.clone()));
            continue;
        };
        local(&mut state, want, veth, node);
        match node.links.nic(want.carrier.nic().mac) {
            Some(nic) => through_nic(&mut state, want, veth, nic, node),
            None => {
                nowhere(&mut state, want);
                waiting.push(Waiting::Nic(want.sandbox.clone()));
            }
        }
    }
    (state, waiting)
}

/// The way of what answers a connection of this family that entered by the node's own interface. `gateway` is the
/// gateway of that interface's default route, if the route has one.
pub fn symmetric(
    state: &mut State,
    config: &Symmetric,
    uplink: &Link,
    (family, gateway): (Family, Option<IpAddr>),
) {
    state.put(Marks, config.clone());
    let route = match gateway {
        Some(gateway) => Route::via(config.table, family.anywhere(), gateway, uplink.index),
        None => Route::direct(config.table, family.anywhere(), uplink.index),
    };
    state.put(route, ());
    let rule = Rule {
        mark: Some((config.mark, config.mask)),
        ..Rule::new(family, config.priority, config.table)
    };
    state.put(rule, ());
}

fn host_sysctls(state: &mut State, links: &Links) {
    let links = links.0.iter().filter(|l| !l.loopback && l.has_plain_name());
    let links = links.map(|l| l.name.as_str());
    for interface in ["all", "default"].into_iter().chain(links) {
        for family in Family::SERVED {
            for (name, value) in host_settings(family) {
                let interface = interface.to_owned();
                state.put(
                    Sysctl {
                        family,
                        interface,
                        name,
                    },
                    (*value).to_owned(),
                );
            }
        }
    }
}

/// The objects between the pod and its node. The veth keeps its MTU: the two ends have one, the pod's connections count
/// on it, and the kernel drops without a word what is larger than the other end's. The sources
/// of every pod are checked: a pod with a shared address could otherwise use a member's address, and with it the
/// member's security groups.
fn local(state: &mut State, want: &PodInterface, veth: &Link, node: &Node<'_>) {
    let pod = full_prefix(want.ip);
    let (up, mtu) = (true, veth.mtu);
    state.put(LinkIndex(veth.index), LinkSetting { up, mtu });
    state.put(
        Entry::<Source>(InterfaceAddress::new(veth.index, want.ip)),
        PodHardware::new(ownership::pod_mac(&want.sandbox)),
    );
    // The bandwidth plugin makes a queueing discipline at the same place, after this one, and two exclude each other.
    let shaped = want.shaped || node.on_tcx.contains(&veth.index);
    let hook = if shaped && node.tcx {
        Hook::Tcx(veth.index)
    } else {
        Hook::Clsact(veth.index)
    };
    filter(state, hook, Program::PodSource, node);
    state.put(Route::direct(MAIN_TABLE, pod, veth.index), ());
    let to_pod = Rule::new(Family::of(want.ip), RULE_TO_POD, MAIN_TABLE);
    state.put(to_pod.clone().to(pod), ());
    for cidr in &want.host_stack_cidrs {
        // The host serves these addresses itself. The ENI's table would send the packets into the VPC.
        state.put(to_pod.clone().from(pod).to(cidr.trunc()), ());
    }
}

/// The way of a pod whose NIC is missing. Without its rule the main table would lead its packets to the node's own
/// interface.
fn nowhere(state: &mut State, want: &PodInterface) {
    let (family, table) = (Family::of(want.ip), ownership::NOWHERE_TABLE);
    state.put(DeadEnd { family, table }, ());
    state.put(
        Rule::new(family, RULE_FROM_POD, table).from(full_prefix(want.ip)),
        (),
    );
}

/// The objects between the pod and the VPC.
fn through_nic(state: &mut State, want: &PodInterface, veth: &Link, nic: &Link, node: &Node<'_>) {
    let table = ownership::table_of(nic.index);
    let family = Family::of(want.ip);
    // Never smaller than it is: other pods and the host use the NIC too.
    let planned = state.value_of(LinkIndex(nic.index)).map_or(nic.mtu, |s| s.mtu);
    let (up, mtu) = (true, planned.max(veth.mtu));
    state.put(LinkIndex(nic.index), LinkSetting { up, mtu });
    if let Some(ip) = node.node_ip {
        let (link, net) = (nic.index, full_prefix(ip));
        state.put(Address { link, net }, ());
    }
    if let Carrier::Member { vlan, .. } = &want.carrier {
        let vlan = vlan.get();
        let (accepted, sent) = (
            TaggedAddress::new(nic.index, vlan, want.ip),
            InterfaceAddress::new(nic.index, want.ip),
        );
        let host_ifindex = veth.index;
        state.put(Entry::<Pop>(accepted), PopTarget { host_ifindex });
        state.put(Entry::<Push>(sent), PushTag::new(host_ifindex, vlan));
        for program in [Program::MemberPop, Program::MemberPush] {
            filter(state, Hook::Clsact(nic.index), program, node);
        }
    }
    state.put(DeadEnd { family, table }, ());
    state.put(
        Route::via(table, family.anywhere(), want.carrier.nic().gateway, nic.index),
        (),
    );
    state.put(
        Rule::new(family, RULE_FROM_POD, table).from(full_prefix(want.ip)),
        (),
    );
}

fn filter(state: &mut State, hook: Hook, program: Program, node: &Node<'_>) {
    // All programs are loaded before the first plan.
    let id = node.programs.0.get(&program).copied().unwrap_or_default();
    state.put(Filter { hook, program }, id);
}

/// The pod's side. `link` is the pod's end of the veth, `host` the other end.
pub fn pod(want: &PodInterface, link: u32, host: &Link) -> State {
    let mut state = State::default();
    let own = full_prefix(want.ip);
    let family = Family::of(want.ip);
    let gateway = family.pod_gateway();
    let (up, mtu) = (true, host.mtu);
    let host_mac = host.mac.unwrap_or_else(|| ownership::host_mac(&want.sandbox));
    state.put(LinkIndex(link), LinkSetting { up, mtu });
    state.put(Address { link, net: own }, ());
    state.put(Neighbour { link, ip: gateway }, host_mac);
    for destination in &want.extra_routes {
        state.put(Route::via(MAIN_TABLE, destination.trunc(), gateway, link), ());
    }
    let default = |table| Route::via(table, family.anywhere(), gateway, link);
    if want.default_route {
        state.put(default(MAIN_TABLE), ());
        return state;
    }
    // An additional interface. Packets with its address as their source leave by it, although the pod's default route
    // leaves by another one.
    let table = ownership::table_of(link);
    let rule = Rule::new(family, RULE_TO_POD, table);
    state.put(default(table), ());
    state.put(rule.clone().from(own), ());
    let oif = Some(want.sandbox.ifname.clone());
    state.put(Rule { oif, ..rule }, ());
    state
}

#[cfg(test)]
mod tests;
