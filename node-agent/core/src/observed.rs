//! What is read of the kernel, and how much of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use terway_address::Family;

use crate::{
    link::Links,
    object::{Key, Rule, route::Place},
    state::State,
};

/// A side of the veths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The node's network namespace.
    Host,
    /// The network namespace of a pod.
    Pod,
    /// Either.
    Both,
}

impl Side {
    /// Whether objects of a kind whose side is `kind` can be on this side.
    pub fn has(self, kind: Side) -> bool {
        kind == Side::Both || kind == self
    }
}

/// How much of the kernel is read. Every dump and every question costs an ADD some of its time.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    pub side: Side,
    /// The links of the namespace.
    pub links: &'a Links,
    /// What should be there.
    pub wanted: &'a State,
    pub breadth: Breadth,
}

/// How much is read beside what is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breadth {
    /// For an act on some pods: the families that pods have addresses of, and of the filters those that are wanted.
    /// (Each link is a question of its own.)
    Narrow,
    /// For a comparison of everything: both families, and every place where a filter of ours can be.
    Whole,
}

impl Ask<'_> {
    /// The address families to read.
    pub fn families(&self) -> &'static [Family] {
        match self.breadth {
            Breadth::Narrow => &Family::SERVED,
            Breadth::Whole => &Family::ALL,
        }
    }
}

/// Rules of others by their protocol numbers.
pub type ForeignRules = BTreeMap<Rule, BTreeSet<u8>>;

/// The observed state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// Of kinds that are ours alone what is ours; of the others everything.
    pub state: State,
    /// Rules of others, each with the protocol numbers that it is there with. A rule that equals a wanted one does the
    /// same work, and the kernel refuses a second equal rule.
    pub foreign_rules: ForeignRules,
    /// Routes of others that have the place of a wanted one, in a few words.
    pub foreign_routes: BTreeMap<Place, String>,
    /// Addresses that upstream's IPvlan datapath routes to pods, by its host end of the ENI.
    pub ipvlan_pods: BTreeMap<u32, BTreeSet<IpAddr>>,
}

impl Observed {
    /// Whether an object of somebody else does the work of this one.
    pub fn has_equal(&self, key: &Key) -> bool {
        match key {
            Key::Rule(rule) => self.foreign_rules.contains_key(rule),
            _ => false,
        }
    }
}
