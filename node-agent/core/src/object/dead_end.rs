//! Where the packets of a pod end when their way has gone.

use std::fmt;

use terway_address::Family;

use super::{Custody, Kind, Subject, Turn};

/// An unreachable default route, the last choice of an ENI's table. Without it a lookup that finds nothing there goes
/// on to the main table, and the pod's packets leave by the node's own interface, under the node's security groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeadEnd {
    pub family: Family,
    pub table: u32,
}

impl Kind for DeadEnd {
    type Value = ();

    // Observed are those with our protocol number.
    const CUSTODY: Custody = Custody::Ours(Turn::Ways);

    fn subject(&self, (): &()) -> Subject {
        Subject {
            common: true,
            ..Subject::default()
        }
    }

    fn say_put(&self, (): &(), f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "close table {} for {} packets without a route",
            self.table, self.family
        )
    }

    fn say_removal(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "remove the dead end of table {} for {}",
            self.table, self.family
        )
    }
}
