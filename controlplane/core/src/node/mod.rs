//! Nodes: what they are, what they can hold, their trunk ENI, and what is published about it.

mod capacity;
mod facts;
mod publish;
#[cfg(test)]
mod tests;
mod trunk;

pub use capacity::{NodeSpecPlan, max_available_ip, node_cap, plan_spec, shared_addresses, too_small};
pub use facts::{NodeFacts, SufficientIp, heartbeat_due};
pub use publish::{Publication, Sufficiency, plan_publication};
pub(crate) use trunk::backoff;
pub use trunk::{
    EniSettings, Observed, Step, TRUNK_INDEX, Wait, is_trunk_of, plan as plan_trunk, release, trunk_nic,
};
