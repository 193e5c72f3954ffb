//! PodENIs: from recorded intents to attached ENIs and to their release. No ENI is lost.

mod bind;
mod news;
mod observed;
mod plan;
mod pod_state;
mod record;
mod status;
mod step;
#[cfg(test)]
mod tests;

pub use news::{create_refused, created, held_up, phase_reached, waits_for_room};
pub use observed::{Observed, PodState};
pub use plan::plan;
pub use pod_state::is_for;
pub use record::{corrected, intent_id, next_attempt, replaced, with_eni};
pub use status::{bound, phase_only, unbound, waiting};
pub use step::{Plan, Step, Wait};

pub use crate::pod::{is_fixed, node_name, pod_uid};
