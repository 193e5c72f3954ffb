//! Settings below /proc/sys/net/ipv4/conf and /proc/sys/net/ipv6/conf.

use std::fmt;

use super::{Custody, Kind, Subject};
use terway_address::Family;

/// A setting of one interface.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sysctl {
    pub family: Family,
    /// Interface, `all` or `default`.
    pub interface: String,
    pub name: &'static str,
}

impl Sysctl {
    /// Whether the setting is one interface's, and goes with the interface.
    pub fn of_one_interface(&self) -> bool {
        self.interface != "all" && self.interface != "default"
    }
}

impl fmt::Display for Sysctl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let family = match self.family {
            Family::V4 => "ipv4",
            Family::V6 => "ipv6",
        };
        write!(f, "{family}/conf/{}/{}", self.interface, self.name)
    }
}

impl Kind for Sysctl {
    type Value = String;

    const CUSTODY: Custody = Custody::Completed;

    fn subject(&self, _: &String) -> Subject {
        Subject::default()
    }

    fn say_put(&self, value: &String, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "set net/{self} to {value}")
    }

    fn say_removal(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "forget net/{self}")
    }
}
