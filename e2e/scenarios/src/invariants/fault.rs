//! What a rule found, in words that a person can act on.

use std::fmt;
use std::net::Ipv4Addr;

use crash::checker::Violation;

/// One broken invariant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Pods with the same address.
    OneAddress { address: Ipv4Addr, pods: Vec<String> },
    /// Records that give one address to several.
    BoundTwice { address: Ipv4Addr, pods: Vec<String> },
    /// Records that give one pod several addresses.
    TwoAddresses { pod: String, addresses: Vec<Ipv4Addr> },
    /// A pod without a record of its address.
    NotRecorded {
        pod: String,
        node: String,
        address: Option<Ipv4Addr>,
    },
    /// An address that is kept for a pod that is gone.
    BoundToNobody {
        address: Ipv4Addr,
        node: String,
        pod: String,
    },
    /// An ENI has other addresses than its record says.
    UnlikeTheCloud {
        eni: String,
        recorded_only: Vec<Ipv4Addr>,
        cloud_only: Vec<Ipv4Addr>,
    },
    /// A kernel lacks something.
    Missing { node: String, what: String },
    /// A kernel has something that no record asks for.
    LeftInKernel { node: String, what: String },
    /// A rule of the crash tests, over ENIs and what refers to them.
    Cloud(Box<Violation>),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::OneAddress { address, pods } => {
                write!(f, "{address} is the address of {}", pods.join(" and "))
            }
            Fault::BoundTwice { address, pods } => {
                write!(f, "{address} is bound to {}", pods.join(" and to "))
            }
            Fault::TwoAddresses { pod, addresses } => write!(f, "{pod} is bound to {addresses:?}"),
            Fault::NotRecorded { pod, node, address } => match address {
                Some(address) => write!(f, "no record gives {address} to {pod} on {node}"),
                None => write!(f, "{pod} on {node} has no address"),
            },
            Fault::BoundToNobody { address, node, pod } => {
                write!(f, "{address} of {node} is kept for {pod}, which is gone")
            }
            Fault::UnlikeTheCloud {
                eni,
                recorded_only,
                cloud_only,
            } => write!(
                f,
                "{eni}: the record alone has {recorded_only:?}, the cloud alone {cloud_only:?}"
            ),
            Fault::Missing { node, what } => write!(f, "{node} lacks: {what}"),
            Fault::LeftInKernel { node, what } => write!(f, "{node} has, and nothing asks for it: {what}"),
            Fault::Cloud(violation) => violation.fmt(f),
        }
    }
}
