//! What the kernel looks like, in the same type as what it should look like.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
};

use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage, address::AddressMessage, neighbour::NeighbourMessage,
    route::RouteMessage, rule::RuleMessage,
};

use super::{
    DatapathError,
    link::Links,
    message,
    netlink::{Netlink, NetlinkError},
    ownership,
    state::{LinkSetting, NetState, Rule, Sysctl},
};
use crate::ebpf::{Program, Programs};

/// What is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// Everything that is shared, and of the rest what is ours.
    pub state: NetState,
    /// Rules of others. One that equals a wanted rule does the same work, and the kernel
    /// refuses to have both.
    pub foreign_rules: BTreeSet<Rule>,
}

/// Reads the host's side. Filters are read on the links where ours can be.
pub fn host(
    netlink: &mut Netlink,
    links: &Links,
    programs: &Programs,
    wanted: &NetState,
) -> Result<Observed, DatapathError> {
    let mut observed = namespace(netlink, links)?;
    let state = &mut observed.state;
    for link in &links.0 {
        let roles: &[Program] = if link.owner().is_some() {
            &[Program::PodSource]
        } else if link.can_be_nic() {
            &[Program::MemberPop, Program::MemberPush]
        } else {
            &[]
        };
        for program in roles {
            if let Some(id) = filter(netlink, link.index, *program)? {
                state.filters.insert((link.index, *program), id);
            }
        }
    }
    state.pops = programs.pops()?;
    state.pushes = programs.pushes()?;
    state.sources = programs.sources()?;
    state.sysctls = sysctls(wanted.sysctls.keys())?;
    Ok(observed)
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
    for reply in netlink.dump("list routes", RouteNetlinkMessage::GetRoute(ipv4_routes()))? {
        if let RouteNetlinkMessage::NewRoute(m) = reply
            && let Some((protocol, route)) = message::parse_route(&m)
            && ownership::owns_route(protocol)
        {
            state.routes.insert(route);
        }
    }
    let mut foreign_rules = BTreeSet::new();
    for reply in netlink.dump("list rules", RouteNetlinkMessage::GetRule(ipv4_rules()))? {
        if let RouteNetlinkMessage::NewRule(m) = reply
            && let Some(seen) = message::parse_rule(&m)
        {
            let ours = ownership::owns_rule(seen.protocol, seen.rule.priority);
            if ours {
                &mut state.rules
            } else {
                &mut foreign_rules
            }
            .insert(seen.rule);
        }
    }
    Ok(Observed { state, foreign_rules })
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

/// Reads settings. One whose interface has gone meanwhile is not there; any other failure
/// is a failure.
fn sysctls<'a>(keys: impl Iterator<Item = &'a Sysctl>) -> Result<BTreeMap<Sysctl, String>, DatapathError> {
    let mut values = BTreeMap::new();
    for key in keys {
        match fs::read_to_string(key.path()) {
            Ok(text) => {
                values.insert(key.clone(), text.trim().to_owned());
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(source) => {
                return Err(DatapathError::Sysctl {
                    path: key.path(),
                    source,
                });
            }
        }
    }
    Ok(values)
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
