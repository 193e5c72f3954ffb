//! Keys and values of the eBPF maps, shared by kernel and user space.
//! Every type is `repr(C)` and has no padding, because the kernel compares keys byte by byte and a compiler may leave
//! padding uninitialised. The tests below lock each layout. A change of a layout raises [`VERSION`], which is part of
//! the name of the directory that the maps are pinned in.
#![no_std]

mod counter;

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub use counter::Counter;

/// Version of the layouts in this crate. Maps of another version are not reused.
pub const VERSION: u32 = 1;

/// Entries of each map. A VLAN id has 12 bits, so a trunk cannot have more members than this.
pub const MAX_ENTRIES: usize = 4096;

/// [`InterfaceAddress::family`] of an IPv4 address, the number `AF_INET` has.
pub const FAMILY_IPV4: u8 = 2;

/// [`InterfaceAddress::family`] of an IPv6 address, the number `AF_INET6` has.
pub const FAMILY_IPV6: u8 = 10;

/// Names of the maps in the object file and below the pin directory.
pub mod maps {
    /// [`super::TaggedAddress`] to [`super::PopTarget`]: frames a trunk may deliver.
    pub const POP: &str = "MEMBER_POP";
    /// [`super::InterfaceAddress`] to [`super::PushTag`]: sources a trunk tags.
    pub const PUSH: &str = "MEMBER_PUSH";
    /// [`super::InterfaceAddress`] to [`super::PodHardware`]: the sources that a host veth lets in.
    pub const SOURCE: &str = "POD_SOURCE";
    /// Packets per [`super::Counter`], one value per CPU.
    pub const COUNTERS: &str = "COUNTERS";
    /// All of them: each is pinned.
    pub const ALL: [&str; 4] = [POP, PUSH, SOURCE, COUNTERS];
}

/// Names of the programs in the object file.
pub mod programs {
    /// Trunk ingress: takes the tag off the frames of this node's pods.
    pub const MEMBER_POP: &str = "member_pop";
    /// Trunk egress: tags frames by their source address.
    pub const MEMBER_PUSH: &str = "member_push";
    /// Host veth ingress: drops a frame that is not the pod's own.
    pub const POD_SOURCE: &str = "pod_source";
}

/// An address on one interface. An IPv4 address fills the first four bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct InterfaceAddress {
    pub ifindex: u32,
    pub family: u8,
    zero: [u8; 3],
    pub address: [u8; 16],
}

impl InterfaceAddress {
    /// The key of an IPv4 address in network order.
    #[inline(always)]
    pub const fn ipv4(ifindex: u32, address: [u8; 4]) -> Self {
        Self {
            ifindex,
            family: FAMILY_IPV4,
            zero: [0; 3],
            address: widen(address),
        }
    }

    /// The key of an address.
    pub const fn new(ifindex: u32, ip: IpAddr) -> Self {
        let (family, address) = split(ip);
        Self {
            ifindex,
            family,
            zero: [0; 3],
            address,
        }
    }

    /// The address, unless the family is unknown.
    pub const fn ip(&self) -> Option<IpAddr> {
        join(self.family, self.address)
    }
}

/// A destination address inside one VLAN of one trunk.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TaggedAddress {
    /// The trunk the frame came in on.
    pub ifindex: u32,
    /// VLAN id, 1 to 4094.
    pub vlan: u16,
    pub family: u8,
    zero: u8,
    pub address: [u8; 16],
}

impl TaggedAddress {
    /// The key of an IPv4 destination in network order.
    #[inline(always)]
    pub const fn ipv4(ifindex: u32, vlan: u16, address: [u8; 4]) -> Self {
        Self {
            ifindex,
            vlan,
            family: FAMILY_IPV4,
            zero: 0,
            address: widen(address),
        }
    }

    /// The key of a destination.
    pub const fn new(ifindex: u32, vlan: u16, ip: IpAddr) -> Self {
        let (family, address) = split(ip);
        Self {
            ifindex,
            vlan,
            family,
            zero: 0,
            address,
        }
    }

    /// The destination, unless the family is unknown.
    pub const fn ip(&self) -> Option<IpAddr> {
        join(self.family, self.address)
    }
}

/// The pod a popped frame is for.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PopTarget {
    /// The pod's host veth. An entry whose veth is gone is a left-over.
    pub host_ifindex: u32,
}

/// The tag that a pod's frames get on their way out.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PushTag {
    /// The pod's host veth. An entry whose veth is gone is a left-over.
    pub host_ifindex: u32,
    /// VLAN id, 1 to 4094.
    pub vlan: u16,
    zero: u16,
}

