//! The machinery under every controller: caches fed by watches, queues of keys, workers.
//!
//! It differs from a general controller runtime in three points that the product needs: a cache
//! takes in the answers of our own writes, so that a reconciler never plans on a state older than
//! what it wrote itself; a reconciler that waits for a rate token gives its worker's place to
//! others; and a cache can be compared with a fresh list after the lease was taken.

pub mod cache;
pub mod catch_up;
pub mod feed;
pub mod key;
pub mod queue;
pub mod worker;

pub use cache::{Cache, Cached};
pub use key::Key;
pub use queue::Queue;
pub use worker::{Next, Reconciler, Slot};
