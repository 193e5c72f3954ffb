//! End-to-end scenarios: the demo, which is also the main test, the storms, and what scenarios share.

pub mod bad_input;
pub mod cloud;
pub mod demo;
pub mod invariants;
pub mod packets;
pub mod shared;
pub mod stage;
pub mod storm;
pub mod traffic;
