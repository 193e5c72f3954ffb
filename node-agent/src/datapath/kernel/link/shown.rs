//! A link as the kernel shows it.
//!
//! The eight attributes that count are read here and not by `netlink-packet-route` (0.34): the library fails on a whole
//! message when a name or an alias is not UTF-8, and anybody may give a link of theirs such a name. One of them would
//! stop every ADD and DEL of the node.

use netlink_packet_core::{NlaBuffer, NlasIterator};
use nix::libc;
use terway_node_core::link::{Link, LinkKind};

use super::super::netlink::Raw;

/// Bytes of `struct ifinfomsg` (linux/rtnetlink.h), and offsets of two of its fields.
const HEADER: usize = 16;
const INDEX: usize = 4;
const FLAGS: usize = 8;

/// The link that a message shows; `None` for a message about something else.
pub fn parse(message: &Raw) -> Option<Link> {
    if message.header.message_type != libc::RTM_NEWLINK {
        return None;
    }
    let flags = number(message.body.get(FLAGS..)?)?;
    let has = |flag: libc::c_int| flags & flag.cast_unsigned() != 0;
    let mut link = Link {
        index: number(message.body.get(INDEX..)?)?,
        name: String::new(),
        mac: None,
        kind: LinkKind::Device,
        up: has(libc::IFF_UP),
        loopback: has(libc::IFF_LOOPBACK),
        mtu: 0,
        alias: None,
        peer: None,
        peer_elsewhere: false,
        group: 0,
    };
    for attribute in attributes(message.body.get(HEADER..)?) {
        let value = attribute.value();
        match attribute.kind() {
            libc::IFLA_IFNAME => link.name = text(value),
            libc::IFLA_ADDRESS => link.mac = value.try_into().ok(),
            libc::IFLA_MTU => link.mtu = number(value)?,
            libc::IFLA_IFALIAS => link.alias = Some(text(value)),
            libc::IFLA_LINK => link.peer = number(value),
            libc::IFLA_LINK_NETNSID => link.peer_elsewhere = true,
            libc::IFLA_GROUP => link.group = number(value)?,
            libc::IFLA_LINKINFO => link.kind = kind(value),
            _ => {}
        }
    }
    Some(link)
}

fn kind(info: &[u8]) -> LinkKind {
    let kind = attributes(info).find(|attribute| attribute.kind() == libc::IFLA_INFO_KIND);
    match kind.map(|kind| text(kind.value())).as_deref() {
        Some("veth") => LinkKind::Veth,
        Some("ipvlan") => LinkKind::IpVlan,
        Some("vlan" | "ipvtap" | "macvlan" | "macvtap" | "bridge") => LinkKind::Stacked,
        _ => LinkKind::Device,
    }
}

fn attributes(bytes: &[u8]) -> impl Iterator<Item = NlaBuffer<&[u8]>> {
    NlasIterator::new(bytes).map_while(Result::ok)
}

fn number(value: &[u8]) -> Option<u32> {
    value.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

/// The text before the closing zero.
fn text(value: &[u8]) -> String {
    let text = value.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

#[cfg(test)]
mod tests {
    use netlink_packet_core::{Emitable as _, NetlinkHeader};
    use netlink_packet_route::link::{InfoKind as Kind, LinkAttribute, LinkInfo, LinkMessage};
    use proptest::prelude::*;
    use terway_node_core::link::Links;

    use super::*;

    fn raw(body: Vec<u8>) -> Raw {
        let mut header = NetlinkHeader::default();
        header.message_type = libc::RTM_NEWLINK;
        Raw { header, body }
    }

    fn shown(index: u32, attributes: Vec<LinkAttribute>) -> Raw {
        let mut message = LinkMessage::default();
        message.header.index = index;
        message.attributes = attributes;
        let mut body = vec![0; message.buffer_len()];
        message.emit(&mut body);
        raw(body)
    }

    fn of_kind(index: u32, kind: Option<Kind>) -> Option<Link> {
        let mut attributes = vec![LinkAttribute::Address(vec![2, 0, 0, 0, 0, 1])];
        let info = kind.map(|kind| LinkAttribute::LinkInfo(vec![LinkInfo::Kind(kind)]));
        attributes.extend(info);
        parse(&shown(index, attributes))
    }

    #[test]
    fn a_nic_is_found_among_the_links_that_share_its_mac() {
        let stacked = [
            Kind::MacVlan,
            Kind::MacVtap,
            Kind::Vlan,
            Kind::IpVlan,
            Kind::IpVtap,
            Kind::Veth,
            Kind::Bridge,
        ];
        // A real NIC has no kind. The simulator's NICs are TAPs.
        for nic in [None, Some(Kind::Tun)] {
            let all = stacked.iter().cloned().map(Some).chain([nic]);
            let links = Links(
                all.zip(1..)
                    .filter_map(|(kind, index)| of_kind(index, kind))
                    .collect(),
            );
            assert_eq!(links.nic([2, 0, 0, 0, 0, 1]).map(|l| l.index), Some(8));
        }
    }

    #[test]
    fn what_the_library_writes_is_read() {
        let link = parse(&shown(
            7,
            vec![
                LinkAttribute::IfName("cali1".into()),
                LinkAttribute::Mtu(1400),
                LinkAttribute::IfAlias("terway/u/c/eth0/eth0".into()),
                LinkAttribute::Link(2),
                LinkAttribute::Group(9),
            ],
        ));
        let link = link.unwrap();
        assert_eq!((link.index, link.name.as_str(), link.mtu), (7, "cali1", 1400));
        assert_eq!(link.alias.as_deref(), Some("terway/u/c/eth0/eth0"));
        assert_eq!((link.peer, link.peer_elsewhere, link.group), (Some(2), false, 9));
        assert!(!link.up && !link.loopback);
    }

    #[test]
    fn a_name_and_an_alias_that_are_no_text_hide_nothing_else() {
        let mut message = shown(7, vec![LinkAttribute::Mtu(1400)]);
        for kind in [libc::IFLA_IFNAME, libc::IFLA_IFALIAS] {
            message
                .body
                .extend([7_u16.to_ne_bytes(), kind.to_ne_bytes()].concat());
            message.body.extend([b'a', 0xff, 0, 0]);
        }
        let link = parse(&message).unwrap();
        assert_eq!((link.name.as_str(), link.mtu), ("a\u{fffd}", 1400));
        assert_eq!(link.alias.as_deref(), Some("a\u{fffd}"));
        assert!(!link.has_plain_name());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(body in proptest::collection::vec(any::<u8>(), 0..160)) {
            let _ = parse(&raw(body));
        }
    }
}
