//! The machinery under every controller: caches fed by watches, queues of keys, workers.
//!
//! This module is used instead of kube's controller runtime for three reasons. A cache stores the answers of our own
//! writes, so that a reconciler never plans on a state that is older than its own write. A reconciler that waits for a
//! rate token gives its worker's place to others. A cache can be compared with a fresh list after the lease was taken.

pub mod cache;
pub mod catch_up;
pub mod feed;
pub mod key;
pub mod queue;
pub mod worker;

pub use cache::{Cache, Cached};
pub use key::Key;
pub use queue::{Queue, growing};
pub use worker::{Next, Reconciler, Slot};
