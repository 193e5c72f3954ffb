//! Crash tests: the control plane is killed, stopped and lied to at every cloud call, against a real API
//! server and a simulated cloud, and nothing may be lost, doubled or taken from a living pod.

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
pub mod view;
mod world;
