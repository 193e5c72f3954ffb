//! Pods: which pods need ENIs of their own, and the end of the record of a pod that is gone.

mod build;
mod facts;
mod plan;
#[cfg(test)]
mod tests;

pub use build::{BuildError, Settings, allocation, build};
pub use facts::PodFacts;
pub use plan::{Action, Idle, Plan, is_fixed, node_name, plan, pod_uid};
