//! Frames and bindings of one pod, for the tests of this crate.

use proptest::prelude::*;
use terway_ebpf_abi::{InterfaceAddress, PushTag, TaggedAddress};

use crate::{Bindings, Frame, Truncated};

/// Interface index of the trunk.
pub const TRUNK: u32 = 3;
/// Interface index of the pod's host veth.
pub const VETH: u32 = 9;
/// The pod's VLAN id.
pub const VLAN: u16 = 101;
pub const POD: [u8; 4] = [10, 0, 16, 1];
pub const NEIGHBOUR: [u8; 4] = [10, 0, 16, 2];
pub const REMOTE: [u8; 4] = [10, 0, 48, 9];
pub const POD_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
pub const HOST_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];

/// A frame on an interface.
#[derive(Clone, Debug)]
pub struct Packet {
    pub ifindex: u32,
    pub came_by: u32,
    pub tag: Option<u16>,
    pub bytes: Vec<u8>,
}

impl Packet {
    /// A frame from [`POD_MAC`] on the trunk with 40 zeros behind its header.
    pub fn of(ethertype: u16) -> Self {
        let mut bytes = [HOST_MAC, POD_MAC].concat();
        bytes.extend(ethertype.to_be_bytes());
        bytes.extend([0; 40]);
        Packet {
            ifindex: TRUNK,
            came_by: 0,
            tag: None,
            bytes,
        }
    }

    pub fn ipv4(source: [u8; 4], destination: [u8; 4]) -> Self {
        let mut packet = Packet::of(0x0800);
        packet.bytes[14] = 0x45;
        packet.bytes[26..30].copy_from_slice(&source);
        packet.bytes[30..34].copy_from_slice(&destination);
        packet
    }

    pub fn ipv6() -> Self {
        let mut packet = Packet::of(0x86dd);
        packet.bytes[14] = 0x60;
        packet
    }

    /// An ARP request whose Ethernet header and body name the same sender.
    pub fn arp(sender: [u8; 6], address: [u8; 4]) -> Self {
        let mut packet = Packet::of(0x0806).sent_by(sender);
        packet.bytes[14..22].copy_from_slice(&[0, 1, 8, 0, 6, 4, 0, 1]);
        packet.bytes[22..28].copy_from_slice(&sender);
        packet.bytes[28..32].copy_from_slice(&address);
        packet
    }

    pub fn on(self, ifindex: u32) -> Self {
        Packet { ifindex, ..self }
    }

    pub fn came_by(self, came_by: u32) -> Self {
        Packet { came_by, ..self }
    }

    /// The same frame with another source in its Ethernet header.
    pub fn sent_by(mut self, mac: [u8; 6]) -> Self {
        self.bytes[6..12].copy_from_slice(&mac);
        self
    }

    /// The first bytes of the frame.
    pub fn cut(mut self, length: usize) -> Self {
        self.bytes.truncate(length);
        self
    }

    /// Frames that are nearly right: each field has a good value or a random one.
    pub fn any() -> impl Strategy<Value = Packet> {
        let ethertype = prop_oneof![Just(0x0800), Just(0x0806), any::<u16>()];
        let address = || prop_oneof![Just(POD), any::<[u8; 4]>()];
        let mac = || prop_oneof![Just(POD_MAC), any::<[u8; 6]>()];
        let tag = prop_oneof![Just(None), Just(Some(VLAN)), any::<u16>().prop_map(Some)];
        let ifindex = prop_oneof![Just(TRUNK), Just(VETH), any::<u32>()];
        let came_by = prop_oneof![Just(0), Just(VETH), any::<u32>()];
        let fields = (ethertype, mac(), mac(), address(), address(), address());
        (fields, tag, (ifindex, came_by), 0..54_usize).prop_map(
            |((ethertype, outer, inner, source, destination, sender), tag, (ifindex, came_by), cut)| {
                let mut packet = Packet::of(ethertype).sent_by(outer).on(ifindex).came_by(came_by);
                packet.tag = tag;
                packet.bytes[22..28].copy_from_slice(&inner);
                if ethertype == 0x0806 {
                    packet.bytes[28..32].copy_from_slice(&sender);
                } else {
                    packet.bytes[26..30].copy_from_slice(&source);
                    packet.bytes[30..34].copy_from_slice(&destination);
                }
                // Half of the frames are whole.
                packet.cut(if cut < 27 { 54 } else { cut })
            },
        )
    }
}

impl Frame for Packet {
    fn ifindex(&self) -> u32 {
        self.ifindex
    }

    fn ingress_ifindex(&self) -> u32 {
        self.came_by
    }

    fn tag(&self) -> Option<u16> {
        self.tag
    }

    fn bytes<const N: usize>(&self, offset: usize) -> Result<[u8; N], Truncated> {
        let field = self.bytes.get(offset..offset + N).ok_or(Truncated)?;
        field.try_into().map_err(|_| Truncated)
    }
}

/// Maps with the entries of one pod.
pub struct Table {
    pop: TaggedAddress,
    push: InterfaceAddress,
    source: InterfaceAddress,
}

impl Table {
    pub fn with_one_pod() -> Self {
        Table {
            pop: TaggedAddress::ipv4(TRUNK, VLAN, POD),
            push: InterfaceAddress::ipv4(TRUNK, POD),
            source: InterfaceAddress::ipv4(VETH, POD),
        }
    }
}

impl Bindings for Table {
    fn delivers(&self, key: &TaggedAddress) -> bool {
        *key == self.pop
    }

    fn tag_of(&self, key: &InterfaceAddress) -> Option<PushTag> {
        (*key == self.push).then_some(PushTag::new(VETH, VLAN))
    }

    fn hardware_of(&self, key: &InterfaceAddress) -> Option<[u8; 6]> {
        (*key == self.source).then_some(POD_MAC)
    }
}
