//! Errors of the datapath.

use std::{io, net::IpAddr, time::Duration};

use terway_node_core::interface::Changed;

use super::kernel::{
    error::{ObserveError, PairError, StepError},
    netlink::NetlinkError,
    netns::NetnsError,
};
use crate::ebpf::EbpfError;

/// Why an interface could not be made, checked, removed or repaired.
#[derive(Debug, thiserror::Error)]
pub enum DatapathError {
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    #[error(transparent)]
    Netns(#[from] NetnsError),
    #[error(transparent)]
    Ebpf(#[from] EbpfError),
    #[error(transparent)]
    Observe(#[from] ObserveError),
    #[error(transparent)]
    Pair(#[from] PairError),
    #[error("cannot start the datapath's thread")]
    Thread(#[source] io::Error),
    #[error("the datapath has stopped; restart the agent")]
    Stopped,
    #[error("no NIC with MAC {} after {} s; is the ENI attached to this node?", Mac(*mac), waited.as_secs())]
    NicMissing { mac: [u8; 6], waited: Duration },
    #[error("the sandbox is the node's own network namespace, where a pod interface has no place")]
    HostNamespace,
    #[error(
        "address {ip} is that of sandbox {container_id} of the pod with UID {pod_uid}, which still runs on this node; \
         the address is given to one pod at a time"
    )]
    AddressTaken {
        ip: IpAddr,
        container_id: String,
        pod_uid: String,
    },
    #[error("{0}; delete the pod to have it set up again")]
    AddressChanged(Box<Changed>),
    #[error("{} steps failed, the first: {step}", others + 1)]
    Incomplete {
        step: String,
        others: usize,
        source: Box<StepError>,
    },
}

/// A MAC as text: six pairs of hex digits, with colons in between.
struct Mac([u8; 6]);

impl std::fmt::Display for Mac {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}
