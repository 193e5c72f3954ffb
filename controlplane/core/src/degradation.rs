//! What is left undone while the cloud or the cluster is in trouble, as a person has decided.

/// A level of degradation. What the cloud did is recorded in all of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Degradation {
    #[default]
    None,
    /// Pods get what is there: nothing is begun in the cloud, nothing compared with it, nothing given back.
    L0,
    /// Nothing is compared with the cloud and nothing given back.
    L1,
}

impl Degradation {
    /// Whether nothing is asked of the cloud that was not asked before.
    pub fn begins_nothing(self) -> bool {
        self == Degradation::L0
    }

    /// Whether no address, no attachment and no ENI is given back, and nothing is compared with the cloud.
    pub fn keeps_everything(self) -> bool {
        self != Degradation::None
    }
}
