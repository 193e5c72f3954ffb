//! Controllers, webhook, leadership and metrics of the control plane.

pub mod apiserver;
pub mod certificates;
pub mod cloud;
pub mod config;
pub mod context;
pub mod crd_install;
pub mod degradation;
pub mod error;
pub mod events;
pub mod fresh_enis;
pub mod gc;
pub mod intents;
pub mod lead;
pub mod leadership;
pub mod metrics;
pub mod network_interface;
pub mod node;
pub mod objects;
pub mod pod;
pub mod pod_eni;
pub mod podnetworking;
pub mod process;
pub mod runtime;
#[cfg(test)]
pub(crate) mod testing;
pub mod trace;
pub mod triggers;
pub mod vswitches;
pub mod webhook;
