//! Tests with a kernel: the fabric and the machines of the simulated cloud in real network namespaces. They need root,
//! /dev/net/tun and iproute2, and fail if one is missing.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on panics, in its namespace as well"
)]

mod fabric;
mod machines;
