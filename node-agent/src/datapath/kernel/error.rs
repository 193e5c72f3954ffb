//! Why the kernel could not be read or changed.

use std::{io, path::PathBuf};

use super::{netlink::NetlinkError, netns::NetnsError};
use crate::ebpf::EbpfError;

/// Why the kernel's state could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ObserveError {
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    #[error(transparent)]
    Ebpf(#[from] EbpfError),
    #[error("cannot read {}", path.display())]
    Sysctl { path: PathBuf, source: io::Error },
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    #[error(transparent)]
    Ebpf(#[from] EbpfError),
    #[error(
        "another program has a route there ({by}), and it is not replaced; remove it, or give it another table"
    )]
    RouteTaken { by: String },
    #[error(
        "this kernel has no nf_tables, which symmetric routing needs; load the module nf_tables, or set \
         symmetric_routing to false"
    )]
    NoNfTables(#[source] NetlinkError),
    #[error("cannot write {}; the agent needs a writable /proc/sys/net", path.display())]
    Sysctl { path: PathBuf, source: io::Error },
}

/// Why a veth pair could not be found or made.
#[derive(Debug, thiserror::Error)]
pub enum PairError {
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    #[error(transparent)]
    Netns(#[from] NetnsError),
    #[error("the sandbox has an interface {ifname} that this agent has not made; remove it or name another")]
    InterfaceTaken { ifname: String },
    #[error("a link {name} that another pod or program has made is in the way; rename it or remove it")]
    NameTaken { name: String },
    #[error("the node has no interface for container {container_id}; add it again")]
    HostInterfaceMissing { container_id: String },
    #[error("the sandbox has lost its interface {ifname}; recreate the pod")]
    PodInterfaceMissing { ifname: String },
}
