//! The control plane against a real API server and a simulated cloud: pods get their ENIs and give
//! them back, whatever is killed and whatever is lost on the way.

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
