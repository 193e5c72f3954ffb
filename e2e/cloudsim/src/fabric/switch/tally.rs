//! Counts every frame once, when the result of writing it is known.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Decision, Dropped, Switch, Verdict};
use crate::fabric::{
    counters::{Counters, EniCounters, Reason},
    ports::PortId,
};

/// The totals so far.
#[derive(Debug, Default)]
pub(super) struct Tally {
    received: u64,
    forwarded: u64,
    answered: u64,
    dropped: BTreeMap<Reason, u64>,
    ports: HashMap<PortId, EniCounters>,
}

impl Tally {
    pub fn forget(&mut self, gone: &BTreeSet<PortId>) {
        self.ports.retain(|port, _| !gone.contains(port));
    }

    fn drop(&mut self, drop: Dropped, known: bool) {
        *self.dropped.entry(drop.reason).or_default() += 1;
        if known {
            *self
                .ports
                .entry(drop.at)
                .or_default()
                .dropped
                .entry(drop.reason)
                .or_default() += 1;
        }
    }

    fn delivered(&mut self, port: PortId, bytes: usize) {
        let counters = self.ports.entry(port).or_default();
        counters.delivered += 1;
        counters.delivered_bytes += bytes as u64;
    }
}

impl Switch {
    /// Counts a frame of `length` bytes. `written` is the result of writing, for a verdict that writes; a failed write
    /// counts as a drop at the receiver.
    pub fn count(&mut self, decision: &Decision<'_>, length: usize, written: Result<(), Reason>) {
        let from = decision.from;
        self.tally.received += 1;
        if self.ports.get(from).is_some() {
            let counters = self.tally.ports.entry(from).or_default();
            counters.sent += 1;
            counters.sent_bytes += length as u64;
        }
        match (&decision.verdict, written) {
            (Verdict::Drop(drop), _) => {
                let known = self.ports.get(drop.at).is_some();
                self.tally.drop(*drop, known);
            }
            (Verdict::Forward { to, .. }, Err(reason)) => self.tally.drop(Dropped { reason, at: *to }, true),
            (Verdict::Answer { .. }, Err(reason)) => self.tally.drop(Dropped { reason, at: from }, true),
            (Verdict::Forward { to, header, payload }, Ok(())) => {
                self.tally.forwarded += 1;
                self.tally.delivered(*to, header.as_bytes().len() + payload.len());
            }
            (Verdict::Answer { header, payload }, Ok(())) => {
                self.tally.answered += 1;
                self.tally
                    .delivered(from, header.as_bytes().len() + payload.len());
            }
        }
    }

    /// A copy of all counters. `nic` returns the name of a port's NIC, if the NIC exists.
    pub fn counters(&self, nic: impl Fn(PortId) -> Option<String>) -> Counters {
        let enis = self.ports.iter().map(|(id, entry)| {
            let mut counters = self.tally.ports.get(&id).cloned().unwrap_or_default();
            counters.ifname = nic(id);
            counters.connected = nic(self.ports.carrier(id)).is_some();
            (entry.eni_id.clone(), counters)
        });
        Counters {
            received: self.tally.received,
            forwarded: self.tally.forwarded,
            answered: self.tally.answered,
            dropped: self.tally.dropped.clone(),
            sessions: self.guard.sessions(),
            enis: enis.collect(),
        }
    }
}
