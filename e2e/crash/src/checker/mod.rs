//! The invariants of the product over what one run left behind: calls, objects, cloud.
//!
//! Every rule is a function over values and has a test that shows it fail. A rule reports what is wrong as a
//! [`Violation`]. A good run has none.

mod addresses;
mod call;
mod ends;
mod facts;
mod fence;
mod holders;
mod lives;
mod pools;
mod rest;
#[cfg(test)]
mod tests;
mod violation;

pub use call::{Call, Intent, is_look};
pub use ends::{Remains, at_the_end};
pub use facts::{Claim, Facts, PodLife, Removed, Term};
pub use fence::is_of;
pub use pools::RecordedPool;
pub use rest::{Attached, EniInCloud, Snapshot, at_rest};
pub use violation::Violation;

/// Every rule that looks at the history of a run.
pub fn history(facts: &Facts) -> Vec<Violation> {
    let mut found = lives::duplicates(facts);
    found.extend(holders::touched_while_living(facts));
    found.extend(holders::foreign_touched(facts));
    found.extend(addresses::used_twice(facts));
    found.extend(addresses::fixed_changed(facts));
    found.extend(addresses::reused_early(facts));
    found.extend(addresses::address_changed(facts));
    found.extend(pools::assigned_twice(facts));
    found.extend(pools::beyond_limits(facts));
    found.extend(fence::stale_calls(facts));
    found.extend(fence::tokens_misused(facts));
    found
}
