//! Routes, rules, addresses, neighbours and filters as netlink messages, both ways.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::Ipv4Net;
use netlink_packet_route::{
    AddressFamily,
    address::{AddressAttribute, AddressMessage},
    neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState},
    route::{
        RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteProtocol, RouteScope,
        RouteType,
    },
    rule::{RuleAction, RuleAttribute, RuleFlags, RuleMessage},
    tc::{TcAttribute, TcBpfFlags, TcFilterBpfOption, TcHandle, TcMessage, TcOption},
};

use terway_node_core::{
    ownership::{self, Direction},
    program::Program,
    state::{Route, Rule},
};

/// Filters see every protocol (`ETH_P_ALL`).
const ALL_PROTOCOLS: u16 = 3;

/// A rule that is not ours to judge carries selectors this crate does not set.
pub struct ObservedRule {
    pub protocol: u8,
    pub rule: Rule,
}

pub fn route(route: &Route) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header = RouteHeader {
        address_family: AddressFamily::Inet,
        destination_prefix_length: route.destination.prefix_len(),
        table: compact_table(route.table),
        protocol: RouteProtocol::from(ownership::PROTOCOL),
        scope: RouteScope::from(route.scope),
        kind: RouteType::Unicast,
        flags: if route.onlink {
            RouteFlags::Onlink
        } else {
            RouteFlags::empty()
        },
        ..RouteHeader::default()
    };
    if route.destination.prefix_len() > 0 {
        message
            .attributes
            .push(RouteAttribute::Destination(RouteAddress::Inet(
                route.destination.addr(),
            )));
    }
    if let Some(gateway) = route.gateway {
        message
            .attributes
            .push(RouteAttribute::Gateway(RouteAddress::Inet(gateway)));
    }
    message.attributes.push(RouteAttribute::Oif(route.ifindex));
    message.attributes.push(RouteAttribute::Table(route.table));
    message
}

/// The route a message shows, with its protocol number. `None` for what this crate never
/// makes: other families, multicast, several next hops.
pub fn parse_route(message: &RouteMessage) -> Option<(u8, Route)> {
    let header = &message.header;
    if header.address_family != AddressFamily::Inet || header.kind != RouteType::Unicast {
        return None;
    }
    let (mut address, mut gateway, mut ifindex) = (Ipv4Addr::UNSPECIFIED, None, None);
    let mut table = u32::from(header.table);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(RouteAddress::Inet(ip)) => address = *ip,
            RouteAttribute::Gateway(RouteAddress::Inet(ip)) => gateway = Some(*ip),
            RouteAttribute::Oif(index) => ifindex = Some(*index),
            RouteAttribute::Table(number) => table = *number,
            _ => {}
        }
    }
    let route = Route {
        table,
        destination: Ipv4Net::new(address, header.destination_prefix_length).ok()?,
        gateway,
        ifindex: ifindex?,
        onlink: header.flags.contains(RouteFlags::Onlink),
        scope: header.scope.into(),
    };
    Some((header.protocol.into(), route))
}

/// The metric of a route; less is better.
pub fn metric(message: &RouteMessage) -> u32 {
    let metric = message.attributes.iter().find_map(|a| match a {
        RouteAttribute::Priority(metric) => Some(*metric),
        _ => None,
    });
    metric.unwrap_or(0)
}

pub fn rule(rule: &Rule) -> RuleMessage {
    let mut message = unmarked_rule(rule);
    let protocol = RouteProtocol::from(ownership::PROTOCOL);
    message.attributes.push(RuleAttribute::Protocol(protocol));
    message
}

/// A rule without a protocol number, as upstream's agent makes them.
pub fn left_rule(rule: &Rule) -> RuleMessage {
    let mut message = unmarked_rule(rule);
    // Said, or the kernel takes any rule that looks like it.
    let protocol = RouteProtocol::from(0);
    message.attributes.push(RuleAttribute::Protocol(protocol));
    message
}

