//! What the kernel looks like, in the same type as what it should look like.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage, address::AddressMessage, neighbour::NeighbourMessage,
    route::RouteMessage, rule::RuleMessage,
};

use terway_node_core::{
    link::{Link, Links},
    observed::Observed,
    ownership,
    program::{Hook, Program},
    state::{LinkSetting, NetState},
};

use super::{
    error::ObserveError,
    message,
    netlink::{Netlink, NetlinkError},
    sysctl::Sysctls,
};
use crate::{datapath::symmetric::Marking, ebpf::Programs};

/// How much of the filters is read: each link costs a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filters {
    /// Those that are wanted.
    Wanted,
    /// Those of every link where ours can be.
    All,
}

/// Reads the host's side.
pub fn host(
    netlink: &mut Netlink,
    links: &Links,
    programs: &Programs,
    sysctls: &Sysctls,
    marking: &mut Marking,
    wanted: &NetState,
    filters: Filters,
) -> Result<Observed, ObserveError> {
    let mut observed = namespace(netlink, links)?;
    let state = &mut observed.state;
    for link in &links.0 {
        for (program, hook) in places(link, programs.has_tcx()) {
            let at = (link.index, *program, *hook);
            if filters == Filters::Wanted && !wanted.filters.contains_key(&at) {
                continue;
            }
            let id = match hook {
                Hook::Interface => programs.attached(link.index, *program)?,
                Hook::Clsact => filter(netlink, link.index, *program)?,
            };
            state.filters.extend(id.map(|id| (at, id)));
        }
    }
    state.pops = programs.pops()?;
    state.pushes = programs.pushes()?;
    state.sources = programs.sources()?;
    state.sysctls = sysctls.read(wanted.sysctls.keys())?;
    if wanted.marking.is_some() {
        state.marking = marking.observe()?;
    }
    Ok(observed)
}

/// Where our filters can be on a link.
fn places(link: &Link, tcx: bool) -> &'static [(Program, Hook)] {
    match link.owner() {
        Some(_) if tcx => &[
            (Program::PodSource, Hook::Clsact),
            (Program::PodSource, Hook::Interface),
        ],
        Some(_) => &[(Program::PodSource, Hook::Clsact)],
        None if link.can_be_nic() => &[
            (Program::MemberPop, Hook::Clsact),
            (Program::MemberPush, Hook::Clsact),
        ],
        None => &[],
    }
}

/// Reads links, addresses, neighbours, routes and rules of the namespace of `netlink`.
pub fn namespace(netlink: &mut Netlink, links: &Links) -> Result<Observed, NetlinkError> {
    let settings = links
        .0
        .iter()
        .map(|l| (l.index, LinkSetting { up: l.up, mtu: l.mtu }));
    let mut state = NetState {
        links: settings.collect(),
        ..NetState::default()
    };
    for reply in netlink.dump(
        "list addresses",
        RouteNetlinkMessage::GetAddress(ipv4_addresses()),
    )? {
        if let RouteNetlinkMessage::NewAddress(m) = reply {
            state.addresses.extend(message::parse_address(&m));
        }
    }
    for reply in netlink.dump(
        "list neighbours",
        RouteNetlinkMessage::GetNeighbour(ipv4_neighbours()),
    )? {
        if let RouteNetlinkMessage::NewNeighbour(m) = reply {
            state.neighbours.extend(message::parse_neighbour(&m));
        }
    }
    let slaves = links.0.iter().filter(|l| l.is_upstreams_slave());
    let mut ipvlan_pods: BTreeMap<u32, BTreeSet<Ipv4Addr>> =
        slaves.map(|l| (l.index, BTreeSet::new())).collect();
    for reply in netlink.dump("list routes", RouteNetlinkMessage::GetRoute(ipv4_routes()))? {
        let RouteNetlinkMessage::NewRoute(m) = reply else {
            continue;
        };
        match message::parse_route(&m) {
            Some((protocol, route)) if ownership::owns_route(protocol) => {
                state.routes.insert(route);
            }
            Some((_, route)) if route.destination.prefix_len() == 32 => {
                if let Some(pods) = ipvlan_pods.get_mut(&route.ifindex) {
                    pods.insert(route.destination.addr());
                }
            }
            Some(_) | None => {}
        }
    }
    let mut foreign_rules = BTreeMap::new();
    for reply in netlink.dump("list rules", RouteNetlinkMessage::GetRule(ipv4_rules()))? {
        if let RouteNetlinkMessage::NewRule(m) = reply
            && let Some(seen) = message::parse_rule(&m)
        {
            if ownership::owns_rule(seen.protocol, &seen.rule) {
                state.rules.insert(seen.rule);
            } else {
                foreign_rules.insert(seen.rule, seen.protocol);
            }
        }
    }
    Ok(Observed {
        state,
        foreign_rules,
        ipvlan_pods,
    })
}

/// The gateway of the main table's default route by this interface; none inside when it has none.
pub fn uplink(netlink: &mut Netlink, ifindex: u32) -> Result<Option<Option<Ipv4Addr>>, NetlinkError> {
    let all = netlink.dump("list routes", RouteNetlinkMessage::GetRoute(ipv4_routes()))?;
    let mut best = None;
    for reply in all {
        let RouteNetlinkMessage::NewRoute(m) = reply else {
            continue;
        };
        let Some((_, route)) = message::parse_route(&m) else {
            continue;
        };
        let is_default = route.table == ownership::MAIN_TABLE && route.destination.prefix_len() == 0;
        if !is_default || route.ifindex != ifindex {
            continue;
        }
        let metric = message::metric(&m);
        if best.is_none_or(|(least, _)| metric < least) {
            best = Some((metric, route.gateway));
        }
    }
    Ok(best.map(|(_, gateway)| gateway))
}

fn filter(netlink: &mut Netlink, ifindex: u32, program: Program) -> Result<Option<u32>, NetlinkError> {
    let (_, direction) = ownership::filter_place(program);
    let ask = RouteNetlinkMessage::GetTrafficFilter(message::filters_of(ifindex, direction));
    let all = netlink.dump("list filters", ask)?;
    Ok(all.into_iter().find_map(|reply| match reply {
        RouteNetlinkMessage::NewTrafficFilter(m) => message::parse_filter(&m, program),
        _ => None,
    }))
}

fn ipv4_addresses() -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = AddressFamily::Inet;
    message
}

fn ipv4_neighbours() -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = AddressFamily::Inet;
    message
}

fn ipv4_routes() -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = AddressFamily::Inet;
    message
}

fn ipv4_rules() -> RuleMessage {
    let mut message = RuleMessage::default();
    message.header.family = AddressFamily::Inet;
    message
}
