//! What the kernel has, as far as a plan asks.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

use crate::state::{NetState, Rule};

/// What is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// Everything that is shared, and of the rest what is ours.
    pub state: NetState,
    /// Rules of others, with their protocol numbers. One that equals a wanted rule does the same work, and the kernel
    /// refuses to have both.
    pub foreign_rules: BTreeMap<Rule, u8>,
    /// Addresses that upstream's IPvlan datapath routes to pods, by its host end of the ENI.
    pub ipvlan_pods: BTreeMap<u32, BTreeSet<Ipv4Addr>>,
}
