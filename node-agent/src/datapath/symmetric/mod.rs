//! Symmetric routing: a connection that entered by the node's own interface is answered by it.
//!
//! A NodePort with externalTrafficPolicy Local and a hostPort translate the destination only. The
//! pod's answer would leave by the pod's ENI, in the node's name, and the VPC drops it there. So
//! connections that enter by the node's interface are marked in conntrack, their answers get the mark
//! back as they leave the pod, and a rule sends marked packets to a table whose default route is the
//! node's own. So does what kube-proxy sends in the node's name for a pod: a NodePort of the pod's own
//! node whose backend is on another.
//!
//! The marks are three nf_tables rules, spoken over netlink: nothing in the agent's image has to fit the
//! kernel's or kube-proxy's version of a command. They are in a table of their own, under upstream's name.

mod rules;
mod table;
mod wire;

pub use table::Marking;

/// Where marks are made and looked up. The defaults are upstream's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Symmetric {
    /// The node's own interface.
    pub interface: String,
    /// Bits that are set on a connection and on its answers.
    pub mark: u32,
    /// Bits that are looked at; the mark's others stay as they are.
    pub mask: u32,
    /// Routing table of the marked.
    pub table: u32,
    /// Priority of the rule that leads there.
    pub priority: u32,
    /// Comment of the nf_tables rules.
    pub comment: String,
}

impl Default for Symmetric {
    fn default() -> Self {
        Symmetric {
            interface: "eth0".into(),
            mark: 0x10,
            mask: 0x10,
            table: 100,
            priority: 600,
            comment: "terway-symmetric".into(),
        }
    }
}