fn unmarked_rule(rule: &Rule) -> RuleMessage {
    let mut message = RuleMessage::default();
    message.header.family = AddressFamily::Inet;
    message.header.table = compact_table(rule.table);
    message.header.action = RuleAction::ToTable;
    let attributes = &mut message.attributes;
    if let Some(net) = rule.from {
        message.header.src_len = net.prefix_len();
        attributes.push(RuleAttribute::Source(IpAddr::V4(net.addr())));
    }
    if let Some(net) = rule.to {
        message.header.dst_len = net.prefix_len();
        attributes.push(RuleAttribute::Destination(IpAddr::V4(net.addr())));
    }
    if let Some(name) = &rule.oif {
        attributes.push(RuleAttribute::Oifname(name.clone()));
    }
    if let Some((mark, mask)) = rule.mark {
        attributes.push(RuleAttribute::FwMark(mark));
        attributes.push(RuleAttribute::FwMask(mask));
    }
    attributes.push(RuleAttribute::Table(rule.table));
    attributes.push(RuleAttribute::Priority(rule.priority));
    message
}

/// The rule a message shows. `None` when it has selectors this crate never sets: such a
/// rule neither is ours nor can stand in for one of ours.
pub fn parse_rule(message: &RuleMessage) -> Option<ObservedRule> {
    let header = &message.header;
    let plain = header.family == AddressFamily::Inet
        && header.action == RuleAction::ToTable
        && header.tos == 0
        && !header.flags.contains(RuleFlags::Invert);
    if !plain {
        return None;
    }
    let mut rule = Rule {
        table: u32::from(header.table),
        ..Rule::default()
    };
    let (mut protocol, mut mark, mut mask) = (0, None, u32::MAX);
    for attribute in &message.attributes {
        match attribute {
            RuleAttribute::FwMark(bits) => mark = Some(*bits),
            RuleAttribute::FwMask(bits) => mask = *bits,
            RuleAttribute::Source(IpAddr::V4(ip)) => {
                rule.from = Some(Ipv4Net::new(*ip, header.src_len).ok()?)
            }
            RuleAttribute::Destination(IpAddr::V4(ip)) => {
                rule.to = Some(Ipv4Net::new(*ip, header.dst_len).ok()?)
            }
            RuleAttribute::Oifname(name) => rule.oif = Some(name.clone()),
            RuleAttribute::Table(table) => rule.table = *table,
            RuleAttribute::Priority(priority) => rule.priority = *priority,
            RuleAttribute::Protocol(number) => protocol = (*number).into(),
            // "suppress nothing" is shown with every rule
            RuleAttribute::SuppressPrefixLen(u32::MAX) => {}
            _ => return None,
        }
    }
    rule.mark = mark.map(|mark| (mark, mask));
    Some(ObservedRule { protocol, rule })
}

pub fn address(ifindex: u32, net: Ipv4Net) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = AddressFamily::Inet;
    message.header.prefix_len = net.prefix_len();
    message.header.index = ifindex;
    let ip = IpAddr::V4(net.addr());
    message.attributes = vec![AddressAttribute::Local(ip), AddressAttribute::Address(ip)];
    message
}

pub fn parse_address(message: &AddressMessage) -> Option<(u32, Ipv4Net)> {
    let local = message.attributes.iter().find_map(|a| match a {
        AddressAttribute::Local(IpAddr::V4(ip)) => Some(*ip),
        _ => None,
    })?;
    Some((
        message.header.index,
        Ipv4Net::new(local, message.header.prefix_len).ok()?,
    ))
}

pub fn neighbour(ifindex: u32, ip: Ipv4Addr, mac: [u8; 6]) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = AddressFamily::Inet;
    message.header.ifindex = ifindex;
    message.header.state = NeighbourState::Permanent;
    message.header.kind = RouteType::Unicast;
    message.attributes = vec![
        NeighbourAttribute::Destination(NeighbourAddress::Inet(ip)),
        NeighbourAttribute::LinkLayerAddress(mac.to_vec()),
    ];
    message
}

