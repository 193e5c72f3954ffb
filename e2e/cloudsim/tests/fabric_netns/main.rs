//! The fabric with a real kernel: TAPs in network namespaces and the sockets of applications.
//! These tests need root, /dev/net/tun and iproute2, and fail where one is missing.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on panics, in its lab as well"
)]

mod devices;
mod groups;
mod lab;
mod traffic;
mod trunk;
mod wire;
