//! Ethernet with at most one 802.1Q tag.

use super::be16;

/// A MAC address.
pub type Mac = [u8; 6];

/// The gateway's MAC, the same in every vSwitch (unverified).
pub const GATEWAY_MAC: Mac = [0xee, 0xff, 0xff, 0xff, 0xff, 0xff];

pub const ETHERTYPE_IPV4: u16 = 0x0800;
pub const ETHERTYPE_ARP: u16 = 0x0806;
const ETHERTYPE_VLAN: u16 = 0x8100;

/// Length of a header with a tag in bytes: the longest header that the fabric writes.
pub const MAX_HEADER: usize = 18;

/// A parsed frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ethernet<'f> {
    pub dst: Mac,
    pub src: Mac,
    /// VLAN id of the outer tag.
    pub vlan: Option<u16>,
    /// Type of the payload; with a tag, the type after the tag.
    pub ethertype: u16,
    pub payload: &'f [u8],
}

impl<'f> Ethernet<'f> {
    /// Parses a frame. Returns `None` when the frame is shorter than its header.
    pub fn parse(frame: &'f [u8]) -> Option<Self> {
        let (dst, rest) = frame.split_first_chunk()?;
        let (src, _) = rest.split_first_chunk()?;
        let outer = be16(frame, 12)?;
        let (vlan, ethertype, start) = if outer == ETHERTYPE_VLAN {
            // The fabric ignores priority and the drop-eligible bit.
            (Some(be16(frame, 14)? & 0x0fff), be16(frame, 16)?, 18)
        } else {
            (None, outer, 14)
        };
        Some(Self {
            dst: *dst,
            src: *src,
            vlan,
            ethertype,
            payload: &frame[start..],
        })
    }

    /// Whether the destination is a broadcast or multicast MAC.
    pub fn is_group(&self) -> bool {
        self.dst[0] & 1 == 1
    }
}

/// An encoded Ethernet header, to be written before a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkHeader {
    bytes: [u8; MAX_HEADER],
    len: usize,
}

impl LinkHeader {
    pub fn new(dst: Mac, src: Mac, vlan: Option<u16>, ethertype: u16) -> Self {
        let mut bytes = [0; MAX_HEADER];
        bytes[..6].copy_from_slice(&dst);
        bytes[6..12].copy_from_slice(&src);
        let mut len = 12;
        if let Some(vlan) = vlan {
            bytes[12..14].copy_from_slice(&ETHERTYPE_VLAN.to_be_bytes());
            bytes[14..16].copy_from_slice(&vlan.to_be_bytes());
            len = 16;
        }
        bytes[len..len + 2].copy_from_slice(&ethertype.to_be_bytes());
        Self { bytes, len: len + 2 }
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}
