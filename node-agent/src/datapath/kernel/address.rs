//! Addresses of links.

use ipnet::IpNet;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::{
    RouteNetlinkMessage,
    address::{AddressAttribute, AddressMessage},
};
use terway_address::Family;
use terway_node_core::{
    object::{Address, Driver},
    observed::{Ask, Observed},
};

use super::{
    error::{ObserveError, StepError},
    namespace::{Namespace, family_number},
    repeat::{absent, present},
};

impl Driver<Address> for Namespace<'_> {
    fn observe(&mut self, ask: &Ask<'_>, seen: &mut Observed) -> Result<(), ObserveError> {
        for family in ask.families() {
            let mut all = AddressMessage::default();
            all.header.family = family_number(*family);
            for reply in self
                .netlink
                .dump("list addresses", RouteNetlinkMessage::GetAddress(all))?
            {
                if let RouteNetlinkMessage::NewAddress(m) = reply
                    && let Some(address) = parse(&m)
                {
                    seen.state.put(address, ());
                }
            }
        }
        Ok(())
    }

    fn put(&mut self, address: &Address, (): &()) -> Result<(), StepError> {
        let new = RouteNetlinkMessage::NewAddress(message(address));
        present(
            self.netlink
                .change("add an address", new, NLM_F_CREATE | NLM_F_EXCL),
        )?;
        Ok(())
    }

    fn remove(&mut self, address: &Address) -> Result<(), StepError> {
        let old = RouteNetlinkMessage::DelAddress(message(address));
        absent(self.netlink.change("remove an address", old, 0))?;
        Ok(())
    }
}

fn message(address: &Address) -> AddressMessage {
    let mut message = AddressMessage::default();
    let ip = address.net.addr();
    message.header.family = family_number(Family::of(ip));
    message.header.prefix_len = address.net.prefix_len();
    message.header.index = address.link;
    message.attributes = vec![AddressAttribute::Local(ip), AddressAttribute::Address(ip)];
    message
}

pub(super) fn parse(message: &AddressMessage) -> Option<Address> {
    let find =
        |fits: fn(&AddressAttribute) -> Option<std::net::IpAddr>| message.attributes.iter().find_map(fits);
    let local = find(|a| match a {
        AddressAttribute::Local(ip) => Some(*ip),
        _ => None,
    });
    // The kernel shows IPv6 addresses without a peer as IFA_ADDRESS alone (`net/ipv6/addrconf.c`, inet6_fill_ifaddr).
    let shown = find(|a| match a {
        AddressAttribute::Address(ip) => Some(*ip),
        _ => None,
    });
    Some(Address {
        link: message.header.index,
        net: IpNet::new(local.or(shown)?, message.header.prefix_len).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_it_was_written_in_either_family() {
        for net in ["10.0.16.7/32", "fd00::7/64"] {
            let net = net.parse().unwrap();
            let address = Address { link: 2, net };
            assert_eq!(parse(&message(&address)), Some(address));
        }
    }

    #[test]
    fn an_ipv6_address_is_shown_without_a_local_part() {
        let net: IpNet = "fd00::7/64".parse().unwrap();
        let address = Address { link: 2, net };
        let mut shown = message(&address);
        shown.attributes = vec![AddressAttribute::Address(net.addr())];
        assert_eq!(parse(&shown), Some(address));
    }
}
