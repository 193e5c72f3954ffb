//! PodENIs: from recorded intents to attached ENIs, to release, without losing one.

mod bind;
mod plan;
mod record;
mod status;
#[cfg(test)]
mod tests;

pub use plan::{Observed, Plan, PodState, Step, Wait, plan};
pub use record::{Choice, failure, intent_id, next_attempt, replaced, with_eni};
pub use status::{bound, phase_only, unbound, waiting};

pub use crate::pod::{is_fixed, node_name, pod_uid};
