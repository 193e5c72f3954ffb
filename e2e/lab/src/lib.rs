//! A real Kubernetes cluster of namespaces on one machine, and a bare API server for tests.
//!
//! [`Cluster`] has a control plane, nodes with containerd and kubelet, and a simulated VPC between them.
//! [`bare::Apiserver`] has etcd and kube-apiserver alone.

pub mod bare;
pub mod binaries;
mod cgroup;
pub mod chart;
mod cluster;
pub mod down;
pub mod exec;
mod http1;
pub mod https;
pub mod images;
pub mod kubeconfig;
pub mod machine;
mod options;
pub mod out;
pub mod pki;
pub mod process;
pub mod reboot;
pub mod state;
pub mod supervisor;
pub mod world;

pub use cluster::{Cluster, ClusterError, open};
pub use options::{DEFAULT_PORT, Options, ProxyMode};
