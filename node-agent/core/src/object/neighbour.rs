//! Permanent neighbours.

use std::{fmt, net::IpAddr};

use super::{Custody, Kind, Subject};
use crate::observed::Side;

/// An address whose MAC is not asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Neighbour {
    pub link: u32,
    pub ip: IpAddr,
}

impl Kind for Neighbour {
    /// The MAC.
    type Value = [u8; 6];

    const CUSTODY: Custody = Custody::Completed;
    const SIDE: Side = Side::Both;

    fn subject(&self, _: &[u8; 6]) -> Subject {
        Subject {
            link: Some(self.link),
            ..Subject::default()
        }
    }

    fn goes_with(&self, link: u32) -> bool {
        self.link == link
    }

    fn say_put(&self, _: &[u8; 6], f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "set neighbour {} on interface {}", self.ip, self.link)
    }

    fn say_removal(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "remove neighbour {} from interface {}", self.ip, self.link)
    }
}
