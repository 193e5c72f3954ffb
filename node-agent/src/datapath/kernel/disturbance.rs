//! Hears when somebody else changes what the datapath has made: the object is repaired at once, and not at the next
//! regular comparison.
//!
//! Deletions, replacements and links that go down count, unless this agent's own socket has asked for them. Which
//! object was changed does not matter here: the reconciliation that follows compares everything.

use std::io;

use netlink_packet_core::NlasIterator;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::libc;
use tokio::io::unix::AsyncFd;

use super::netlink::NetlinkError;

/// Links, filters, of both families addresses, routes and rules, and settings of IPv4 (`enum rtnetlink_groups`,
/// linux/rtnetlink.h).
const GROUPS: [u32; 9] = [
    1,  // RTNLGRP_LINK
    4,  // RTNLGRP_TC
    5,  // RTNLGRP_IPV4_IFADDR
    7,  // RTNLGRP_IPV4_ROUTE
    8,  // RTNLGRP_IPV4_RULE
    9,  // RTNLGRP_IPV6_IFADDR
    11, // RTNLGRP_IPV6_ROUTE
    19, // RTNLGRP_IPV6_RULE
    24, // RTNLGRP_IPV4_NETCONF
];
/// `RTPROT_KERNEL` and `RTPROT_RA` (linux/rtnetlink.h): routes of addresses, and of router advertisements.
const RTPROT_KERNEL: u8 = 2;
const RTPROT_RA: u8 = 9;
/// `RTM_NEWNETCONF` (linux/rtnetlink.h), the bytes of `struct netconfmsg` with their padding, and two of its attributes
/// (linux/netconf.h).
const RTM_NEWNETCONF: u16 = 80;
const NETCONF_HEADER: usize = 4;
const NETCONF_FORWARDING: u16 = 2;
const NETCONF_RP_FILTER: u16 = 3;
/// The largest datagram of notifications is smaller than this.
const BUFFER: usize = 16 * 1024;
const HEADER: usize = 16;
/// Offset of a link's flags: behind family, padding, type and index (`struct ifinfomsg`).
const LINK_FLAGS: usize = HEADER + 8;

/// Opens a socket that receives the changes of the calling thread's network namespace.
pub fn open() -> Result<Socket, NetlinkError> {
    let mut socket = Socket::new(NETLINK_ROUTE).map_err(NetlinkError::Open)?;
    socket.bind_auto().map_err(NetlinkError::Open)?;
    for group in GROUPS {
        socket.add_membership(group).map_err(NetlinkError::Open)?;
    }
    socket.set_non_blocking(true).map_err(NetlinkError::Open)?;
    Ok(socket)
}

/// The changes of one namespace.
#[derive(Debug)]
pub struct Disturbances {
    socket: AsyncFd<Socket>,
    /// Port of the agent's own socket, whose changes do not count.
    own: u32,
}

impl Disturbances {
    /// Listens on a socket of [`open`].
    #[allow(unsafe_code, reason = "tokio asks for a promise about the descriptor")]
    pub fn new(socket: Socket, own: u32) -> io::Result<Self> {
        // SAFETY: the socket owns its descriptor, and nobody here closes or replaces it.
        let socket = unsafe { AsyncFd::register(socket)? };
        Ok(Self { socket, own })
    }

    /// Completes when an object may have been changed. Cancel-safe: unread notifications stay in the socket.
    pub async fn next(&self) -> io::Result<()> {
        let mut buffer = Vec::with_capacity(BUFFER);
        loop {
            let mut ready = self.socket.readable().await?;
            let disturbed = ready.try_io(|socket| drain(socket.get_ref(), self.own, &mut buffer));
            match disturbed {
                Ok(Ok(true)) => return Ok(()),
                Ok(Ok(false)) | Err(_) => {}
                Ok(Err(error)) => return Err(error),
            }
        }
    }
}

