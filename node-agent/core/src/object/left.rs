//! What upstream's agent has left on the node. Such objects are only ever removed, and only when the
//! [`Census`](crate::census::Census) shows that they are nobody's: their value cannot be made.

use std::{convert::Infallible, fmt};

use super::{Custody, Kind, Rule, Subject};

/// A rule of upstream's agent, which has no protocol number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeftRule(pub Rule);

impl Kind for LeftRule {
    type Value = Infallible;

    // Never observed as an object, so never removed by a comparison.
    const CUSTODY: Custody = Custody::Completed;

    fn subject(&self, value: &Infallible) -> Subject {
        match *value {}
    }

    fn say_put(&self, value: &Infallible, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *value {}
    }

    fn say_removal(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "remove upstream's {}", self.0)
    }
}

/// The filters of upstream's IPvlan datapath on an ENI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeftFilters {
    /// The ENI.
    pub link: u32,
}

impl Kind for LeftFilters {
    type Value = Infallible;

    const CUSTODY: Custody = Custody::Completed;

    fn subject(&self, value: &Infallible) -> Subject {
        match *value {}
    }

    fn say_put(&self, value: &Infallible, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *value {}
    }

    fn say_removal(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "detach upstream's IPvlan filters from interface {}", self.link)
    }
}
