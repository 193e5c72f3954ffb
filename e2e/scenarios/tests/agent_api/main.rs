//! The node agent against a real API server: its watches, its permissions, its reports, restarts and
//! races. A script plays the kernel; the real datapath has tests of its own.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod add;
mod memory;
mod races;
mod restart;
mod shared;
mod world;
