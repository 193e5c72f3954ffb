//! Rules that look into a routing table.

use std::fmt;

use ipnet::IpNet;

use super::{Custody, Kind, Subject, Turn};
use terway_address::{Family, single};

use crate::observed::Side;

/// A rule that looks into a table. The key is the whole rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rule {
    pub family: Family,
    pub priority: u32,
    pub from: Option<IpNet>,
    pub to: Option<IpNet>,
    pub oif: Option<String>,
    /// The mark and the mask: the rule looks at the bits of the mask only.
    pub mark: Option<(u32, u32)>,
    pub table: u32,
}

impl Rule {
    /// A rule without selectors.
    pub fn new(family: Family, priority: u32, table: u32) -> Rule {
        Rule {
            family,
            priority,
            from: None,
            to: None,
            oif: None,
            mark: None,
            table,
        }
    }

    /// The same for packets from here.
    pub fn from(self, net: IpNet) -> Rule {
        Rule {
            from: Some(net),
            ..self
        }
    }

    /// The same for packets to there.
    pub fn to(self, net: IpNet) -> Rule {
        Rule {
            to: Some(net),
            ..self
        }
    }
}

impl Kind for Rule {
    type Value = ();

    // Observed are those with our protocol number and a priority or a mark of ours.
    const CUSTODY: Custody = Custody::Ours(Turn::Ways);
    const SIDE: Side = Side::Both;

    fn subject(&self, (): &()) -> Subject {
        Subject {
            addresses: [self.from.and_then(single), self.to.and_then(single)],
            ..Subject::default()
        }
    }

    fn say_put(&self, (): &(), f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "add {self}")
    }

    fn say_removal(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "remove {self}")
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule {}", self.priority)?;
        if let Some(net) = self.from {
            write!(f, " from {net}")?;
        }
        if let Some(net) = self.to {
            write!(f, " to {net}")?;
        }
        if let Some(name) = &self.oif {
            write!(f, " oif {name}")?;
        }
        if let Some((mark, mask)) = self.mark {
            write!(f, " fwmark {mark:#x}/{mask:#x}")?;
        }
        write!(f, " lookup {}", self.table)
    }
}
