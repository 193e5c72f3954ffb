//! Reads links, and makes, changes and deletes them.

pub(super) mod shown;

use std::os::fd::{AsRawFd as _, BorrowedFd};

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo, LinkMessage},
};

use terway_node_core::{
    interface::Sandbox,
    link::{Link, Links},
    object::{Driver, LinkIndex, LinkSetting},
    observed::{Ask, Observed},
    ownership,
};

use super::{
    error::{ObserveError, StepError},
    namespace::Namespace,
    netlink::{Netlink, NetlinkError},
};

impl Driver<LinkIndex> for Namespace<'_> {
    fn observe(&mut self, ask: &Ask<'_>, seen: &mut Observed) -> Result<(), ObserveError> {
        for link in &ask.links.0 {
            let (up, mtu) = (link.up, link.mtu);
            seen.state.put(LinkIndex(link.index), LinkSetting { up, mtu });
        }
        Ok(())
    }

    fn put(&mut self, link: &LinkIndex, setting: &LinkSetting) -> Result<(), StepError> {
        let mtu = LinkAttribute::Mtu(setting.mtu);
        set(self.netlink, "set a link's MTU", link.0, mtu)?;
        set_up(self.netlink, link.0)?;
        Ok(())
    }

    /// A link always has settings.
    fn remove(&mut self, _: &LinkIndex) -> Result<(), StepError> {
        Ok(())
    }
}

/// Reads all links of the namespace.
pub fn read(netlink: &mut Netlink) -> Result<Links, NetlinkError> {
    let act = "list links";
    let all = netlink.dump_raw(act, RouteNetlinkMessage::GetLink(LinkMessage::default()))?;
    Ok(Links(all.iter().filter_map(shown::parse).collect()))
}

/// Reads the link of this name, if there is one.
pub fn read_one(netlink: &mut Netlink, name: &str) -> Result<Option<Link>, NetlinkError> {
    let mut message = LinkMessage::default();
    message.attributes.push(LinkAttribute::IfName(name.to_owned()));
    let found = netlink.get_raw("look for a link", RouteNetlinkMessage::GetLink(message))?;
    Ok(found.iter().find_map(shown::parse))
}

/// Makes a pair with one end here, under a temporary name, and the other in the pod's namespace, under its own name. An
/// ADD that was cut short is recognised by the temporary name, and the pod's end goes with the host's.
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
