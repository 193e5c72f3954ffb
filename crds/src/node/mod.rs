//! Node: what the control plane knows and wants of a node's networking. Its name is the node's.

mod spec;
mod status;

pub use spec::{
    Datapath, DatapathType, Flavor, NetworkCard, NodeCap, NodeEni, NodeMetadata, Pool, Reclaim, Tag,
    TerwayNode, TerwayNodeSpec,
};
pub use status::{Ip, IpStatus, Nic, NicCondition, NicStatus, Prefix, PrefixStatus, TerwayNodeStatus};
