//! Nodes: what they are, what they can hold, their trunk ENI, and what is published about it.

mod capacity;
mod facts;
mod publish;
#[cfg(test)]
mod tests;
mod trunk;

pub use capacity::{NodeSpecPlan, node_cap, plan_spec};
pub use facts::NodeFacts;
pub use publish::{Publication, plan_publication};
pub(crate) use trunk::backoff;
pub use trunk::{
    EniSettings, Observed, Step, TRUNK_INDEX, Wait, is_trunk_of, plan as plan_trunk, release, trunk_nic,
};
