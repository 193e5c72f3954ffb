//! Permanent neighbours.

use std::net::IpAddr;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_REPLACE};
use netlink_packet_route::{
    RouteNetlinkMessage,
    neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState},
    route::RouteType,
};
use terway_address::Family;
use terway_node_core::{
    object::{Driver, Neighbour},
    observed::{Ask, Observed},
};

use super::{
    error::{ObserveError, StepError},
    namespace::{Namespace, family_number},
    repeat::absent,
};

impl Driver<Neighbour> for Namespace<'_> {
    fn observe(&mut self, ask: &Ask<'_>, seen: &mut Observed) -> Result<(), ObserveError> {
        for family in ask.families() {
            let mut all = NeighbourMessage::default();
            all.header.family = family_number(*family);
            for reply in self
                .netlink
                .dump("list neighbours", RouteNetlinkMessage::GetNeighbour(all))?
            {
                if let RouteNetlinkMessage::NewNeighbour(m) = reply
                    && let Some((neighbour, mac)) = parse(&m)
                {
                    seen.state.put(neighbour, mac);
                }
            }
        }
        Ok(())
    }

    fn put(&mut self, neighbour: &Neighbour, mac: &[u8; 6]) -> Result<(), StepError> {
        let mut new = message(neighbour);
        new.header.state = NeighbourState::Permanent;
        new.attributes
            .push(NeighbourAttribute::LinkLayerAddress(mac.to_vec()));
        let new = RouteNetlinkMessage::NewNeighbour(new);
        self.netlink
            .change("set a neighbour", new, NLM_F_CREATE | NLM_F_REPLACE)?;
        Ok(())
    }

    fn remove(&mut self, neighbour: &Neighbour) -> Result<(), StepError> {
        let old = RouteNetlinkMessage::DelNeighbour(message(neighbour));
        absent(self.netlink.change("remove a neighbour", old, 0))?;
        Ok(())
    }
}

fn message(neighbour: &Neighbour) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = family_number(Family::of(neighbour.ip));
    message.header.ifindex = neighbour.link;
    message.header.kind = RouteType::Unicast;
    message.attributes = vec![NeighbourAttribute::Destination(match neighbour.ip {
        IpAddr::V4(ip) => NeighbourAddress::Inet(ip),
        IpAddr::V6(ip) => NeighbourAddress::Inet6(ip),
    })];
    message
}

/// A permanent neighbour.
pub(super) fn parse(message: &NeighbourMessage) -> Option<(Neighbour, [u8; 6])> {
    if message.header.state != NeighbourState::Permanent {
        return None;
    }
    let (mut ip, mut mac) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(shown)) => ip = Some(IpAddr::V4(*shown)),
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(shown)) => ip = Some(IpAddr::V6(*shown)),
            NeighbourAttribute::LinkLayerAddress(bytes) => mac = bytes.as_slice().try_into().ok(),
            _ => {}
        }
    }
    let (link, ip) = (message.header.ifindex, ip?);
    Some((Neighbour { link, ip }, mac?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permanent_neighbours_are_read_in_either_family() {
        for ip in ["169.254.1.1", "fe80::1"] {
            let ip = ip.parse().unwrap();
            let neighbour = Neighbour { link: 2, ip };
            let mut shown = message(&neighbour);
            let mac = NeighbourAttribute::LinkLayerAddress(vec![2, 0, 0, 0, 0, 1]);
            shown.attributes.push(mac);
            assert_eq!(parse(&shown), None, "a neighbour that the kernel has learnt");
            shown.header.state = NeighbourState::Permanent;
            assert_eq!(parse(&shown), Some((neighbour, [2, 0, 0, 0, 0, 1])));
        }
    }
}
