//! A pod's interface: the request to the datapath, and its answer.

use std::{fmt, net::IpAddr};

use ipnet::IpNet;

use crate::{
    carrier::{Carrier, NicLink},
    object::Route,
    ownership,
};

/// One interface of one pod sandbox.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sandbox {
    pub container_id: String,
    pub pod_uid: String,
    /// Name of the interface inside the pod.
    pub ifname: String,
    /// Name of the interface that the runtime named in the ADD. One ADD makes all interfaces of a pod, and the DEL with
    /// the same name removes them.
    pub attachment: String,
}

impl Sandbox {
    /// Whether both mean the same interface. The UID of the pod is not compared: a runtime does not always tell it, and
    /// container ids are unique.
    pub fn same_as(&self, other: &Sandbox) -> bool {
        self.container_id == other.container_id && self.ifname == other.ifname
    }

    /// Whether this is the same interface of another sandbox of the same pod. A runtime runs one sandbox of a pod at a
    /// time.
    pub fn precedes(&self, other: &Sandbox) -> bool {
        let same_pod = !self.pod_uid.is_empty() && self.pod_uid == other.pod_uid;
        same_pod && self.ifname == other.ifname && self.container_id != other.container_id
    }
}

/// A pod interface and the ENI that carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodInterface {
    pub sandbox: Sandbox,
    pub namespace: String,
    pub pod_name: String,
    pub ip: IpAddr,
    pub carrier: Carrier<NicLink>,
    /// Bytes, for a veth that is made. One that is there keeps its own.
    pub mtu: u32,
    /// Whether the pod's default route goes by this interface.
    pub default_route: bool,
    pub extra_routes: Vec<IpNet>,
    /// Destinations that the host's main table routes, and not the ENI's table.
    pub host_stack_cidrs: Vec<IpNet>,
    /// Whether a plugin of the chain may limit what the pod sends. The plugin makes a queueing discipline of its own on
    /// the host's end, and the check of sources must leave room for it.
    pub shaped: bool,
}

impl PodInterface {
    /// Name of the host's end of the veth.
    pub fn host_ifname(&self) -> String {
        ownership::host_ifname(&self.namespace, &self.pod_name, &self.sandbox.ifname)
    }
}

/// The interface that an ADD has made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Realised {
    pub host_ifname: String,
    pub host_mac: [u8; 6],
    pub pod_mac: [u8; 6],
    /// Bytes, of both ends.
    pub mtu: u32,
}

/// A sandbox that runs with another address than the record of its pod says. A running pod keeps its address, because
/// its own end of the veth has no other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    pub sandbox: Sandbox,
    pub has: Vec<IpAddr>,
    pub recorded: IpAddr,
}

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let has: Vec<String> = self.has.iter().map(IpAddr::to_string).collect();
        write!(
            f,
            "sandbox {} runs with address {}, and the record of its pod says {}: it stays as it is",
            self.sandbox.container_id,
            has.join(", "),
            self.recorded
        )
    }
}

/// Why an interface is not realised or only in part, and what on the host keeps packets of pods away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// The host veth is missing. Only an ADD can make one, because an ADD brings the pod's namespace.
    HostLink(Sandbox),
    /// The NIC that carries the interface is not on this node.
    Nic(Sandbox),
    /// The node's own interface of this name has no default route for answers.
    Uplink(String),
    /// The host itself has this address of a pod on a link, and takes the pod's packets.
    OnHost {
        ip: IpAddr,
        link: String,
        /// Whether the address is taken away there. It is left on links that are no pods' ENIs.
        removed: bool,
    },
    /// A chain of nf_tables drops what no rule lets through, and names no interface of pods.
    Closed { chain: String },
    /// A route of another program is where this one should be.
    Taken { route: Route, by: String },
    /// The record of a running pod has changed.
    Changed(Changed),
}
