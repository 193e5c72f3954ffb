//! The changes of an ENI that a caller can wait for.

use terway_core::cloud::{EniObservation, EniStatus};

/// A change that a caller waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Expect {
    /// The ENI is attached: its status is InUse.
    Attached,
    /// The ENI is detached or just created: its status is Available.
    Free,
    /// The ENI is deleted: a complete answer does not contain it.
    Gone,
}

impl Expect {
    /// Whether the observation shows that the change is done.
    pub(super) fn is_met_by(self, observation: &EniObservation) -> bool {
        match (self, observation) {
            (Expect::Attached, EniObservation::Present(eni)) => eni.status == EniStatus::InUse,
            (Expect::Free, EniObservation::Present(eni)) => eni.status == EniStatus::Available,
            (Expect::Gone, EniObservation::Absent) => true,
            (Expect::Attached | Expect::Free, EniObservation::Absent)
            | (Expect::Gone, EniObservation::Present(_)) => false,
        }
    }

    /// Whether the observation shows the change under way, which tells a caller nothing new.
    pub(super) fn is_under_way(self, observation: &EniObservation) -> bool {
        let EniObservation::Present(eni) = observation else {
            return false;
        };
        match self {
            Expect::Attached => eni.status == EniStatus::Attaching,
            Expect::Free => eni.status == EniStatus::Detaching,
            Expect::Gone => eni.status == EniStatus::Deleting,
        }
    }
}
