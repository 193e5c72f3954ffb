//! Unicast routes.

use std::{collections::BTreeSet, net::IpAddr};

use ipnet::IpNet;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::{
    RouteNetlinkMessage,
    route::{
        RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteProtocol, RouteScope,
        RouteType,
    },
};
use nix::libc;
use terway_address::{Family, is_anywhere, single};
use terway_node_core::{
    object::{Driver, Route, route::Place},
    observed::{Ask, Observed},
    ownership,
};

use super::{
    dead_end,
    error::{ObserveError, StepError},
    namespace::{Namespace, family_number},
    netlink::{Netlink, NetlinkError},
    repeat::absent,
};

impl Driver<Route> for Namespace<'_> {
    /// Routes with our protocol number, dead ends among them; and, for the census, where upstream's IPvlan interfaces
    /// lead.
    fn observe(&mut self, ask: &Ask<'_>, seen: &mut Observed) -> Result<(), ObserveError> {
        let slaves = ask.links.0.iter().filter(|l| l.is_upstreams_slave());
        seen.ipvlan_pods
            .extend(slaves.map(|l| (l.index, Default::default())));
        let places: BTreeSet<Place> = ask
            .wanted
            .of::<Route>()
            .map(|(route, ())| route.place())
            .collect();
        for family in ask.families() {
            for message in messages(self.netlink, *family)? {
                if let Some(place) = strangers_place(&message, *family).filter(|place| places.contains(place))
                {
                    seen.foreign_routes.insert(place, words(&message));
                }
                if let Some(dead_end) = dead_end::parse(&message, *family) {
                    seen.state.put(dead_end, ());
                }
                let Some(Shown { route, protocol, .. }) = parse(&message, *family) else {
                    continue;
                };
                if ownership::owns_route(protocol) {
                    seen.state.put(route, ());
                } else if let Some(ip) = single(route.destination)
                    && let Some(pods) = seen.ipvlan_pods.get_mut(&route.link)
                {
                    pods.insert(ip);
                }
            }
        }
        Ok(())
    }

    /// A replacement takes the first route of its place, whoever made it. So the route is added first, and it replaces
    /// another only when all that have the place are ours.
    fn put(&mut self, route: &Route, (): &()) -> Result<(), StepError> {
        let act = "add a route";
        let new = || RouteNetlinkMessage::NewRoute(message(route));
        match self.netlink.change(act, new(), NLM_F_CREATE | NLM_F_EXCL) {
            Err(error) if error.errno() == Some(libc::EEXIST) => {}
            added => return Ok(added?),
        }
        let family = Family::of(route.destination.addr());
        let mut others = messages(self.netlink, family)?.into_iter();
        if let Some(other) = others.find(|m| strangers_place(m, family) == Some(route.place())) {
            let by = words(&other);
            return Err(StepError::RouteTaken { by });
        }
        self.netlink.change(act, new(), NLM_F_CREATE | NLM_F_REPLACE)?;
        Ok(())
    }

    fn remove(&mut self, route: &Route) -> Result<(), StepError> {
        let old = RouteNetlinkMessage::DelRoute(message(route));
        absent(self.netlink.change("remove a route", old, 0))?;
        Ok(())
    }
}

/// The best default route of the main table by a link.
pub struct Uplink {
    /// None where the link reaches everything directly.
    pub gateway: Option<IpAddr>,
}

/// How the node itself sends packets of a family by a link, if it does.
pub fn uplink(netlink: &mut Netlink, link: u32, family: Family) -> Result<Option<Uplink>, NetlinkError> {
    let all = messages(netlink, family)?;
    let all = all
        .iter()
        .filter_map(|message| parse(message, family))
        .filter(|shown| {
            let route = &shown.route;
            route.table == ownership::MAIN_TABLE && is_anywhere(route.destination) && route.link == link
        });
    let best = all.min_by_key(|shown| shown.metric);
    Ok(best.map(|shown| Uplink {
        gateway: shown.route.gateway,
    }))
}

/// A route as a dump shows it.
pub(super) struct Shown {
    route: Route,
    protocol: u8,
    /// Less is better.
    metric: u32,
}

fn messages(netlink: &mut Netlink, family: Family) -> Result<Vec<RouteMessage>, NetlinkError> {
    let mut all = RouteMessage::default();
    all.header.address_family = family_number(family);
    let replies = netlink.dump("list routes", RouteNetlinkMessage::GetRoute(all))?;
    let routes = replies.into_iter().filter_map(|reply| match reply {
        RouteNetlinkMessage::NewRoute(m) => Some(m),
        _ => None,
    });
    Ok(routes.collect())
}

