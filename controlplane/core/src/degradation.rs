//! Degradation: the work that an operator stops while the cloud or the cluster is in trouble.

/// A level of degradation. Results of calls to the cloud are recorded at every level.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Degradation {
    #[default]
    None,
    /// Nothing is begun in the cloud, nothing is compared with the cloud, and nothing is given back. Pods get the
    /// addresses that exist.
    L0,
    /// Nothing is compared with the cloud, and nothing is given back.
    L1,
}

impl Degradation {
    /// Whether no new call that changes something is begun.
    pub fn begins_nothing(self) -> bool {
        self == Degradation::L0
    }

    /// Whether nothing is compared with the cloud, and no address, attachment or ENI is given back.
    pub fn keeps_everything(self) -> bool {
        self != Degradation::None
    }
}
