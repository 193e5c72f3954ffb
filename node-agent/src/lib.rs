//! Node agent: CNI server and datapath.

pub mod datapath;
pub mod ebpf;
