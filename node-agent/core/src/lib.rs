//! The node agent's decisions about the kernel, as values: what a pod's interface needs ([`desired`]), which objects
//! are ours ([`ownership`]), and the steps from what is there to what should be ([`plan`]).
//!
//! Nothing here reads or changes anything: no netlink, no eBPF loader, no API server and no runtime is among the
//! dependencies, so that every decision is tested as a function.

pub mod carrier;
pub mod census;
pub mod desired;
pub mod interface;
pub mod link;
pub mod object;
pub mod observed;
pub mod ownership;
pub mod plan;
pub mod program;
pub mod scope;
pub mod state;
pub mod symmetric;
#[cfg(test)]
mod testing;
