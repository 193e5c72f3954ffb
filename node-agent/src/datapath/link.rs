//! Links: what there is, and the few verbs the datapath needs on them.

use std::os::fd::{AsRawFd as _, BorrowedFd};

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo, LinkMessage},
};

use super::{
    Sandbox,
    netlink::{Netlink, NetlinkError},
    ownership,
};

/// A link as the kernel shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub index: u32,
    pub name: String,
    pub mac: Option<[u8; 6]>,
    /// `None` for real devices.
    pub kind: Option<InfoKind>,
    pub up: bool,
    pub loopback: bool,
    /// Bytes.
    pub mtu: u32,
    pub alias: Option<String>,
    /// The other end of a veth, by its index in its own namespace.
    pub peer: Option<u32>,
    /// Number of the group it is in; 0 unless somebody has said otherwise.
    pub group: u32,
}

impl Link {
    /// The sandbox this link is the host end of, if it is one of ours.
    pub fn owner(&self) -> Option<Sandbox> {
        if !self.is_veth() {
            return None;
        }
        ownership::owner_of(&self.name, self.alias.as_deref())
    }

    pub fn is_veth(&self) -> bool {
        self.kind == Some(InfoKind::Veth)
    }

    /// Whether upstream's IPvlan datapath has made it as the host's own end of an ENI.
    pub fn is_upstreams_slave(&self) -> bool {
        self.kind == Some(InfoKind::IpVlan) && ownership::is_upstreams_slave(&self.name)
    }

    /// Whether this can be an ENI: links stacked on an ENI have its MAC too.
    pub fn can_be_nic(&self) -> bool {
        !self.loopback
            && !matches!(
                self.kind,
                Some(
                    InfoKind::Veth
                        | InfoKind::Vlan
                        | InfoKind::IpVlan
                        | InfoKind::IpVtap
                        | InfoKind::MacVlan
                        | InfoKind::MacVtap
                        | InfoKind::Bridge
                )
            )
    }
}

/// All links of one namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Links(pub Vec<Link>);

impl Links {
    /// Reads them.
    pub fn read(netlink: &mut Netlink) -> Result<Self, NetlinkError> {
        let act = "list links";
        let all = netlink.dump(act, RouteNetlinkMessage::GetLink(LinkMessage::default()))?;
        Ok(Self(all.into_iter().filter_map(parse).collect()))
    }

    /// Reads one, or tells that there is none of this name.
    pub fn read_one(netlink: &mut Netlink, name: &str) -> Result<Option<Link>, NetlinkError> {
        let mut message = LinkMessage::default();
        message.attributes.push(LinkAttribute::IfName(name.to_owned()));
        let found = netlink.get("look for a link", RouteNetlinkMessage::GetLink(message))?;
        Ok(found.into_iter().find_map(parse))
    }

    pub fn named(&self, name: &str) -> Option<&Link> {
        self.0.iter().find(|l| l.name == name)
    }

    pub fn indexed(&self, index: u32) -> Option<&Link> {
        self.0.iter().find(|l| l.index == index)
    }

    /// The NIC with this MAC.
    pub fn nic(&self, mac: [u8; 6]) -> Option<&Link> {
        self.0.iter().find(|l| l.can_be_nic() && l.mac == Some(mac))
    }

    /// The host veth of a sandbox. Container and interface identify it: the pod's UID is
    /// not always known when it goes.
    pub fn of(&self, sandbox: &Sandbox) -> Option<&Link> {
        self.0
            .iter()
            .find(|l| l.owner().is_some_and(|o| o.same_as(sandbox)))
    }

    /// Our host veths with their sandboxes.
    pub fn owned(&self) -> impl Iterator<Item = (&Link, Sandbox)> {
        self.0.iter().filter_map(|l| Some((l, l.owner()?)))
    }
}

