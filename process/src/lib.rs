//! What the control plane and the node agent share as processes: tasks that start and end in order, readiness,
//! the pages of health and metrics, logging, events, and the words of an error with its causes.
//!
//! The feature `daemon` brings everything. The feature `metrics` brings [`latency`] alone. Libraries that only need
//! [`error_chain`] take the crate without features.

#[cfg(feature = "daemon")]
pub mod address;
#[cfg(feature = "daemon")]
pub mod build;
mod chain;
#[cfg(feature = "daemon")]
pub mod events;
#[cfg(feature = "metrics")]
pub mod latency;
#[cfg(feature = "daemon")]
pub mod lifecycle;
#[cfg(feature = "daemon")]
pub mod logging;
#[cfg(feature = "daemon")]
pub mod pages;
#[cfg(feature = "daemon")]
pub mod readiness;
#[cfg(feature = "daemon")]
mod watch_pauses;

pub use chain::error_chain;
#[cfg(feature = "daemon")]
pub use watch_pauses::WatchPauses;

/// Target of the spans that are exported as traces. Spans with this target are of level DEBUG: without an export and
/// with the usual log filter they are never made.
pub const TRACED: &str = "terway::traced";
