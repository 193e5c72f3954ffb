//! Benchmarks of the control plane: the same work that upstream's was measured with, so that the figures can
//! stand side by side. A bare API server, a simulated cloud as a process of its own, and the control plane's
//! own binary, config file, flags and environment: nothing here knows its insides.

pub mod args;
pub mod bind;
pub mod cluster;
pub mod cost;
pub mod observe;
pub mod process;
pub mod reference;
pub mod report;
pub mod stack;
pub mod stats;
pub mod trunks;
pub mod world;
