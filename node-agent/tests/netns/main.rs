//! The datapath, and the whole agent without an API server, on a real kernel: every test makes a node in
//! network namespaces of its own. They need root, and fail where it is missing.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod agent_chain;
mod agent_records;
mod agent_repair;
mod agent_world;
mod datapath_converge;
mod datapath_families;
mod datapath_lifecycle;
mod datapath_mtu;
mod datapath_shared;
mod datapath_strangers;
mod datapath_survival;
mod datapath_symmetric;
mod datapath_traffic;
mod datapath_world;
mod ebpf_programs;