fn parse(message: RouteNetlinkMessage) -> Option<Link> {
    let RouteNetlinkMessage::NewLink(message) = message else {
        return None;
    };
    let flags = message.header.flags;
    let mut link = Link {
        index: message.header.index,
        name: String::new(),
        mac: None,
        kind: None,
        up: flags.contains(LinkFlags::Up),
        loopback: flags.contains(LinkFlags::Loopback),
        mtu: 0,
        alias: None,
        peer: None,
        group: 0,
    };
    for attribute in message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name = name,
            LinkAttribute::Address(bytes) => link.mac = bytes.try_into().ok(),
            LinkAttribute::Mtu(mtu) => link.mtu = mtu,
            LinkAttribute::IfAlias(alias) => link.alias = Some(alias),
            LinkAttribute::Link(peer) => link.peer = Some(peer),
            LinkAttribute::Group(group) => link.group = group,
            LinkAttribute::LinkInfo(infos) => {
                link.kind = infos
                    .into_iter()
                    .find_map(|i| if let LinkInfo::Kind(k) = i { Some(k) } else { None });
            }
            _ => {}
        }
    }
    Some(link)
}

/// Makes a pair with one end here, under a temporary name, and the other in the pod's namespace, under its own: what
/// is half made is told by the name of the host's end, and goes with it.
pub fn create_veth(
    netlink: &mut Netlink,
    sandbox: &Sandbox,
    netns: BorrowedFd<'_>,
    mtu: u32,
) -> Result<(), NetlinkError> {
    let end = |name: String, mac: [u8; 6]| {
        let mut message = LinkMessage::default();
        message.attributes = vec![
            LinkAttribute::IfName(name),
            LinkAttribute::Address(mac.to_vec()),
            LinkAttribute::Mtu(mtu),
        ];
        message
    };
    let mut peer = end(sandbox.ifname.clone(), ownership::pod_mac(sandbox));
    peer.attributes.push(LinkAttribute::NetNsFd(netns.as_raw_fd()));
    let temporary = ownership::temporary_ifname(sandbox);
    let mut host = end(temporary, ownership::host_mac(sandbox));
    host.attributes.push(LinkAttribute::LinkInfo(vec![
        LinkInfo::Kind(InfoKind::Veth),
        LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(peer))),
    ]));
    netlink.change(
        "create the pod's veth pair",
        RouteNetlinkMessage::NewLink(host),
        NLM_F_CREATE | NLM_F_EXCL,
    )
}

/// Changes attributes of a link.
pub fn set(
    netlink: &mut Netlink,
    act: &'static str,
    index: u32,
    attribute: LinkAttribute,
) -> Result<(), NetlinkError> {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.attributes.push(attribute);
    netlink.change(act, RouteNetlinkMessage::SetLink(message), 0)
}

/// Brings a link up.
pub fn set_up(netlink: &mut Netlink, index: u32) -> Result<(), NetlinkError> {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.header.flags = LinkFlags::Up;
    message.header.change_mask = LinkFlags::Up;
    netlink.change("bring a link up", RouteNetlinkMessage::SetLink(message), 0)
}

/// Deletes a link.
pub fn delete(netlink: &mut Netlink, index: u32) -> Result<(), NetlinkError> {
    let mut message = LinkMessage::default();
    message.header.index = index;
    netlink.change("delete a link", RouteNetlinkMessage::DelLink(message), 0)
}

/// Deletes all links of a group.
pub fn delete_group(netlink: &mut Netlink, group: u32) -> Result<(), NetlinkError> {
    let mut message = LinkMessage::default();
    message.attributes.push(LinkAttribute::Group(group));
    netlink.change(
        "delete a group of links",
        RouteNetlinkMessage::DelLink(message),
        0,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(index: u32, kind: Option<InfoKind>) -> Link {
        Link {
            index,
            name: format!("l{index}"),
            mac: Some([2, 0, 0, 0, 0, 1]),
            kind,
            up: true,
            loopback: false,
            mtu: 1500,
            alias: None,
            peer: None,
            group: 0,
        }
    }

    #[test]
    fn a_nic_is_found_among_the_links_that_share_its_mac() {
        let stacked = [
            InfoKind::MacVlan,
            InfoKind::Vlan,
            InfoKind::IpVlan,
            InfoKind::Veth,
            InfoKind::Bridge,
        ];
        let mut all: Vec<Link> = stacked
            .into_iter()
            .zip(1..)
            .map(|(k, i)| link(i, Some(k)))
            .collect();
        all.push(link(9, None));
        assert_eq!(
            Links(all.clone()).nic([2, 0, 0, 0, 0, 1]).map(|l| l.index),
            Some(9)
        );
        all[5].kind = Some(InfoKind::Tun);
        assert_eq!(Links(all).nic([2, 0, 0, 0, 0, 1]).map(|l| l.index), Some(9));
    }
}
