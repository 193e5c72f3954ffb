//! The ENIs that wait for one kind of change, in order of being due.

use std::collections::BTreeSet;
use std::time::Instant;

use super::typical::Typical;

/// The waiting ENIs of one kind, without those that a call under way asks for.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// ENIs that were not asked for yet, in order of the beginning of the change, which is the order of being due.
    fresh: BTreeSet<(Instant, String)>,
    /// ENIs that were asked for and were not done, in order of being due.
    again: BTreeSet<(Instant, String)>,
    pub(super) typical: Typical,
    /// After an answer "not yet", fresh ENIs wait until this time.
    pub(super) hold: Option<Instant>,
}

impl Queue {
    /// Adds an ENI whose change began at `since`.
    pub(super) fn add_fresh(&mut self, since: Instant, id: &str) {
        self.fresh.insert((since, id.to_owned()));
    }

    /// Adds an ENI that is due at `at`.
    pub(super) fn add_again(&mut self, at: Instant, id: &str) {
        self.again.insert((at, id.to_owned()));
    }

    pub(super) fn remove_fresh(&mut self, since: Instant, id: &str) {
        self.fresh.remove(&(since, id.to_owned()));
    }

    pub(super) fn remove_again(&mut self, at: Instant, id: &str) {
        self.again.remove(&(at, id.to_owned()));
    }

    /// All ENIs with the times at which they are due, earliest first.
    pub(super) fn due(&self) -> impl Iterator<Item = (Instant, &String)> {
        let fresh = self.fresh.iter().map(|(since, id)| (self.fresh_due(*since), id));
        // At the same time, ENIs that were asked for before come first, so that one group probes for all.
        merge(self.again.iter().map(|(at, id)| (*at, id)), fresh)
    }

    pub(super) fn first_due(&self) -> Option<Instant> {
        self.due().next().map(|(at, _)| at)
    }

    pub(super) fn last_due(&self) -> Option<Instant> {
        let fresh = self.fresh.last().map(|(since, _)| self.fresh_due(*since));
        fresh.max(self.again.last().map(|(at, _)| *at))
    }

    fn fresh_due(&self, since: Instant) -> Instant {
        let at = since + self.typical.estimate();
        self.hold.map_or(at, |hold| at.max(hold))
    }
}

/// Merges two sequences in order of time.
pub(super) fn merge<'a>(
    one: impl Iterator<Item = (Instant, &'a String)>,
    other: impl Iterator<Item = (Instant, &'a String)>,
) -> impl Iterator<Item = (Instant, &'a String)> {
    let (mut one, mut other) = (one.peekable(), other.peekable());
    std::iter::from_fn(move || match (one.peek(), other.peek()) {
        (Some((first, _)), Some((second, _))) if second < first => other.next(),
        (Some(_), _) => one.next(),
        (None, _) => other.next(),
    })
}
