//! Symmetric routing as it is configured: a connection that entered by the node's own interface is answered by it.

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
