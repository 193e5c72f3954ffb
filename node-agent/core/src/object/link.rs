//! What links are set to. Links themselves are made by an ADD, which has the pod's namespace, and deleted together in
//! one act; neither is the putting or removal of an object.

use std::fmt;

use super::{Custody, Kind, Subject};
use crate::observed::Side;

/// A link by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LinkIndex(pub u32);

/// Settings of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkSetting {
    pub up: bool,
    /// Bytes.
    pub mtu: u32,
}

impl Kind for LinkIndex {
    type Value = LinkSetting;

    const CUSTODY: Custody = Custody::Completed;
    const SIDE: Side = Side::Both;

    fn subject(&self, _: &LinkSetting) -> Subject {
        Subject {
            link: Some(self.0),
            ..Subject::default()
        }
    }

    fn goes_with(&self, link: u32) -> bool {
        self.0 == link
    }

    fn say_put(&self, setting: &LinkSetting, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bring interface {} up with MTU {}", self.0, setting.mtu)
    }

    fn say_removal(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "forget the settings of interface {}", self.0)
    }
}
