//! Node agent: CNI server and datapath.

pub mod args;
pub mod binding;
pub mod cluster;
pub mod datapath;
pub mod ebpf;
pub mod events;
pub mod health;
pub mod install;
pub mod kernel;
pub mod lock;
pub mod metrics;
pub mod net_d;
pub mod notes;
pub mod reconcile;
pub mod refusal;
pub mod report;
pub mod run;
#[cfg(any(test, feature = "scripted"))]
pub mod scripted;
pub mod server;
pub mod settings;
#[cfg(test)]
mod testing;
pub mod trouble;