/// Reads all notices that have arrived; tells whether one of them counts.
fn drain(socket: &Socket, own: u32, buffer: &mut Vec<u8>) -> io::Result<bool> {
    let mut disturbed = false;
    loop {
        buffer.clear();
        match socket.recv_from(buffer, libc::MSG_DONTWAIT) {
            Ok((_, SocketAddr { .. })) => disturbed |= counts(buffer, own),
            // The socket's buffer has overflowed. The lost notifications may contain one that counts.
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => disturbed = true,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && disturbed => return Ok(true),
            Err(error) => return Err(error),
        }
    }
}

/// Whether a datagram contains a change that counts.
fn counts(mut rest: &[u8], own: u32) -> bool {
    while let Some(header) = rest.first_chunk::<HEADER>() {
        let [l0, l1, l2, l3, k0, k1, .., p0, p1, p2, p3] = *header;
        let length = u32::from_ne_bytes([l0, l1, l2, l3]) as usize;
        let kind = u16::from_ne_bytes([k0, k1]);
        if u32::from_ne_bytes([p0, p1, p2, p3]) != own && spoils(kind, rest) {
            return true;
        }
        rest = rest
            .get(length.max(HEADER).next_multiple_of(4)..)
            .unwrap_or_default();
    }
    false
}

fn spoils(kind: u16, message: &[u8]) -> bool {
    match kind {
        _ if is_autoconfigured(kind, message) => false,
        libc::RTM_DELLINK
        | libc::RTM_DELADDR
        | libc::RTM_DELROUTE
        | libc::RTM_DELRULE
        | libc::RTM_DELQDISC
        | libc::RTM_DELTFILTER
        // The new route or rule may have replaced one of ours, or may come before it. The new address may be a pod's.
        | libc::RTM_NEWADDR
        | libc::RTM_NEWROUTE
        | libc::RTM_NEWRULE => true,
        // The message may be about a new NIC, or about a link that somebody has taken down.
        libc::RTM_NEWLINK => {
            let flags = message.get(LINK_FLAGS..).and_then(|rest| rest.first_chunk::<4>());
            flags.is_some_and(|flags| u32::from_ne_bytes(*flags) & libc::IFF_UP.cast_unsigned() == 0)
        }
        RTM_NEWNETCONF => is_spoiling_setting(message),
        _ => false,
    }
}

/// Whether a notice about settings says that packets are not forwarded or that ways back are checked. The kernel tells
/// of the agent's own changes too, under nobody's name; those say the opposite.
fn is_spoiling_setting(message: &[u8]) -> bool {
    let attributes = message.get(HEADER + NETCONF_HEADER..).unwrap_or_default();
    let mut attributes = NlasIterator::new(attributes).map_while(Result::ok);
    attributes.any(|attribute| {
        let value = attribute
            .value()
            .first_chunk()
            .map(|bytes| i32::from_ne_bytes(*bytes));
        match attribute.kind() {
            NETCONF_FORWARDING => value == Some(0),
            NETCONF_RP_FILTER => value.is_some_and(|value| value != 0),
            _ => false,
        }
    })
}

