//! A real Kubernetes cluster of namespaces on one machine, and a bare API server for tests.

pub mod bare;
pub mod binaries;
pub mod https;
pub mod kubeconfig;
pub mod pki;
pub mod process;
