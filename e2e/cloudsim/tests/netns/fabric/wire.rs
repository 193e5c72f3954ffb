//! Frames byte by byte, and a packet socket that sends and receives them like the driver of a NIC.

use std::{
    io,
    net::Ipv4Addr,
    os::fd::{AsRawFd, OwnedFd},
    path::Path,
    time::Instant,
};

use nix::{
    libc,
    net::if_::if_nametoindex,
    sys::{
        socket::{
            AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrLike, bind, recv,
            send, setsockopt, socket, sockopt::ReceiveTimeout,
        },
        time::TimeVal,
    },
};

use super::lab::{Namespace, PATIENCE};

pub const GATEWAY: [u8; 6] = [0xee, 0xff, 0xff, 0xff, 0xff, 0xff];

/// Sends and receives whole frames on one NIC.
pub struct Wire {
    socket: OwnedFd,
}

impl Wire {
    pub fn open(namespace: &Namespace, ifname: &str) -> Self {
        let ifname = ifname.to_owned();
        let socket = namespace.run(move || {
            let socket = socket(
                AddressFamily::Packet,
                SockType::Raw,
                SockFlag::SOCK_CLOEXEC,
                SockProtocol::EthAll,
            )
            .unwrap();
            bind(
                socket.as_raw_fd(),
                &address_of(if_nametoindex(ifname.as_str()).unwrap()),
            )
            .unwrap();
            setsockopt(&socket, ReceiveTimeout, &TimeVal::new(0, 100_000)).unwrap();
            socket
        });
        Self { socket }
    }

    pub fn send(&self, frame: &[u8]) {
        assert_eq!(
            send(self.socket.as_raw_fd(), frame, MsgFlags::empty()).unwrap(),
            frame.len()
        );
    }

    /// Waits for a frame from the gateway that `wanted` accepts. The kernel has removed the tag by then; a capture
    /// shows it.
    pub fn hear(&self, what: &str, wanted: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        let deadline = Instant::now() + PATIENCE;
        let mut buffer = vec![0; 2048];
        while Instant::now() < deadline {
            let Ok(length) = recv(self.socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) else {
                continue;
            };
            let frame = &buffer[..length];
            if frame[6..12] == GATEWAY && wanted(frame) {
                return frame.to_vec();
            }
        }
        panic!("waited in vain: {what}");
    }
}

#[allow(unsafe_code, reason = "nix has no other constructor for link addresses")]
fn address_of(index: u32) -> LinkAddr {
    let raw = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: (libc::ETH_P_ALL as u16).to_be(),
        sll_ifindex: index as i32,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: the pointer leads to a whole sockaddr_ll of that length, which is copied.
    unsafe { LinkAddr::from_raw((&raw const raw).cast(), Some(length)) }.unwrap()
}

fn ethernet(source: [u8; 6], destination: [u8; 6], vlan: Option<u16>, ethertype: u16) -> Vec<u8> {
    let mut frame = [destination, source].concat();
    if let Some(vlan) = vlan {
        frame.extend([0x81, 0x00]);
        frame.extend(vlan.to_be_bytes());
    }
    frame.extend(ethertype.to_be_bytes());
    frame
}

/// "Who has `target`?"
pub fn arp_request(mac: [u8; 6], vlan: Option<u16>, sender: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    let mut frame = ethernet(mac, [0xff; 6], vlan, 0x0806);
    frame.extend([0, 1, 8, 0, 6, 4, 0, 1]);
    frame.extend(mac);
    frame.extend(sender.octets());
    frame.extend([0; 6]);
    frame.extend(target.octets());
    frame
}

/// A UDP datagram without a UDP checksum, sent to the gateway.
pub fn udp(
    mac: [u8; 6],
    vlan: Option<u16>,
    source: (Ipv4Addr, u16),
    destination: (Ipv4Addr, u16),
    body: &[u8],
) -> Vec<u8> {
    let mut packet = vec![0x45, 0];
    packet.extend((28 + body.len() as u16).to_be_bytes());
    packet.extend([0, 7, 0, 0, 64, 17, 0, 0]);
    packet.extend(source.0.octets());
    packet.extend(destination.0.octets());
    let sum: u32 = packet
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]))
        .sum::<u32>();
    let folded = (sum & 0xffff) + (sum >> 16);
    packet[10..12].copy_from_slice(&(!(folded as u16)).to_be_bytes());
    packet.extend(source.1.to_be_bytes());
    packet.extend(destination.1.to_be_bytes());
    packet.extend((8 + body.len() as u16).to_be_bytes());
    packet.extend([0, 0]);
    packet.extend(body);
    let mut frame = ethernet(mac, GATEWAY, vlan, 0x0800);
    frame.extend(packet);
    frame
}

/// The frames of a capture file.
pub fn read_capture(path: &Path) -> io::Result<Vec<Vec<u8>>> {
    let bytes = std::fs::read(path)?;
    let mut rest = bytes.get(24..).unwrap_or_default();
    let mut frames = Vec::new();
    while let Some((header, body)) = rest.split_at_checked(16) {
        let length = u32::from_ne_bytes(header[8..12].try_into().expect("four bytes")) as usize;
        let Some((frame, next)) = body.split_at_checked(length) else {
            break;
        };
        frames.push(frame.to_vec());
        rest = next;
    }
    Ok(frames)
}
