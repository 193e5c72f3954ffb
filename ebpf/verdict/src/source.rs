//! What a pod may send: IPv4 and ARP in its own name. A frame in another pod's name would pass with that pod's
//! security groups.

use terway_ebpf_abi::{Counter, InterfaceAddress};

use crate::{
    Bindings, Frame, Truncated,
    frame::{self, Protocol},
};

/// Why a frame that a pod has sent into its host veth is dropped. `None` for a frame that is the pod's own.
#[inline(always)]
pub fn objection(frame: &impl Frame, bindings: &impl Bindings) -> Option<Counter> {
    if frame.tag().is_some() {
        return Some(Counter::SourceProtocol);
    }
    let judged = match frame::protocol(frame) {
        Ok(Protocol::Ipv4) => ipv4(frame, bindings),
        Ok(Protocol::Arp) => arp(frame, bindings),
        Ok(Protocol::Other) => Ok(Some(Counter::SourceProtocol)),
        Err(Truncated) => Err(Truncated),
    };
    judged.unwrap_or(Some(Counter::SourceTruncated))
}

#[inline(always)]
fn ipv4(frame: &impl Frame, bindings: &impl Bindings) -> Result<Option<Counter>, Truncated> {
    let key = InterfaceAddress::ipv4(frame.ifindex(), frame::ipv4_source(frame)?);
    Ok(match bindings.hardware_of(&key) {
        None => Some(Counter::SourceAddress),
        Some(mac) if mac != frame::source_mac(frame)? => Some(Counter::SourceMac),
        Some(_) => None,
    })
}

#[inline(always)]
fn arp(frame: &impl Frame, bindings: &impl Bindings) -> Result<Option<Counter>, Truncated> {
    let key = InterfaceAddress::ipv4(frame.ifindex(), frame::arp_sender_ipv4(frame)?);
    let Some(mac) = bindings.hardware_of(&key) else {
        return Ok(Some(Counter::SourceArp));
    };
    // Neighbour tables take the sender from inside the ARP packet, not from the Ethernet header.
    let own = frame::arp_sender_mac(frame)? == mac && frame::source_mac(frame)? == mac;
    Ok(if own { None } else { Some(Counter::SourceArp) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{HOST_MAC, NEIGHBOUR, POD, POD_MAC, Packet, REMOTE, Table, VETH};

    fn objected(packet: &Packet) -> Option<Counter> {
        objection(packet, &Table::with_one_pod())
    }

    #[test]
    fn ipv4_passes_in_the_pods_own_name_alone() {
        let own = Packet::ipv4(POD, REMOTE).on(VETH);
        for (name, packet, expected) in [
            ("its own", own.clone(), None),
            (
                "another's address",
                Packet::ipv4(NEIGHBOUR, REMOTE).on(VETH),
                Some(Counter::SourceAddress),
            ),
            (
                "its own address by another's veth",
                own.clone().on(VETH + 1),
                Some(Counter::SourceAddress),
            ),
            (
                "another's hardware address",
                own.clone().sent_by(HOST_MAC),
                Some(Counter::SourceMac),
            ),
            (
                "half a source",
                own.clone().cut(29),
                Some(Counter::SourceTruncated),
            ),
            ("an address and nothing more", own.cut(30), None),
        ] {
            assert_eq!(objected(&packet), expected, "{name}");
        }
    }

    #[test]
    fn arp_passes_in_the_pods_own_name_alone() {
        let own = Packet::arp(POD_MAC, POD).on(VETH);
        for (name, packet, expected) in [
            ("its own", own.clone(), None),
            (
                "another's address",
                Packet::arp(POD_MAC, NEIGHBOUR).on(VETH),
                Some(Counter::SourceArp),
            ),
            (
                "a probe without an address",
                Packet::arp(POD_MAC, [0; 4]).on(VETH),
                Some(Counter::SourceArp),
            ),
            (
                "another sender inside",
                Packet::arp(HOST_MAC, POD).sent_by(POD_MAC).on(VETH),
                Some(Counter::SourceArp),
            ),
            (
                "another sender outside",
                own.clone().sent_by(HOST_MAC),
                Some(Counter::SourceArp),
            ),
            ("half a sender", own.cut(31), Some(Counter::SourceTruncated)),
        ] {
            assert_eq!(objected(&packet), expected, "{name}");
        }
    }

    #[test]
    fn other_protocols_and_tags_do_not_pass() {
        let own = Packet::ipv4(POD, REMOTE).on(VETH);
        for (name, packet, expected) in [
            ("IPv6", Packet::ipv6().on(VETH), Counter::SourceProtocol),
            (
                "a tag inside the frame",
                Packet::of(0x8100).on(VETH),
                Counter::SourceProtocol,
            ),
            (
                "a tag",
                Packet {
                    tag: Some(7),
                    ..own.clone()
                },
                Counter::SourceProtocol,
            ),
            (
                "a priority tag",
                Packet {
                    tag: Some(0x2000),
                    ..own.clone()
                },
                Counter::SourceProtocol,
            ),
            ("no EtherType", own.clone().cut(13), Counter::SourceTruncated),
            ("an empty frame", own.cut(0), Counter::SourceTruncated),
        ] {
            assert_eq!(objected(&packet), Some(expected), "{name}");
        }
    }

    proptest! {
        #[test]
        fn what_passes_names_the_pod_by_both_addresses(packet in Packet::any()) {
            if objected(&packet).is_none() {
                prop_assert_eq!(packet.ifindex, VETH);
                prop_assert_eq!(&packet.bytes[6..12], &POD_MAC[..]);
                let address = if packet.bytes[13] == 6 { 28..32 } else { 26..30 };
                prop_assert_eq!(&packet.bytes[address], &POD[..]);
            }
        }
    }
}
