//! Addresses of links.

use std::fmt;

use ipnet::IpNet;

use super::{Custody, Kind, Subject};
use crate::observed::Side;

/// An address of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    pub link: u32,
    pub net: IpNet,
}

impl Kind for Address {
    type Value = ();

    // The host's own addresses look the same.
    const CUSTODY: Custody = Custody::Completed;
    const SIDE: Side = Side::Both;

    fn subject(&self, (): &()) -> Subject {
        Subject {
            link: Some(self.link),
            ..Subject::default()
        }
    }

    fn goes_with(&self, link: u32) -> bool {
        self.link == link
    }

    fn say_put(&self, (): &(), f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "add address {} to interface {}", self.net, self.link)
    }

    fn say_removal(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "remove address {} from interface {}", self.net, self.link)
    }
}
