//! The recent past of ENIs and of available addresses, for reads that lag behind. Without such reads nothing is kept.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use jiff::Timestamp;

use super::Cloud;
use super::eni::Eni;

/// Largest number of kept changes. When there are more, the oldest are removed, and reads look back less far.
const LONGEST: usize = 200_000;

/// The moment that reads show. `None` is the present.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LookBack {
    /// The moment for ENIs.
    pub enis: Option<Timestamp>,
    /// The moment for the number of available addresses.
    pub space: Option<Timestamp>,
}

/// The values that changes replaced, in the order of the changes.
#[derive(Debug)]
pub struct Past<K, V> {
    /// How long a value is kept. Zero: nothing is kept.
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
    /// Whether changes are kept.
    pub fn kept(&self) -> bool {
        !self.keep.is_zero()
    }

    /// Sets how long a value is kept.
    pub fn keep(&mut self, span: Duration) {
        self.keep = span;
        if span.is_zero() {
            self.changes.clear();
        }
    }

    /// Records the value `before` that a change replaced.
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

    /// The values at the moment `at` of everything that has changed since.
    pub fn since(&self, at: Timestamp) -> BTreeMap<K, &V> {
        let mut then = BTreeMap::new();
        // The loop runs backwards, so that the earliest change after `at` decides.
        for (_, key, before) in self.changes.iter().rev().take_while(|(when, _, _)| *when > at) {
            then.insert(*key, before);
        }
        then
    }
}

/// The number of available addresses of vSwitches over time.
#[derive(Debug, Default)]
pub(super) struct SpacePast {
    /// Keyed by the index of the vSwitch in the cloud.
    past: Past<usize, u32>,
    last: HashMap<usize, u32>,
}

impl Cloud {
    /// Sets how long the past is kept.
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

    /// Records changes of the number of available addresses. Call it after every use of the cloud.
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

    /// Sets the moment that reads show from now on.
    pub fn look_back(&mut self, moment: LookBack) {
        self.enis.seen_at = moment.enis;
        self.space_seen_at = moment.space;
    }

    /// Number of available addresses of a vSwitch, at the moment that reads show.
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

/// ENIs that a read shows instead of the present ones, by serial. `None`: the ENI did not exist.
pub(super) type SeenEnis<'a> = BTreeMap<u64, &'a Option<Eni>>;
