//! Frames of member ENIs on their trunk. A frame from the VPC carries the member's tag, which the programs take
//! off. A frame of a pod gets the member's tag on its way out.

use terway_ebpf_abi::{Counter, InterfaceAddress, TaggedAddress};

use crate::{
    Bindings, Frame, Truncated,
    frame::{self, Protocol},
};

/// What happens to a frame that a trunk has received.
#[derive(Debug, PartialEq, Eq)]
pub enum Pop {
    /// The frame has no VLAN and is for the trunk itself.
    Pass,
    /// The frame is for a pod of this node. Its tag is taken off.
    Strip,
    /// The frame has a VLAN and is for no pod of this node.
    Drop(Counter),
}

/// Decides about a frame that a trunk has received.
#[inline(always)]
pub fn pop(frame: &impl Frame, bindings: &impl Bindings) -> Pop {
    let Some(vlan) = frame::vlan(frame) else {
        return Pop::Pass;
    };
    match destination(frame) {
        Ok(Ok(address)) => {
            let key = TaggedAddress::ipv4(frame.ifindex(), vlan, address);
            if bindings.delivers(&key) {
                Pop::Strip
            } else {
                Pop::Drop(Counter::PopNoBinding)
            }
        }
        Ok(Err(reason)) => Pop::Drop(reason),
        Err(Truncated) => Pop::Drop(Counter::PopTruncated),
    }
}

#[inline(always)]
fn destination(frame: &impl Frame) -> Result<Result<[u8; 4], Counter>, Truncated> {
    Ok(match frame::protocol(frame)? {
        Protocol::Ipv4 => Ok(frame::ipv4_destination(frame)?),
        Protocol::Arp => Err(Counter::PopArp),
        Protocol::Other => Err(Counter::PopProtocol),
    })
}

/// What happens to a frame that leaves by a trunk.
#[derive(Debug, PartialEq, Eq)]
pub enum Push {
    /// The source is no member's address: traffic of the host, of pods with addresses of the trunk, and the host's own
    /// ARP requests for the gateway.
    Pass,
    /// The frame is the member's. It gets this VLAN id.
    Tag(u16),
    /// The frame has a member's address and did not come from the member's veth. Tagged, it would pass with the
    /// member's security groups; untagged, it would leave in the trunk's own name.
    Drop(Counter),
}

