//! Entries of the eBPF maps.
//!
//! Keys and values are those of the shared ABI, byte for byte, so nothing is translated between a decision and a map.
//! A new map is one implementation of [`Map`] and its line in the list of kinds: the agent reads and writes every map
//! in the same way, by its name.

use std::fmt;

use terway_ebpf_abi::{InterfaceAddress, PodHardware, PopTarget, PushTag, TaggedAddress, maps};

use super::{Custody, Kind, Subject, Turn};

/// An eBPF map whose entries are objects.
pub trait Map: Copy + Ord + fmt::Debug + 'static {
    /// The map's key.
    type Key: Copy + Ord + fmt::Debug + 'static;
    /// The map's value.
    type Value: Copy + Eq + fmt::Debug + 'static;

    /// Name in the object file and below the pin directory.
    const NAME: &str;
    /// When an unwanted entry is removed.
    const TURN: Turn;

    /// Whom an entry serves.
    fn subject(key: &Self::Key, value: &Self::Value) -> Subject;
    /// Says what putting an entry does.
    fn say_put(key: &Self::Key, value: &Self::Value, f: &mut fmt::Formatter<'_>) -> fmt::Result;
    /// Says what removing an entry does.
    fn say_removal(key: &Self::Key, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

/// An entry of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry<M: Map>(pub M::Key);

impl<M: Map> Kind for Entry<M> {
    type Value = M::Value;

    const CUSTODY: Custody = Custody::Ours(M::TURN);

    fn subject(&self, value: &M::Value) -> Subject {
        M::subject(&self.0, value)
    }

    fn say_put(&self, value: &M::Value, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        M::say_put(&self.0, value, f)
    }

    fn say_removal(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        M::say_removal(&self.0, f)
    }
}

/// (trunk, VLAN, destination) to host veth: frames that a trunk may deliver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pop;

impl Map for Pop {
    type Key = TaggedAddress;
    type Value = PopTarget;

    const NAME: &str = maps::POP;
    const TURN: Turn = Turn::Lookups;

    fn subject(key: &TaggedAddress, value: &PopTarget) -> Subject {
        Subject {
            addresses: [key.ip(), None],
            link: Some(value.host_ifindex),
            ..Subject::default()
        }
    }

    fn say_put(key: &TaggedAddress, _: &PopTarget, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ip = Shown(key.ip());
        write!(f, "accept {ip} in VLAN {} on interface {}", key.vlan, key.ifindex)
    }

    fn say_removal(key: &TaggedAddress, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ip = Shown(key.ip());
        write!(
            f,
            "stop accepting {ip} in VLAN {} on interface {}",
            key.vlan, key.ifindex
        )
    }
}

/// (trunk, source) to VLAN and host veth: sources that a trunk tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Push;

impl Map for Push {
    type Key = InterfaceAddress;
    type Value = PushTag;

    const NAME: &str = maps::PUSH;
    const TURN: Turn = Turn::Lookups;

    fn subject(key: &InterfaceAddress, value: &PushTag) -> Subject {
        Subject {
            addresses: [key.ip(), None],
            link: Some(value.host_ifindex),
            ..Subject::default()
        }
    }

    fn say_put(key: &InterfaceAddress, tag: &PushTag, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ip = Shown(key.ip());
        write!(f, "tag {ip} with VLAN {} on interface {}", tag.vlan, key.ifindex)
    }

    fn say_removal(key: &InterfaceAddress, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stop tagging {} on interface {}", Shown(key.ip()), key.ifindex)
    }
}

/// (host veth, pod address) to pod MAC: what a host veth lets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source;

impl Map for Source {
    type Key = InterfaceAddress;
    type Value = PodHardware;

    const NAME: &str = maps::SOURCE;
    const TURN: Turn = Turn::Checks;

    fn subject(key: &InterfaceAddress, _: &PodHardware) -> Subject {
        // The address may be another pod's by now; the veth is not.
        Subject {
            link: Some(key.ifindex),
            ..Subject::default()
        }
    }

    fn say_put(key: &InterfaceAddress, _: &PodHardware, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "let {} in from interface {}", Shown(key.ip()), key.ifindex)
    }

    fn say_removal(key: &InterfaceAddress, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "stop letting {} in from interface {}",
            Shown(key.ip()),
            key.ifindex
        )
    }
}

/// An address of a key; a key of an unknown family has none.
struct Shown(Option<std::net::IpAddr>);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(ip) => write!(f, "{ip}"),
            None => f.write_str("an address of an unknown family"),
        }
    }
}
