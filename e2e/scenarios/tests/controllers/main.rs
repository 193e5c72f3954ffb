//! The control plane with a real API server, a simulated cloud and the settings of the chart: pods get their ENIs and
//! give them back, whatever is killed or lost on the way.

#![allow(
    clippy::expect_used,
    reason = "a test fails by panicking, and says what was expected"
)]

mod cloud_trouble;
mod crash;
mod failover;
mod fixed;
mod nodes;
mod refused;
mod relay;
mod replica;
mod shared;
mod shared_nodes;
mod single;
mod stage;
