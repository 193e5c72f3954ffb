//! What the eBPF programs decide about a frame.
//!
//! The functions here read a [`Frame`] and [`Bindings`] and return a decision. They call no kernel helper, so
//! this crate builds for the kernel's target and for the host, and its tests run on the host. `ebpf/programs`
//! implements both traits over the socket buffer and the maps, and carries the decision out.
#![cfg_attr(not(test), no_std)]

mod frame;
mod member;
mod source;
#[cfg(test)]
mod testing;

use terway_ebpf_abi::{InterfaceAddress, PushTag, TaggedAddress};

pub use frame::{Frame, Truncated};
pub use member::{Pop, Push, pop, push};
pub use source::objection;

/// The entries of the maps that the agent fills.
pub trait Bindings {
    /// Whether the trunk delivers frames to this address in this VLAN.
    fn delivers(&self, key: &TaggedAddress) -> bool;

    /// The tag of frames with this source address, and the host veth that they come from.
    fn tag_of(&self, key: &InterfaceAddress) -> Option<PushTag>;

    /// The hardware address of the pod that has this source address.
    fn hardware_of(&self, key: &InterfaceAddress) -> Option<[u8; 6]>;
}