/// A permanent IPv4 neighbour.
pub fn parse_neighbour(message: &NeighbourMessage) -> Option<((u32, Ipv4Addr), [u8; 6])> {
    if message.header.state != NeighbourState::Permanent {
        return None;
    }
    let (mut ip, mut mac) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(address)) => ip = Some(*address),
            NeighbourAttribute::LinkLayerAddress(bytes) => mac = bytes.as_slice().try_into().ok(),
            _ => {}
        }
    }
    Some(((message.header.ifindex, ip?), mac?))
}

/// The queueing discipline that filters of both directions hang on.
pub fn clsact(ifindex: u32) -> TcMessage {
    let mut message = tc(ifindex, TcHandle::CLSACT);
    message.header.handle = TcHandle {
        major: 0xffff,
        minor: 0,
    };
    message.attributes.push(TcAttribute::Kind("clsact".into()));
    message
}

/// Names the slot of a program's filter.
pub fn filter_slot(ifindex: u32, program: Program) -> TcMessage {
    let (priority, direction) = ownership::filter_place(program);
    let mut message = tc(ifindex, hook(direction));
    message.header.handle = ownership::FILTER_HANDLE.into();
    message.header.info = u32::from(priority) << 16 | u32::from(ALL_PROTOCOLS.to_be());
    message.attributes.push(TcAttribute::Kind("bpf".into()));
    message
}

/// Names all filters that upstream's IPvlan datapath has put on an ENI.
pub fn ipvlan_filters(ifindex: u32) -> TcMessage {
    const IPV4: u16 = 0x0800;
    let mut message = tc(ifindex, hook(Direction::Egress));
    message.header.info = u32::from(ownership::UPSTREAM_IPVLAN_PRIORITY) << 16 | u32::from(IPV4.to_be());
    message
}

/// A filter that carries a program in direct-action mode.
pub fn filter(ifindex: u32, program: Program, descriptor: i32) -> TcMessage {
    let mut message = filter_slot(ifindex, program);
    message.attributes.push(TcAttribute::Options(vec![
        // A descriptor is never negative, so the cast keeps its value.
        TcOption::Bpf(TcFilterBpfOption::ProgFd(descriptor.cast_unsigned())),
        TcOption::Bpf(TcFilterBpfOption::ProgName(format!("terway/{}", program.name()))),
        TcOption::Bpf(TcFilterBpfOption::Flags(TcBpfFlags::DirectAction)),
    ]));
    message
}

/// Asks for the filters of one direction.
pub fn filters_of(ifindex: u32, direction: Direction) -> TcMessage {
    tc(ifindex, hook(direction))
}

/// The program id of a filter in the slot of `program`.
pub fn parse_filter(message: &TcMessage, program: Program) -> Option<u32> {
    let (priority, _) = ownership::filter_place(program);
    let ours = message.header.info >> 16 == u32::from(priority)
        && u32::from(message.header.handle) == ownership::FILTER_HANDLE
        && message.attributes.contains(&TcAttribute::Kind("bpf".into()));
    if !ours {
        return None;
    }
    message.attributes.iter().find_map(|a| match a {
        TcAttribute::Options(options) => options.iter().find_map(|o| match o {
            TcOption::Bpf(TcFilterBpfOption::ProgId(id)) => Some(*id),
            _ => None,
        }),
        _ => None,
    })
}

fn tc(ifindex: u32, parent: TcHandle) -> TcMessage {
    // The kernel's interface numbers are positive signed integers.
    let mut message = TcMessage::with_index(ifindex.cast_signed());
    message.header.parent = parent;
    message
}

fn hook(direction: Direction) -> TcHandle {
    let minor = match direction {
        Direction::Ingress => TcHandle::MIN_INGRESS,
        Direction::Egress => TcHandle::MIN_EGRESS,
    };
    TcHandle { major: 0xffff, minor }
}

/// Headers hold tables up to 255; larger ones are in an attribute only.
fn compact_table(table: u32) -> u8 {
    u8::try_from(table).unwrap_or(0)
}
