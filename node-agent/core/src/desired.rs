//! What the kernel should look like, computed from the pods and from the links there are.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use crate::{
    interface::{PodInterface, Waiting},
    link::{Link, Links},
    ownership::{self, MAIN_TABLE, RULE_FROM_POD, RULE_TO_POD},
    program::{FilterAt, Hook, Program, ProgramIds},
    state::{LinkSetting, NetState, Route, Rule, Sysctl},
    symmetric::Symmetric,
};

/// The address a pod sends everything to; nobody has it, a permanent neighbour entry
/// leads it to the host's end of the veth.
pub const POD_GATEWAY: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);

/// Settings of each host interface: packets between pods and ENIs are forwarded, and come
/// in by another interface than the main table would answer by.
const HOST_SYSCTLS: [(&str, &str); 2] = [("forwarding", "1"), ("rp_filter", "0")];

/// What all pods need alike.
pub struct Node<'a> {
    pub links: &'a Links,
    pub programs: &'a ProgramIds,
    /// Whether the kernel has [`Hook::Interface`].
    pub tcx: bool,
    /// The node's own address: the source of what the host itself sends by an ENI.
    pub node_ip: Option<Ipv4Addr>,
}

/// The host's side of all pods, and which of them wait for what.
pub fn host(wants: &[PodInterface], node: &Node<'_>) -> (NetState, Vec<Waiting>) {
    let mut state = NetState::default();
    let mut waiting = Vec::new();
    host_sysctls(&mut state, node.links);
    for want in wants {
        let Some(veth) = node.links.of(&want.sandbox) else {
            waiting.push(Waiting::HostLink(want.sandbox.clone()));
            continue;
        };
        local(&mut state, want, veth, node);
        match node.links.nic(want.nic_mac) {
            Some(nic) => through_nic(&mut state, want, veth, nic, node),
            None => waiting.push(Waiting::Nic(want.sandbox.clone())),
        }
    }
    (state, waiting)
}

/// The way of what answers a connection that entered by the node's own interface: `gateway` is that of
/// its default route, if that has one.
pub fn symmetric(state: &mut NetState, config: &Symmetric, uplink: &Link, gateway: Option<Ipv4Addr>) {
    state.marking = Some(config.clone());
    let anywhere = Ipv4Net::default();
    state.routes.insert(match gateway {
        Some(gateway) => Route::via(config.table, anywhere, gateway, uplink.index),
        None => Route::direct(config.table, anywhere, uplink.index),
    });
    state.rules.insert(Rule {
        priority: config.priority,
        mark: Some((config.mark, config.mask)),
        table: config.table,
        ..Rule::default()
    });
}

fn host_sysctls(state: &mut NetState, links: &Links) {
    let all = ["all", "default"]
        .into_iter()
        .chain(links.0.iter().filter(|l| !l.loopback).map(|l| l.name.as_str()));
    for interface in all {
        for (name, value) in HOST_SYSCTLS {
            state.sysctls.insert(
                Sysctl {
                    interface: interface.to_owned(),
                    name,
                },
                value.to_owned(),
            );
        }
    }
}

/// Between the pod and its node. Sources are checked for every pod: one with a shared address could
/// borrow the security groups of a member by its address.
fn local(state: &mut NetState, want: &PodInterface, veth: &Link, node: &Node<'_>) {
    let pod = Ipv4Net::from(want.ip);
    state.links.insert(
        veth.index,
        LinkSetting {
            up: true,
            mtu: want.mtu,
        },
    );
    state
        .sources
        .insert((veth.index, want.ip), ownership::pod_mac(&want.sandbox));
    // Two queueing disciplines at that place exclude each other, and the other plugin's comes later.
    let hook = if want.shaped && node.tcx {
        Hook::Interface
    } else {
        Hook::Clsact
    };
    filter(state, (veth.index, Program::PodSource, hook), node);
    state.routes.insert(Route::direct(MAIN_TABLE, pod, veth.index));
    state.rules.insert(Rule {
        priority: RULE_TO_POD,
        to: Some(pod),
        table: MAIN_TABLE,
        ..Rule::default()
    });
    for cidr in &want.host_stack_cidrs {
        // Addresses the host serves itself are looked up where the host looks, not in the
        // ENI's table, which would send them into the VPC.
        let (from, to) = (Some(pod), Some(cidr.trunc()));
        state.rules.insert(Rule {
            priority: RULE_TO_POD,
            from,
            to,
            table: MAIN_TABLE,
            ..Rule::default()
        });
    }
}

/// Between the pod and the VPC.
fn through_nic(state: &mut NetState, want: &PodInterface, veth: &Link, nic: &Link, node: &Node<'_>) {
    let table = ownership::table_of(nic.index);
    // Never smaller than it is: other pods and the host use it too.
    let setting = state.links.entry(nic.index).or_insert(LinkSetting {
        up: true,
        mtu: nic.mtu,
    });
    setting.mtu = setting.mtu.max(want.mtu);
    if let Some(ip) = node.node_ip {
        state.addresses.insert((nic.index, Ipv4Net::from(ip)));
    }
    if let Some(vlan) = want.vlan {
        state.pops.insert((nic.index, vlan, want.ip), veth.index);
        state.pushes.insert((nic.index, want.ip), (vlan, veth.index));
        for program in [Program::MemberPop, Program::MemberPush] {
            filter(state, (nic.index, program, Hook::Clsact), node);
        }
    }
    state
        .routes
        .insert(Route::via(table, Ipv4Net::default(), want.nic_gateway, nic.index));
    let from = Some(Ipv4Net::from(want.ip));
    state.rules.insert(Rule {
        priority: RULE_FROM_POD,
        from,
        table,
        ..Rule::default()
    });
}

fn filter(state: &mut NetState, at: FilterAt, node: &Node<'_>) {
    // Every program of the object is loaded before anything is planned.
    let id = node.programs.0.get(&at.1).copied().unwrap_or_default();
    state.filters.insert(at, id);
}

/// The pod's side. `ifindex` is the pod's end of the veth, `host_mac` the other end's MAC.
pub fn pod(want: &PodInterface, ifindex: u32, host_mac: [u8; 6]) -> NetState {
    let mut state = NetState::default();
    let own = Ipv4Net::from(want.ip);
    state.links.insert(
        ifindex,
        LinkSetting {
            up: true,
            mtu: want.mtu,
        },
    );
    state.addresses.insert((ifindex, own));
    state.neighbours.insert((ifindex, POD_GATEWAY), host_mac);
    for destination in &want.extra_routes {
        state
            .routes
            .insert(Route::via(MAIN_TABLE, destination.trunc(), POD_GATEWAY, ifindex));
    }
    let default = |table| Route::via(table, Ipv4Net::default(), POD_GATEWAY, ifindex);
    if want.default_route {
        state.routes.insert(default(MAIN_TABLE));
    } else {
        // An additional interface: what is sent in its name leaves by it, though the
        // pod's default route is another's.
        let table = ownership::table_of(ifindex);
        let base = Rule {
            priority: RULE_TO_POD,
            table,
            ..Rule::default()
        };
        state.routes.insert(default(table));
        state.rules.insert(Rule {
            from: Some(own),
            ..base.clone()
        });
        state.rules.insert(Rule {
            oif: Some(want.sandbox.ifname.clone()),
            ..base
        });
    }
    state
}

#[cfg(test)]
mod tests;
