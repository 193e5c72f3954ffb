//! The sweep, the second line of defence: contradictions between cloud and objects, leaked ENIs, expired records,
//! objects without an owner.

mod drift;
mod expiry;
mod leaks;
mod orphans;
mod references;

pub use drift::{Contradictions, Drift, nodes_to_compare};
pub use expiry::{Expiry, expiry, seen_interval};
pub use leaks::{MIN_AGE, leaked};
pub use orphans::{Ownership, is_orphan, ownership};
pub use references::References;
