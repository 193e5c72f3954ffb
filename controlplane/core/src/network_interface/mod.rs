//! NetworkInterfaces: attach, detach and delete one ENI. The plan looks at the ENI before it acts.

mod answer;
mod build;
mod plan;
mod status;
#[cfg(test)]
mod tests;

pub use answer::{AfterCall, Call, CallAnswer, answered};
pub use build::{build, for_release, has_our_reference, is_of, owner};
pub use plan::{Awaited, ENI_NOT_FOUND, History, Holder, Observed, Step, Wait, plan};
pub use status::{attached, detached, torn_off, waiting, with_term};
