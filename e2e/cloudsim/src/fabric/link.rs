//! One netlink request that moves a link into a namespace, names it and sets its MAC.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd},
};

use netlink_packet_core::{NLM_F_ACK, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{LinkAttribute, LinkMessage},
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

use super::wire::ethernet::Mac;

/// Number of frames that the kernel queues while the switching thread is busy or not scheduled. The default of 500
/// (`TUN_READQ_SIZE` in the kernel's include/uapi/linux/if_tun.h) loses bursts of UDP on a machine with few cores.
const QUEUE: u32 = 2000;

/// Moves the link into `netns` and names it `name`. The kernel replaces `%d` in the name by the next free number.
pub fn place(index: u32, netns: BorrowedFd<'_>, name: &str, mac: Mac) -> io::Result<()> {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.attributes = vec![
        LinkAttribute::NetNsFd(netns.as_raw_fd()),
        LinkAttribute::IfName(name.to_owned()),
        LinkAttribute::Address(mac.to_vec()),
        LinkAttribute::TxQueueLen(QUEUE),
    ];
    request(RouteNetlinkMessage::SetLink(message))
}

fn request(message: RouteNetlinkMessage) -> io::Result<()> {
    let mut request = NetlinkMessage::from(message);
    request.header.flags = NLM_F_REQUEST | NLM_F_ACK;
    request.finalize();
    let mut bytes = vec![0; request.buffer_len()];
    request.serialize(&mut bytes);

    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    socket.send(&bytes, 0)?;
    let (answer, _) = socket.recv_from_full()?;
    let answer = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&answer).map_err(io::Error::other)?;
    match answer.payload {
        NetlinkPayload::Error(error) if error.code.is_none() => Ok(()),
        NetlinkPayload::Error(error) => Err(error.to_io()),
        other => Err(io::Error::other(format!(
            "netlink answered with {other:?} instead of an acknowledgement"
        ))),
    }
}
