//! Unicast routes.

use std::{fmt, net::IpAddr};

use ipnet::IpNet;

use super::{Custody, Kind, Subject, Turn};
use terway_address::{Family, is_anywhere, single};

use crate::observed::Side;

/// Route scope as the kernel numbers it: anywhere. IPv6 routes have no other.
pub const SCOPE_UNIVERSE: u8 = 0;
/// Route scope as the kernel numbers it: on this link.
pub const SCOPE_LINK: u8 = 253;

/// A unicast route.
///
/// The key is the whole route: the kernel can have several ways to one destination (`ip route append`), and each but
/// the wanted one is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    pub table: u32,
    pub destination: IpNet,
    pub gateway: Option<IpAddr>,
    pub link: u32,
    pub onlink: bool,
    pub scope: u8,
}

/// A table and a destination: what a new route of ours shares with a route that it would replace.
pub type Place = (u32, IpNet);

impl Route {
    /// The place. (Ours set no metric and no TOS, which would make a place of their own.)
    pub fn place(&self) -> Place {
        (self.table, self.destination)
    }

    /// A route to a destination on the link itself.
    pub fn direct(table: u32, destination: IpNet, link: u32) -> Self {
        let scope = match Family::of(destination.addr()) {
            Family::V4 => SCOPE_LINK,
            Family::V6 => SCOPE_UNIVERSE,
        };
        Self {
            table,
            destination,
            gateway: None,
            link,
            onlink: false,
            scope,
        }
    }

    /// A route through a gateway that the link reaches although no address of the link covers it.
    pub fn via(table: u32, destination: IpNet, gateway: IpAddr, link: u32) -> Self {
        Self {
            table,
            destination,
            gateway: Some(gateway),
            link,
            onlink: true,
            scope: SCOPE_UNIVERSE,
        }
    }
}

impl Kind for Route {
    type Value = ();

    // Observed are those with our protocol number.
    const CUSTODY: Custody = Custody::Ours(Turn::Ways);
    const SIDE: Side = Side::Both;

    fn subject(&self, (): &()) -> Subject {
        Subject {
            addresses: [single(self.destination), None],
            link: Some(self.link),
            // The default route of an ENI.
            common: is_anywhere(self.destination),
        }
    }

    fn goes_with(&self, link: u32) -> bool {
        self.link == link
    }

    fn replaces(&self, other: &Self) -> bool {
        self.place() == other.place()
    }

    fn say_put(&self, (): &(), f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "add {self}")
    }

    fn say_removal(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "remove {self}")
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "route {} by interface {} in table {}",
            self.destination, self.link, self.table
        )
    }
}
