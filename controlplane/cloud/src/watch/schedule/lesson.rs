//! What one answer teaches about the duration of one kind of change.

use std::time::{Duration, Instant};

use super::Interest;

/// Shortest time until an ENI is asked for again.
const LEAST_GAP: Duration = Duration::from_millis(50);
/// Longest time until an ENI is asked for again.
const MOST_GAP: Duration = Duration::from_secs(15);

/// The ENIs of one answer, as far as they show how long the change takes.
#[derive(Debug, Default)]
pub(super) struct Lesson {
    /// Number of completed changes.
    pub(super) done: usize,
    /// Number of changes that were done when they were asked for the first time.
    pub(super) done_at_first: usize,
    /// Number of changes that were not done when they were asked for the first time.
    pub(super) early_at_first: usize,
    /// Durations of changes whose end was measured.
    pub(super) measured: Vec<Duration>,
    /// Ages of changes that are not done.
    pub(super) early: Vec<Duration>,
}

impl Lesson {
    /// Adds one ENI of the answer. `met`: the change is done; `looked`: when the cloud looked.
    pub(super) fn take(&mut self, interest: &Interest, met: bool, looked: Instant, typical: Duration) {
        // A change whose beginning is unknown teaches nothing about durations.
        let Some(begun) = interest.begun else { return };
        let age = looked.saturating_duration_since(begun);
        if !met {
            self.early.push(age);
            self.early_at_first += usize::from(interest.not_yet.is_none());
            return;
        }
        self.done += 1;
        match interest
            .not_yet
            .map(|before| before.saturating_duration_since(begun))
        {
            // A first look that came late anyway does not show that an earlier look would have been enough.
            None if age <= typical.mul_f64(1.1) + LEAST_GAP => self.done_at_first += 1,
            // The change ended between two looks. Looks that are far apart measure nothing.
            Some(before) if age - before <= (age / 4).max(LEAST_GAP * 4) => {
                self.measured.push((before + age) / 2);
            }
            None | Some(_) => {}
        }
    }
}

/// Time until the next look at an ENI of this age: a small share of the age within the usual range, a large share
/// beyond.
pub(super) fn gap(age: Duration, typical: Duration) -> Duration {
    let gap = if age <= typical * 3 { age / 20 } else { age / 4 };
    gap.clamp(LEAST_GAP, MOST_GAP)
}
