//! The parts of a cluster that the rules look at, at one moment.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use crash::checker::Snapshot;

use super::Object;

/// Pods, records, cloud and kernels.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Picture {
    /// Pods with a network of their own that have not ended.
    pub pods: Vec<RunningPod>,
    /// Who has which address, by Node objects and PodENIs.
    pub bindings: Vec<Binding>,
    /// Addresses of the ENIs that Node objects list.
    pub enis: Vec<EniAddresses>,
    /// ENIs of the cloud, and what refers to them.
    pub cloud: Snapshot,
    /// By node.
    pub kernels: BTreeMap<String, Kernel>,
}

impl Picture {
    /// The sizes of the picture, in words.
    pub fn in_figures(&self) -> String {
        let kernels = || self.kernels.values();
        format!(
            "{} pods, {} addresses bound, {} ENIs in the cloud, {} sandboxes and {} other objects in the kernels",
            self.pods.len(),
            self.bindings.len(),
            self.cloud.enis.len(),
            kernels().map(|kernel| kernel.veths.len()).sum::<usize>(),
            kernels().map(|kernel| kernel.objects.len()).sum::<usize>(),
        )
    }
}

/// One pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningPod {
    pub uid: String,
    /// Namespace and name.
    pub name: String,
    pub node: String,
    /// None before its sandbox is reported.
    pub address: Option<Ipv4Addr>,
}

/// A record says that this pod has this address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    pub pod_uid: String,
    /// Namespace and name.
    pub pod: String,
    pub node: String,
    pub address: Ipv4Addr,
    /// MAC of the NIC that carries it: the shared ENI or the trunk.
    pub nic: String,
    /// For an ENI of the pod's own.
    pub member: Option<Member>,
}

/// What an ENI of the pod's own adds to a binding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub vlan: u16,
    /// The record stays when the pod is gone.
    pub fixed: bool,
}

/// The addresses of one ENI, by record and by cloud.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EniAddresses {
    pub eni: String,
    pub recorded: BTreeSet<Ipv4Addr>,
    pub cloud: BTreeSet<Ipv4Addr>,
}

/// The product's objects in the kernel of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kernel {
    /// Numbers of the NICs, by MAC.
    pub nics: BTreeMap<String, u32>,
    pub veths: Vec<HostVeth>,
    /// All other objects of the product.
    pub objects: BTreeSet<Object>,
}

/// The host's end of a sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostVeth {
    pub ifindex: u32,
    pub pod_uid: String,
    pub container: String,
}
