//! NetworkInterfaces: attach, detach and delete one ENI, looking before acting.

mod build;
mod plan;
mod status;
#[cfg(test)]
mod tests;

pub use build::{build, for_release, is_of, owner};
pub use plan::{ENI_NOT_FOUND, Holder, Memory, Observed, Step, Wait, plan};
pub use status::{attached, detached, not_ready, torn_off, with_term};
