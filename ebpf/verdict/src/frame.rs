//! The fields of a frame. Offsets count from the start of an Ethernet header without a tag: the kernel keeps the
//! outer tag beside the frame (`skb->vlan_tci`) before a clsact program runs (`skb_vlan_untag` in
//! `net/core/dev.c`).

const SOURCE_MAC: usize = 6;
const ETHERTYPE: usize = 12;
const HEADER: usize = 14;
const IPV4_SOURCE: usize = HEADER + 12;
const IPV4_DESTINATION: usize = HEADER + 16;
const ARP_SENDER_MAC: usize = HEADER + 8;
const ARP_SENDER_IPV4: usize = HEADER + 14;

/// The bits of a tag that hold the VLAN id; the others hold a priority (IEEE 802.1Q).
const VLAN_ID: u16 = 0xfff;

/// The frame ends before the field that was asked for.
#[derive(Debug, PartialEq, Eq)]
pub struct Truncated;

/// The protocol behind the Ethernet header.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Ipv4,
    Arp,
    Other,
}

/// A frame as a program sees it.
pub trait Frame {
    /// The interface that the program runs on.
    fn ifindex(&self) -> u32;

    /// The interface that the frame came in by; 0 for a frame of a socket of the host. The kernel keeps the number
    /// while it forwards a frame, also in pieces (`skb->skb_iif`; `ip_copy_metadata` in `net/ipv4/ip_output.c`).
    fn ingress_ifindex(&self) -> u32;

    /// The tag that the kernel keeps beside the frame: priority and VLAN id.
    fn tag(&self) -> Option<u16>;

    /// `N` bytes of the frame at `offset`.
    ///
    /// # Errors
    ///
    /// [`Truncated`] when the frame ends before the last of them.
    fn bytes<const N: usize>(&self, offset: usize) -> Result<[u8; N], Truncated>;
}

/// The VLAN id of the frame. Id 0 marks a tag that carries a priority only; such a frame belongs to no VLAN.
#[inline(always)]
pub(crate) fn vlan(frame: &impl Frame) -> Option<u16> {
    match frame.tag() {
        Some(tag) if tag & VLAN_ID != 0 => Some(tag & VLAN_ID),
        _ => None,
    }
}

#[inline(always)]
pub(crate) fn protocol(frame: &impl Frame) -> Result<Protocol, Truncated> {
    Ok(match u16::from_be_bytes(frame.bytes(ETHERTYPE)?) {
        0x0800 => Protocol::Ipv4,
        0x0806 => Protocol::Arp,
        _ => Protocol::Other,
    })
}

#[inline(always)]
pub(crate) fn source_mac(frame: &impl Frame) -> Result<[u8; 6], Truncated> {
    frame.bytes(SOURCE_MAC)
}

#[inline(always)]
pub(crate) fn ipv4_source(frame: &impl Frame) -> Result<[u8; 4], Truncated> {
    frame.bytes(IPV4_SOURCE)
}

#[inline(always)]
pub(crate) fn ipv4_destination(frame: &impl Frame) -> Result<[u8; 4], Truncated> {
    frame.bytes(IPV4_DESTINATION)
}

#[inline(always)]
pub(crate) fn arp_sender_mac(frame: &impl Frame) -> Result<[u8; 6], Truncated> {
    frame.bytes(ARP_SENDER_MAC)
}

#[inline(always)]
pub(crate) fn arp_sender_ipv4(frame: &impl Frame) -> Result<[u8; 4], Truncated> {
    frame.bytes(ARP_SENDER_IPV4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{HOST_MAC, POD, POD_MAC, Packet, REMOTE};

    #[test]
    fn a_priority_tag_names_no_vlan() {
        let packet = |tag| Packet {
            tag,
            ..Packet::ipv4(POD, REMOTE)
        };
        assert_eq!(vlan(&packet(None)), None);
        assert_eq!(vlan(&packet(Some(0xe000))), None);
        assert_eq!(vlan(&packet(Some(0xe065))), Some(0x65));
        assert_eq!(vlan(&packet(Some(0x0fff))), Some(0xfff));
    }

    #[test]
    fn fields_of_an_ipv4_frame_are_where_the_header_has_them() {
        let packet = Packet::ipv4(POD, REMOTE);
        assert_eq!(protocol(&packet), Ok(Protocol::Ipv4));
        assert_eq!(source_mac(&packet), Ok(POD_MAC));
        assert_eq!(ipv4_source(&packet), Ok(POD));
        assert_eq!(ipv4_destination(&packet), Ok(REMOTE));
    }

    #[test]
    fn fields_of_an_arp_frame_are_where_the_header_has_them() {
        let packet = Packet::arp(POD_MAC, POD);
        assert_eq!(protocol(&packet), Ok(Protocol::Arp));
        assert_eq!(arp_sender_mac(&packet), Ok(POD_MAC));
        assert_eq!(arp_sender_ipv4(&packet), Ok(POD));
    }

    #[test]
    fn a_field_that_is_cut_short_is_missing() {
        let cut = |length| Packet::ipv4(POD, REMOTE).cut(length);
        assert_eq!(source_mac(&cut(11)), Err(Truncated));
        assert_eq!(protocol(&cut(13)), Err(Truncated));
        assert_eq!(ipv4_source(&cut(29)), Err(Truncated));
        assert_eq!(ipv4_source(&cut(30)), Ok(POD));
        assert_eq!(ipv4_destination(&cut(33)), Err(Truncated));
        assert_eq!(ipv4_destination(&cut(34)), Ok(REMOTE));
        let arp = |length| Packet::arp(HOST_MAC, POD).cut(length);
        assert_eq!(arp_sender_mac(&arp(27)), Err(Truncated));
        assert_eq!(arp_sender_ipv4(&arp(31)), Err(Truncated));
        assert_eq!(arp_sender_ipv4(&arp(32)), Ok(POD));
    }
}
