//! What was: the recent past of ENIs and of vSwitches' room, for reads that lag behind.
//! Nothing is kept while no read may look back.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use jiff::Timestamp;

use super::Cloud;
use super::eni::Eni;

/// Changes kept at most; beyond it the oldest go, and reads see less far back.
const LONGEST: usize = 200_000;

/// Which moment reads see; the present where there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LookBack {
    /// For ENIs.
    pub enis: Option<Timestamp>,
    /// For the number of available addresses.
    pub space: Option<Timestamp>,
}

/// Past versions of things: what each change replaced, in the order of the changes.
#[derive(Debug)]
pub struct Past<K, V> {
    /// How long to keep them; nothing when zero.
    keep: Duration,
    changes: VecDeque<(Timestamp, K, V)>,
}

impl<K, V> Default for Past<K, V> {
    fn default() -> Self {
        Past {
            keep: Duration::ZERO,
            changes: VecDeque::new(),
        }
    }
}

impl<K: Copy + Ord, V> Past<K, V> {
    /// Whether changes are to be noted.
    pub fn kept(&self) -> bool {
        !self.keep.is_zero()
    }

    /// Keeps changes for so long.
    pub fn keep(&mut self, span: Duration) {
        self.keep = span;
        if span.is_zero() {
            self.changes.clear();
        }
    }

    /// Notes what a change replaced.
    pub fn note(&mut self, now: Timestamp, key: K, before: V) {
        let forgotten = |at: Timestamp| now.duration_since(at).unsigned_abs() > self.keep;
        while self
            .changes
            .front()
            .is_some_and(|(at, _, _)| forgotten(*at) || self.changes.len() >= LONGEST)
        {
            self.changes.pop_front();
        }
        self.changes.push_back((now, key, before));
    }

    /// What has changed after `at`, as it was then.
    pub fn since(&self, at: Timestamp) -> BTreeMap<K, &V> {
        let mut then = BTreeMap::new();
        // Backwards: the earliest of several changes replaced what was there at that time.
        for (_, key, before) in self.changes.iter().rev().take_while(|(when, _, _)| *when > at) {
            then.insert(*key, before);
        }
        then
    }
}

/// The room of vSwitches over time.
#[derive(Debug, Default)]
pub(super) struct SpacePast {
    /// vSwitches by number, as they stand in the cloud.
    past: Past<usize, u32>,
    last: HashMap<usize, u32>,
}

impl Cloud {
    /// Keeps the past for so long.
    pub fn keep_history(&mut self, span: Duration) {
        self.enis.past.keep(span);
        self.space_past.past.keep(span);
        self.space_past.last = match span.is_zero() {
            true => HashMap::new(),
            false => self
                .vswitches
                .values()
                .map(|vswitch| vswitch.space.available())
                .enumerate()
                .collect(),
        };
    }

    /// Notes how the room in vSwitches has changed; to be called after every use.
    pub fn record_space(&mut self, now: Timestamp) {
        if !self.space_past.past.kept() {
            return;
        }
        for (number, vswitch) in self.vswitches.values().enumerate() {
            let available = vswitch.space.available();
            if let Some(before) = self.space_past.last.insert(number, available)
                && before != available
            {
                self.space_past.past.note(now, number, before);
            }
        }
    }

    /// Sets which moment reads see from now on.
    pub fn look_back(&mut self, moment: LookBack) {
        self.enis.seen_at = moment.enis;
        self.space_seen_at = moment.space;
    }

    /// Addresses that a vSwitch shows as available, at the moment that reads see.
    pub fn available_seen(&self, vswitch: &str) -> u32 {
        let Some((number, (_, state))) = self
            .vswitches
            .iter()
            .enumerate()
            .find(|(_, (id, _))| id.as_str() == vswitch)
        else {
            return 0;
        };
        self.space_seen_at
            .and_then(|at| self.space_past.past.since(at).get(&number).map(|before| **before))
            .unwrap_or_else(|| state.space.available())
    }
}

/// ENIs that are seen instead of those of the present, by serial; none where there was none.
pub(super) type SeenEnis<'a> = BTreeMap<u64, &'a Option<Eni>>;
