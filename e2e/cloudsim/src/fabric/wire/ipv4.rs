//! IPv4 headers.

use std::net::Ipv4Addr;

use super::{be16, checksum};

pub const ICMP: u8 = 1;
pub const TCP: u8 = 6;
pub const UDP: u8 = 17;

/// A parsed packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ipv4<'f> {
    pub src: Ipv4Addr,
    pub dst: Ipv4Addr,
    pub protocol: u8,
    pub id: u16,
    /// Whether more fragments follow.
    pub more: bool,
    /// Offset of this fragment, in units of eight bytes.
    pub offset: u16,
    /// Header and payload without the padding of short frames.
    pub packet: &'f [u8],
    pub payload: &'f [u8],
}

impl<'f> Ipv4<'f> {
    /// Parses a packet. Returns `None` when lengths contradict each other or the header checksum is wrong.
    pub fn parse(bytes: &'f [u8]) -> Option<Self> {
        let header_length = Self::header_length(bytes)?;
        let packet = bytes.get(..usize::from(be16(bytes, 2)?))?;
        let (header, payload) = packet.split_at_checked(header_length)?;
        (checksum(header) == 0).then_some(())?;
        Self::fields(packet, payload)
    }

    /// Parses a packet that an ICMP error quotes. It may be cut short, and its checksum is not checked.
    pub fn parse_quoted(bytes: &'f [u8]) -> Option<Self> {
        let header_length = Self::header_length(bytes)?;
        let (_, payload) = bytes.split_at_checked(header_length)?;
        Self::fields(bytes, payload)
    }

    fn header_length(bytes: &[u8]) -> Option<usize> {
        let first = *bytes.first()?;
        let length = usize::from(first & 0x0f) * 4;
        (first >> 4 == 4 && length >= 20).then_some(length)
    }

    fn fields(packet: &'f [u8], payload: &'f [u8]) -> Option<Self> {
        let fragment = be16(packet, 6)?;
        Some(Self {
            src: Ipv4Addr::from(*packet.get(12..)?.first_chunk::<4>()?),
            dst: Ipv4Addr::from(*packet.get(16..)?.first_chunk::<4>()?),
            protocol: *packet.get(9)?,
            id: be16(packet, 4)?,
            more: fragment & 0x2000 != 0,
            offset: fragment & 0x1fff,
            packet,
            payload,
        })
    }

    /// Whether the packet is a fragment.
    pub fn is_fragment(&self) -> bool {
        self.more || self.offset != 0
    }
}
