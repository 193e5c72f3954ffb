//! Crash tests: the control plane is killed, stopped and deceived at every cloud call, against a real API server and a
//! simulated cloud. Nothing may be lost, doubled or taken from a living pod.

pub mod checker;
pub mod controlplane;
pub mod drive;
pub mod evidence;
pub mod lane;
mod ledger;
pub mod matrix;
mod pools;
pub mod runner;
pub mod scenario;
pub mod settings;
pub mod view;
mod world;
