//! End-to-end scenarios: the demo, which is also the main test, and what scenarios share.

pub mod bad_input;
pub mod cloud;
pub mod demo;
pub mod stage;
