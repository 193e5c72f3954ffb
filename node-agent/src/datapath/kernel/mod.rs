//! The kernel's own interfaces: netlink, network namespaces, sysctls and eBPF maps.
//!
//! Each kind of object has a file with its [`Driver`](terway_node_core::object::Driver): how it is read, put and
//! removed, and how the kernel spells it.

mod address;
pub mod apply;
mod dead_end;
pub mod disturbance;
mod entry;
pub mod error;
mod filter;
pub mod forward;
mod left;
pub mod link;
pub mod marks;
pub mod namespace;
mod neighbour;
pub mod netlink;
pub mod netns;
pub mod pair;
#[cfg(feature = "parsers")]
pub mod parsers;
mod repeat;
pub mod route;
mod rule;
pub mod sysctl;
