//! ARP for IPv4 over Ethernet.

use std::net::Ipv4Addr;

use super::{be16, ethernet::Mac};

/// Length of an ARP body for IPv4 over Ethernet, in bytes.
const LENGTH: usize = 28;
const REQUEST: u16 = 1;
const REPLY: u16 = 2;
/// Hardware type Ethernet, protocol IPv4, and the lengths of their addresses (RFC 826).
const PREAMBLE: [u8; 6] = [0, 1, 8, 0, 6, 4];

/// A request "who has `target`".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArpRequest {
    pub sender_mac: Mac,
    pub sender: Ipv4Addr,
    pub target: Ipv4Addr,
}

/// A parsed ARP body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arp {
    Request(ArpRequest),
    /// A reply. The gateway ignores replies, because it knows all addresses.
    Other,
}

impl Arp {
    /// Parses a body. Returns `None` when it is not ARP for IPv4 over Ethernet, or is too short.
    pub fn parse(body: &[u8]) -> Option<Self> {
        let body: &[u8; LENGTH] = body.first_chunk()?;
        if body[..6] != PREAMBLE {
            return None;
        }
        if be16(body, 6)? != REQUEST {
            return Some(Self::Other);
        }
        Some(Self::Request(ArpRequest {
            sender_mac: *body[8..].first_chunk()?,
            sender: Ipv4Addr::from(*body[14..].first_chunk::<4>()?),
            target: Ipv4Addr::from(*body[24..].first_chunk::<4>()?),
        }))
    }
}

impl ArpRequest {
    /// The body of the answer "`target` is at `mac`".
    pub fn answer(&self, mac: Mac) -> [u8; LENGTH] {
        write(REPLY, (mac, self.target), (self.sender_mac, self.sender))
    }
}

/// Writes an ARP body. The tests use it for requests.
pub(in crate::fabric) fn write(
    operation: u16,
    sender: (Mac, Ipv4Addr),
    target: (Mac, Ipv4Addr),
) -> [u8; LENGTH] {
    let mut body = [0; LENGTH];
    body[..6].copy_from_slice(&PREAMBLE);
    body[6..8].copy_from_slice(&operation.to_be_bytes());
    body[8..14].copy_from_slice(&sender.0);
    body[14..18].copy_from_slice(&sender.1.octets());
    body[18..24].copy_from_slice(&target.0);
    body[24..28].copy_from_slice(&target.1.octets());
    body
}
