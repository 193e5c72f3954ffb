//! Benchmarks: the same work that upstream's was measured with, so that the figures can stand side by side.
//! A bare API server, a simulated cloud as a process of its own, and the product's own binaries, config
//! file, flags and environment: what is measured of the control plane knows nothing of its insides.

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