impl PushTag {
    /// The tag `vlan` for the pod behind `host_ifindex`.
    pub const fn new(host_ifindex: u32, vlan: u16) -> Self {
        Self {
            host_ifindex,
            vlan,
            zero: 0,
        }
    }
}

/// The hardware address a pod must send from.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PodHardware {
    pub mac: [u8; 6],
    zero: [u8; 2],
}

impl PodHardware {
    /// The value for a pod whose interface has this MAC.
    pub const fn new(mac: [u8; 6]) -> Self {
        Self { mac, zero: [0; 2] }
    }
}

#[inline(always)]
const fn widen(a: [u8; 4]) -> [u8; 16] {
    [a[0], a[1], a[2], a[3], 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
}

const fn split(ip: IpAddr) -> (u8, [u8; 16]) {
    match ip {
        IpAddr::V4(ip) => (FAMILY_IPV4, widen(ip.octets())),
        IpAddr::V6(ip) => (FAMILY_IPV6, ip.octets()),
    }
}

const fn join(family: u8, a: [u8; 16]) -> Option<IpAddr> {
    match family {
        FAMILY_IPV4 => Some(IpAddr::V4(Ipv4Addr::new(a[0], a[1], a[2], a[3]))),
        FAMILY_IPV6 => Some(IpAddr::V6(Ipv6Addr::from_bits(u128::from_be_bytes(a)))),
        _ => None,
    }
}

#[cfg(feature = "aya")]
#[allow(
    unsafe_code,
    reason = "aya copies keys and values as bytes and asks for a promise"
)]
mod pod {
    // SAFETY: all five are repr(C), made of integers alone, and without padding, which the
    // layout tests below lock; any byte pattern is a valid value.
    unsafe impl aya::Pod for super::InterfaceAddress {}
    unsafe impl aya::Pod for super::TaggedAddress {}
    unsafe impl aya::Pod for super::PopTarget {}
    unsafe impl aya::Pod for super::PushTag {}
    unsafe impl aya::Pod for super::PodHardware {}
}

#[cfg(test)]
mod tests {
    use core::mem::{offset_of, size_of};

    use super::*;

    #[test]
    fn interface_address_is_24_bytes_without_padding() {
        assert_eq!(size_of::<InterfaceAddress>(), 24);
        assert_eq!(offset_of!(InterfaceAddress, ifindex), 0);
        assert_eq!(offset_of!(InterfaceAddress, family), 4);
        assert_eq!(offset_of!(InterfaceAddress, zero), 5);
        assert_eq!(offset_of!(InterfaceAddress, address), 8);
    }

    #[test]
    fn tagged_address_is_24_bytes_without_padding() {
        assert_eq!(size_of::<TaggedAddress>(), 24);
        assert_eq!(offset_of!(TaggedAddress, ifindex), 0);
        assert_eq!(offset_of!(TaggedAddress, vlan), 4);
        assert_eq!(offset_of!(TaggedAddress, family), 6);
        assert_eq!(offset_of!(TaggedAddress, zero), 7);
        assert_eq!(offset_of!(TaggedAddress, address), 8);
    }

    #[test]
    fn values_have_their_locked_sizes() {
        assert_eq!(size_of::<PopTarget>(), 4);
        assert_eq!(size_of::<PushTag>(), 8);
        assert_eq!(offset_of!(PushTag, vlan), 4);
        assert_eq!(offset_of!(PushTag, zero), 6);
        assert_eq!(size_of::<PodHardware>(), 8);
        assert_eq!(offset_of!(PodHardware, mac), 0);
    }

    #[test]
    fn an_ipv4_key_leaves_no_stray_bytes() {
        let key = InterfaceAddress::ipv4(7, [10, 0, 16, 5]);
        assert_eq!(key.address, [10, 0, 16, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(key.zero, [0; 3]);
        assert_eq!(key.family, FAMILY_IPV4);
    }

    #[test]
    fn a_key_gives_its_address_back_in_either_family() {
        for text in ["10.0.16.5", "fd00:1::5"] {
            let ip: IpAddr = text.parse().unwrap();
            assert_eq!(InterfaceAddress::new(7, ip).ip(), Some(ip));
            assert_eq!(TaggedAddress::new(7, 100, ip).ip(), Some(ip));
        }
        let v4 = InterfaceAddress::ipv4(7, [10, 0, 16, 5]);
        assert_eq!(InterfaceAddress::new(7, IpAddr::from([10, 0, 16, 5])), v4);
        let unknown = InterfaceAddress { family: 3, ..v4 };
        assert_eq!(unknown.ip(), None);
    }
}
