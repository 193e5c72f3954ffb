//! Addresses that vSwitches have left, less those that the plan in the making takes.

use terway_crds::VSwitchSelectionPolicy;

use crate::cloud::Cidrs;
use crate::vswitch::{Candidate, choose};

/// The vSwitches that a plan may ask for addresses.
pub(super) struct Stock<'a> {
    /// vSwitches for new ENIs of the node, less what this plan takes.
    own: Vec<Candidate>,
    /// Every vSwitch of the node and of its ENIs, as the cloud describes it.
    described: &'a [Candidate],
}

impl<'a> Stock<'a> {
    /// `options` are the vSwitches for new ENIs of the node.
    pub(super) fn new(options: &[String], described: &'a [Candidate]) -> Self {
        let option = |id: &String| described.iter().find(|vswitch| vswitch.id == *id);
        Self {
            own: options.iter().filter_map(option).cloned().collect(),
            described,
        }
    }

    /// Addresses left in a vSwitch; `None` when there are none. A vSwitch that the configuration names no more still
    /// serves the ENIs in it.
    pub(super) fn left_in(&self, id: &str) -> Option<usize> {
        let is_it = |vswitch: &&Candidate| vswitch.id == id;
        let known = self.own.iter().find(is_it);
        let known = known.or_else(|| self.described.iter().find(is_it))?;
        usize::try_from(known.available).ok().filter(|left| *left > 0)
    }

    /// Whether a vSwitch is known to have no address left.
    pub(super) fn is_exhausted(&self, id: &str) -> bool {
        let known = self.described.iter().find(|vswitch| vswitch.id == id);
        known.is_some_and(|known| known.available <= 0)
    }

    /// The networks of a vSwitch.
    pub(super) fn cidrs_of(&self, id: &str) -> Option<&'a Cidrs> {
        let known = self.described.iter().find(|vswitch| vswitch.id == id)?;
        Some(&known.cidrs)
    }

    /// The plan takes `count` addresses.
    pub(super) fn take(&mut self, id: &str, count: usize) {
        let count = i64::try_from(count).unwrap_or(0);
        if let Some(known) = self.own.iter_mut().find(|vswitch| vswitch.id == id) {
            known.available -= count;
        }
    }

    /// The cloud has just said that nothing is left.
    pub(super) fn is_found_exhausted(&mut self, id: &str) {
        if let Some(known) = self.own.iter_mut().find(|vswitch| vswitch.id == id) {
            known.available = 0;
        }
    }

    /// The vSwitch for a new ENI with `count` addresses. One with fewer is taken only where no other is left: an ENI
    /// cannot move to another vSwitch.
    pub(super) fn choose(
        &self,
        policy: &VSwitchSelectionPolicy,
        zone: &str,
        count: usize,
        seed: u64,
    ) -> Option<&Candidate> {
        let count = i64::try_from(count).unwrap_or(1);
        let enough: Vec<Candidate> = self
            .own
            .iter()
            .filter(|vswitch| vswitch.available >= count)
            .cloned()
            .collect();
        let chosen = choose(policy, zone, &enough, seed).or_else(|_| choose(policy, zone, &self.own, seed));
        let id = &chosen.ok()?.id;
        self.own.iter().find(|vswitch| vswitch.id == *id)
    }
}