/// The place that a route of somebody else has, of whatever type the route is; `None` for a route of ours, and for one
/// whose metric or TOS gives it a place that no route of ours has.
fn strangers_place(message: &RouteMessage, family: Family) -> Option<Place> {
    let header = &message.header;
    let (mut address, mut table, mut metric) = (family.anywhere().addr(), u32::from(header.table), 0);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(shown) => address = decode(shown)?,
            RouteAttribute::Table(number) => table = *number,
            RouteAttribute::Priority(number) => metric = *number,
            _ => {}
        }
    }
    // `IP6_RT_PRIO_USER` (linux/ipv6_route.h) is the metric of an IPv6 route that is made without one.
    let ours = header.tos == 0 && metric == family.choose(0, 1024);
    let theirs = header.address_family == family_number(family)
        && !ownership::owns_route(header.protocol.into())
        && !header.flags.contains(RouteFlags::Cloned);
    let destination = IpNet::new(address, header.destination_prefix_length).ok()?;
    (ours && theirs).then_some((table, destination))
}

/// A route of somebody else in a few words.
fn words(message: &RouteMessage) -> String {
    let mut words = format!("protocol {}", u8::from(message.header.protocol));
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Gateway(shown) => {
                let gateway = decode(shown).map_or_else(String::new, |ip| format!(", via {ip}"));
                words.push_str(&gateway);
            }
            RouteAttribute::Oif(link) => words.push_str(&format!(", by interface {link}")),
            _ => {}
        }
    }
    words
}

fn message(route: &Route) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header = RouteHeader {
        address_family: family_number(Family::of(route.destination.addr())),
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
    let attributes = &mut message.attributes;
    if !is_anywhere(route.destination) {
        attributes.push(RouteAttribute::Destination(encode(route.destination.addr())));
    }
    if let Some(gateway) = route.gateway {
        attributes.push(RouteAttribute::Gateway(encode(gateway)));
    }
    attributes.push(RouteAttribute::Oif(route.link));
    attributes.push(RouteAttribute::Table(route.table));
    message
}

/// `None` for what this crate never makes: multicast, several next hops, a gateway of another family.
pub(super) fn parse(message: &RouteMessage, family: Family) -> Option<Shown> {
    let header = &message.header;
    if header.address_family != family_number(family) || header.kind != RouteType::Unicast {
        return None;
    }
    let (mut address, mut gateway, mut link) = (family.anywhere().addr(), None, None);
    let (mut table, mut metric) = (u32::from(header.table), 0);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(shown) => address = decode(shown)?,
            RouteAttribute::Gateway(shown) => gateway = Some(decode(shown)?),
            RouteAttribute::Oif(index) => link = Some(*index),
            RouteAttribute::Table(number) => table = *number,
            RouteAttribute::Priority(number) => metric = *number,
            _ => {}
        }
    }
    let route = Route {
        table,
        destination: IpNet::new(address, header.destination_prefix_length).ok()?,
        gateway,
        link: link?,
        onlink: header.flags.contains(RouteFlags::Onlink),
        scope: header.scope.into(),
    };
    Some(Shown {
        route,
        protocol: header.protocol.into(),
        metric,
    })
}

fn encode(ip: IpAddr) -> RouteAddress {
    match ip {
        IpAddr::V4(ip) => RouteAddress::Inet(ip),
        IpAddr::V6(ip) => RouteAddress::Inet6(ip),
    }
}

fn decode(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(ip) => Some(IpAddr::V4(*ip)),
        RouteAddress::Inet6(ip) => Some(IpAddr::V6(*ip)),
        _ => None,
    }
}

/// A header has room for table numbers up to 255. A larger number is in an attribute only.
pub fn compact_table(table: u32) -> u8 {
    u8::try_from(table).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(route: &Route) -> Option<Shown> {
        parse(&message(route), Family::of(route.destination.addr()))
    }

    #[test]
    fn a_route_is_read_as_it_was_written_in_either_family() {
        for (to, gateway) in [("10.0.16.7/32", "10.0.0.253"), ("fd00::7/128", "fd00::fd")] {
            let (to, gateway): (IpNet, IpAddr) = (to.parse().unwrap(), gateway.parse().unwrap());
            let anywhere = Family::of(gateway).anywhere();
            for route in [
                Route::direct(254, to, 11),
                Route::via(1003, anywhere, gateway, 3),
                Route::via(1003, to, gateway, 3),
            ] {
                let shown = shown(&route).unwrap();
                assert_eq!((shown.route, shown.protocol), (route, ownership::PROTOCOL));
            }
        }
    }

    #[test]
    fn what_another_dump_would_show_is_left_out() {
        let route = Route::direct(254, "10.0.16.7/32".parse().unwrap(), 11);
        assert!(parse(&message(&route), Family::V6).is_none(), "another family");
        let mut multicast = message(&route);
        multicast.header.kind = RouteType::Multicast;
        assert!(parse(&multicast, Family::V4).is_none());
    }
}
