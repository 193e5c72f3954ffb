//! PodNetworkings: what is written about one, which workloads it cannot serve, and the network that a pod gets from it.

mod network;
mod plan;
mod status;
#[cfg(test)]
mod tests;
mod workloads;

pub use network::{FIRST_INTERFACE, NetworksError, network_of, networks_of};
pub use plan::{Findings, Idle, Lookup, Plan, Transition, is_settled, plan};
pub use workloads::{Workload, concerned, is_excluded, lacks_networks};
