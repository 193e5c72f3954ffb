//! NetworkInterfaces: attach, detach and delete one ENI. The plan looks at the ENI before it acts.

mod answer;
mod build;
mod observed;
mod plan;
mod status;
mod step;
#[cfg(test)]
mod tests;

pub use answer::{AfterCall, Call, CallAnswer, answered};
pub use build::{build, for_release, has_our_reference, is_of, owner};
pub use observed::{Awaited, History, Holder, Observed};
pub use plan::plan;
pub use status::{attached, detached, lost, torn_off, waiting, with_term};
pub use step::{DETACHED, ELSEWHERE, ENI_NOT_FOUND, FOREIGN, Step, Wait};
