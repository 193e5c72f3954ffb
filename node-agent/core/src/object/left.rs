//! What upstream's agent has left on the node. Such objects are only ever removed, and only when the
//! [`Census`](crate::census::Census) shows that they are nobody's: their value cannot be made.

use std::{convert::Infallible, fmt};

use super::{Custody, Kind, Rule, Subject};

/// An object of upstream's agent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Left {
    /// A rule, which has no protocol number.
    Rule(Rule),
    /// The filters of upstream's IPvlan datapath on an ENI.
    Filters {
        /// The ENI.
        link: u32,
    },
}

impl Kind for Left {
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
        match self {
            Left::Rule(rule) => write!(f, "remove upstream's {rule}"),
            Left::Filters { link } => write!(f, "detach upstream's IPvlan filters from interface {link}"),
        }
    }
}
