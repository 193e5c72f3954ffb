//! Nodes: facts, capacity, the publication on the Kubernetes node, and release.

mod capacity;
mod facts;
mod publish;
mod release;
#[cfg(test)]
mod tests;

pub use capacity::{
    LARGE_ENOUGH, NodeSpecPlan, large_enough, max_available_ip, node_cap, plan_spec, unknown_instance_type,
};
pub use facts::{NodeFacts, SufficientIp, heartbeat_due};
pub use publish::{Publication, Sufficiency, plan_publication, trunk_nic};
pub use release::{HeldBack, Leaving, Release, held_back, is_on_instance_of, plan_release, ready_again};
