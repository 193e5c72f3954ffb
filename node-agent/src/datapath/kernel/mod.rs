//! The kernel's own interfaces: netlink, network namespaces and sysctls, what is read of them and what is changed.

pub mod apply;
pub mod disturbance;
pub mod error;
pub mod link;
mod message;
pub mod netlink;
pub mod netns;
pub mod observe;
pub mod pair;
pub mod sysctl;
