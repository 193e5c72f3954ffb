//! Benchmarks with the work that upstream was measured with, so that the figures can stand side by side.
//!
//! The API server is bare, the simulated cloud is a process of its own, and the product runs as its own binaries, with
//! the settings of the chart.

pub mod agent;
pub mod args;
pub mod bind;
pub mod churn;
pub mod cluster;
pub mod cni;
pub mod cost;
pub mod join;
pub mod node;
pub mod observe;
pub mod packets;
pub mod pool;
pub mod process;
pub mod settings;
pub mod shared;
pub mod stack;
pub mod stats;
pub mod table;
pub mod warm;
pub mod world;
