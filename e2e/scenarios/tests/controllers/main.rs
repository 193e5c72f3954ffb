//! The control plane against a real API server and a simulated cloud: pods get their ENIs and give
//! them back, whatever is killed and whatever is lost on the way.

mod crash;
mod failover;
mod fixed;
mod replica;
mod single;
mod stage;
