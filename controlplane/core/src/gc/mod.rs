//! The second line of defence: leaked ENIs, expired records, objects without an owner.

mod expiry;
mod leaks;

pub use expiry::{Expiry, expiry, seen_interval};
pub use leaks::{Known, MIN_AGE, leaked};