/// Decides about a frame that leaves by a trunk.
#[inline(always)]
pub fn push(frame: &impl Frame, bindings: &impl Bindings) -> Push {
    if frame.tag().is_some() || !matches!(frame::protocol(frame), Ok(Protocol::Ipv4)) {
        return Push::Pass;
    }
    let Ok(address) = frame::ipv4_source(frame) else {
        return Push::Pass;
    };
    match bindings.tag_of(&InterfaceAddress::ipv4(frame.ifindex(), address)) {
        None => Push::Pass,
        Some(tag) if tag.host_ifindex == frame.ingress_ifindex() => Push::Tag(tag.vlan),
        Some(_) => Push::Drop(Counter::SourceAddress),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{NEIGHBOUR, POD, POD_MAC, Packet, REMOTE, TRUNK, Table, VETH, VLAN};

    fn popped(packet: &Packet) -> Pop {
        pop(packet, &Table::with_one_pod())
    }

    fn pushed(packet: &Packet) -> Push {
        push(packet, &Table::with_one_pod())
    }

    #[test]
    fn the_tag_decides_whether_a_frame_of_the_trunk_is_a_members() {
        let to_pod = |tag| Packet {
            tag,
            ..Packet::ipv4(REMOTE, POD)
        };
        for (name, packet, expected) in [
            ("untagged", to_pod(None), Pop::Pass),
            ("priority only", to_pod(Some(0x2000)), Pop::Pass),
            ("the pod's VLAN", to_pod(Some(VLAN)), Pop::Strip),
            (
                "the pod's VLAN with a priority",
                to_pod(Some(VLAN | 0x6000)),
                Pop::Strip,
            ),
            (
                "another VLAN",
                to_pod(Some(VLAN + 1)),
                Pop::Drop(Counter::PopNoBinding),
            ),
        ] {
            assert_eq!(popped(&packet), expected, "{name}");
        }
    }

    #[test]
    fn a_tagged_frame_for_no_pod_is_dropped_with_its_reason() {
        let tagged = |packet: Packet| Packet {
            tag: Some(VLAN),
            ..packet
        };
        for (name, packet, reason) in [
            (
                "another address",
                Packet::ipv4(REMOTE, NEIGHBOUR),
                Counter::PopNoBinding,
            ),
            (
                "another trunk",
                Packet::ipv4(REMOTE, POD).on(TRUNK + 1),
                Counter::PopNoBinding,
            ),
            ("ARP", Packet::arp(POD_MAC, REMOTE), Counter::PopArp),
            ("IPv6", Packet::ipv6(), Counter::PopProtocol),
            ("a second tag", Packet::of(0x8100), Counter::PopProtocol),
            (
                "no EtherType",
                Packet::ipv4(REMOTE, POD).cut(13),
                Counter::PopTruncated,
            ),
            (
                "half a destination",
                Packet::ipv4(REMOTE, POD).cut(33),
                Counter::PopTruncated,
            ),
        ] {
            assert_eq!(popped(&tagged(packet)), Pop::Drop(reason), "{name}");
        }
    }

    #[test]
    fn a_frame_of_a_pod_gets_the_pods_tag_and_no_other_does() {
        let from_pod = Packet::ipv4(POD, REMOTE).came_by(VETH);
        for (name, packet, expected) in [
            ("the pod's address", from_pod.clone(), Push::Tag(VLAN)),
            (
                "the pod's address from a socket of the host",
                from_pod.clone().came_by(0),
                Push::Drop(Counter::SourceAddress),
            ),
            (
                "the pod's address from another veth",
                from_pod.clone().came_by(VETH + 1),
                Push::Drop(Counter::SourceAddress),
            ),
            (
                "a tagged frame",
                Packet {
                    tag: Some(7),
                    ..from_pod.clone()
                },
                Push::Pass,
            ),
            (
                "a priority tag",
                Packet {
                    tag: Some(0x2000),
                    ..from_pod.clone()
                },
                Push::Pass,
            ),
            ("another address", Packet::ipv4(NEIGHBOUR, REMOTE), Push::Pass),
            ("another trunk", from_pod.clone().on(TRUNK + 1), Push::Pass),
            ("ARP", Packet::arp(POD_MAC, POD), Push::Pass),
            ("IPv6", Packet::ipv6(), Push::Pass),
            ("half a source", from_pod.cut(29), Push::Pass),
        ] {
            assert_eq!(pushed(&packet), expected, "{name}");
        }
    }

    proptest! {
        #[test]
        fn a_tag_is_taken_off_only_for_the_bound_address_in_its_vlan(packet in Packet::any()) {
            let bytes_of_pod = packet.bytes.get(12..14) == Some(&[8, 0][..])
                && packet.bytes.get(30..34) == Some(&POD[..]);
            let bound = packet.ifindex == TRUNK
                && packet.tag.is_some_and(|tag| tag & 0xfff == VLAN)
                && bytes_of_pod;
            prop_assert_eq!(popped(&packet) == Pop::Strip, bound);
        }

        #[test]
        fn a_tag_is_put_on_only_for_the_bound_address(packet in Packet::any()) {
            let bound = packet.ifindex == TRUNK
                && packet.tag.is_none()
                && packet.bytes.get(12..14) == Some(&[8, 0][..])
                && packet.bytes.get(26..30) == Some(&POD[..]);
            let expected = match (bound, packet.came_by == VETH) {
                (false, _) => Push::Pass,
                (true, true) => Push::Tag(VLAN),
                (true, false) => Push::Drop(Counter::SourceAddress),
            };
            prop_assert_eq!(pushed(&packet), expected);
        }
    }
}