/// Whether the kernel tells of its own IPv6 addresses and routes. They come and go with every link that comes up and
/// goes down, and nothing of ours stands on them.
fn is_autoconfigured(kind: u16, message: &[u8]) -> bool {
    let Some([family, _, _, scope, _, protocol]) = message.get(HEADER..).and_then(|rest| rest.first_chunk())
    else {
        return false;
    };
    // `struct rtmsg` and `struct ifaddrmsg` both begin with the family.
    if i32::from(*family) != libc::AF_INET6 {
        return false;
    }
    match kind {
        libc::RTM_NEWROUTE | libc::RTM_DELROUTE => [RTPROT_KERNEL, RTPROT_RA].contains(protocol),
        libc::RTM_NEWADDR | libc::RTM_DELADDR => *scope == libc::RT_SCOPE_LINK,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, port: u32, flags: u32) -> Vec<u8> {
        let mut bytes = 32u32.to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([0; 6]);
        bytes.extend(port.to_ne_bytes());
        bytes.extend([0; 8]);
        bytes.extend(flags.to_ne_bytes());
        bytes.extend([0; 4]);
        bytes
    }

    #[test]
    fn deletions_of_others_count_and_ones_own_do_not() {
        assert!(counts(&message(libc::RTM_DELRULE, 0, 0), 7));
        assert!(!counts(&message(libc::RTM_DELRULE, 7, 0), 7));
        assert!(!counts(&message(libc::RTM_NEWNEIGH, 0, 0), 7));
        let both = [
            message(libc::RTM_NEWNEIGH, 0, 0),
            message(libc::RTM_DELROUTE, 0, 0),
        ]
        .concat();
        assert!(counts(&both, 7));
    }

    #[test]
    fn links_count_when_they_are_down() {
        assert!(counts(&message(libc::RTM_NEWLINK, 0, 0), 7));
        assert!(!counts(&message(libc::RTM_NEWLINK, 0, 1), 7));
    }

    #[test]
    fn what_is_cut_short_does_not_count() {
        assert!(!counts(&[1, 2, 3], 7));
        assert!(!counts(&[0; 16], 7));
    }

    /// A message about an IPv6 object, from somebody else.
    fn ipv6(kind: u16, scope: u8, protocol: u8) -> Vec<u8> {
        let mut bytes = message(kind, 0, 0);
        bytes[HEADER..HEADER + 6].copy_from_slice(&[10, 64, 0, scope, 0, protocol]);
        bytes
    }

    #[test]
    fn both_families_count_and_the_kernels_own_addresses_do_not() {
        const STATIC: u8 = 4;
        const GLOBAL: u8 = 0;
        assert!(counts(&ipv6(libc::RTM_DELROUTE, GLOBAL, STATIC), 7));
        assert!(counts(&ipv6(libc::RTM_NEWROUTE, GLOBAL, STATIC), 7));
        assert!(counts(&ipv6(libc::RTM_DELADDR, GLOBAL, 0), 7));
        assert!(counts(&ipv6(libc::RTM_DELRULE, GLOBAL, RTPROT_KERNEL), 7));
        // A link that comes up gets its link-local address, and loses it again.
        assert!(!counts(&ipv6(libc::RTM_NEWROUTE, GLOBAL, RTPROT_KERNEL), 7));
        assert!(!counts(&ipv6(libc::RTM_DELROUTE, GLOBAL, RTPROT_KERNEL), 7));
        assert!(!counts(&ipv6(libc::RTM_DELROUTE, GLOBAL, RTPROT_RA), 7));
        assert!(!counts(&ipv6(libc::RTM_DELADDR, libc::RT_SCOPE_LINK, 0), 7));
        assert!(!counts(&ipv6(libc::RTM_NEWADDR, libc::RT_SCOPE_LINK, 0), 7));
        assert!(counts(&ipv6(libc::RTM_NEWADDR, GLOBAL, 0), 7));
    }

    #[test]
    fn settings_count_when_they_stop_packets() {
        let told = |setting: u16, value: i32| {
            let mut bytes = 32_u32.to_ne_bytes().to_vec();
            bytes.extend(RTM_NEWNETCONF.to_ne_bytes());
            bytes.extend([0; 10]);
            bytes.extend([2, 0, 0, 0]);
            bytes.extend([8_u16.to_ne_bytes(), setting.to_ne_bytes()].concat());
            bytes.extend(value.to_ne_bytes());
            bytes.extend([0; 4]);
            counts(&bytes, 7)
        };
        assert!(told(NETCONF_FORWARDING, 0) && told(NETCONF_RP_FILTER, 1) && told(NETCONF_RP_FILTER, 2));
        assert!(!told(NETCONF_FORWARDING, 1) && !told(NETCONF_RP_FILTER, 0));
        assert!(!told(1, 0), "the index of the interface");
    }
}
