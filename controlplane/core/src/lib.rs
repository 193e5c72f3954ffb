//! Decisions of the control plane: sync functions over plain values.
//!
//! This crate has no client, no clock, no randomness and no logger. `now` and ids are arguments, so every decision can
//! be tested by comparing values.

pub mod binding;
pub mod carrier;
pub mod cloud;
pub mod conditions;
pub mod degradation;
pub mod eni_config;
pub mod fairness;
pub mod gc;
pub mod go_duration;
pub mod intent;
pub mod meta;
pub mod network_interface;
pub mod news;
pub mod node;
pub mod ownership;
pub mod pod;
pub mod pod_eni;
pub mod podnetworking;
pub mod pool;
pub mod room;
#[cfg(test)]
mod testing;
pub mod vswitch;
pub mod webhook;
