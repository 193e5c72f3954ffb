//! Frames for the unit tests. They are built field by field, so that a test can break any field.

use std::net::Ipv4Addr;

use super::wire::{
    arp, checksum,
    ethernet::{ETHERTYPE_ARP, ETHERTYPE_IPV4, GATEWAY_MAC, LinkHeader, Mac},
    ipv4::{ICMP, TCP, UDP},
};

/// The fields of an IPv4 packet.
#[derive(Debug, Clone)]
pub struct Packet {
    pub src: Ipv4Addr,
    pub dst: Ipv4Addr,
    pub protocol: u8,
    pub id: u16,
    pub more: bool,
    pub offset: u16,
    pub body: Vec<u8>,
}

impl Packet {
    fn new(src: [u8; 4], dst: [u8; 4], protocol: u8, body: Vec<u8>) -> Self {
        Self {
            src: src.into(),
            dst: dst.into(),
            protocol,
            id: 1,
            more: false,
            offset: 0,
            body,
        }
    }

    pub fn udp(src: ([u8; 4], u16), dst: ([u8; 4], u16)) -> Self {
        let body = [
            src.1.to_be_bytes(),
            dst.1.to_be_bytes(),
            12u16.to_be_bytes(),
            [0; 2],
        ]
        .concat();
        Self::new(src.0, dst.0, UDP, [body, b"data".to_vec()].concat())
    }

    pub fn tcp(src: ([u8; 4], u16), dst: ([u8; 4], u16), flags: u8) -> Self {
        let mut body = [src.1.to_be_bytes(), dst.1.to_be_bytes()].concat();
        body.resize(20, 0);
        body[12] = 5 << 4;
        body[13] = flags;
        Self::new(src.0, dst.0, TCP, body)
    }

    /// An echo request (8) or reply (0).
    pub fn echo(kind: u8, src: [u8; 4], dst: [u8; 4]) -> Self {
        let mut body = vec![kind, 0, 0, 0, 0x12, 0x34, 0, 1];
        let sum = checksum(&body);
        body[2..4].copy_from_slice(&sum.to_be_bytes());
        Self::new(src, dst, ICMP, body)
    }

    /// An ICMP error "port unreachable" about a packet.
    pub fn unreachable(src: [u8; 4], dst: [u8; 4], about: &Packet) -> Self {
        let quoted = about.bytes();
        let mut body = vec![3, 3, 0, 0, 0, 0, 0, 0];
        body.extend(&quoted[..28]);
        Self::new(src, dst, ICMP, body)
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0x45, 0];
        bytes.extend((20 + self.body.len() as u16).to_be_bytes());
        bytes.extend(self.id.to_be_bytes());
        bytes.extend((u16::from(self.more) << 13 | self.offset).to_be_bytes());
        bytes.extend([64, self.protocol, 0, 0]);
        bytes.extend(self.src.octets());
        bytes.extend(self.dst.octets());
        let sum = checksum(&bytes);
        bytes[10..12].copy_from_slice(&sum.to_be_bytes());
        bytes.extend(&self.body);
        bytes
    }

    /// A frame with this packet, addressed to the gateway.
    pub fn from(&self, mac: Mac, vlan: Option<u16>) -> Vec<u8> {
        framed(GATEWAY_MAC, mac, vlan, ETHERTYPE_IPV4, &self.bytes())
    }
}

pub fn framed(dst: Mac, src: Mac, vlan: Option<u16>, ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [LinkHeader::new(dst, src, vlan, ethertype).as_bytes(), payload].concat()
}

/// A broadcast "who has `target`".
pub fn arp_request(mac: Mac, vlan: Option<u16>, sender: [u8; 4], target: [u8; 4]) -> Vec<u8> {
    let body = arp::write(1, (mac, sender.into()), ([0; 6], target.into()));
    framed([0xff; 6], mac, vlan, ETHERTYPE_ARP, &body)
}
