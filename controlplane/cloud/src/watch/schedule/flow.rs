//! How many calls may be under way, and the pause after failures.

use std::time::{Duration, Instant};

/// Calls under way at the same time while most answers bring completed changes.
const MOST_CALLS: usize = 4;
/// Pause after a failed call. Each further failure doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// Longest pause.
const MOST_PAUSE: Duration = Duration::from_secs(10);

/// The calls under way, and the failures in a row.
#[derive(Debug, Default)]
pub(super) struct Flow {
    calls: usize,
    /// Whether most answers bring completed changes.
    flowing: bool,
    failures: u32,
    paused_until: Option<Instant>,
}

impl Flow {
    /// Whether one more call may be under way.
    pub(super) fn may_send(&self) -> bool {
        self.calls < if self.flowing { MOST_CALLS } else { 1 }
    }

    /// `at`, or the end of the pause if that is later.
    pub(super) fn not_before(&self, at: Instant) -> Instant {
        self.paused_until.map_or(at, |until| at.max(until))
    }

    pub(super) fn sent(&mut self) {
        self.calls += 1;
    }

    pub(super) fn answered(&mut self) {
        self.calls = self.calls.saturating_sub(1);
        self.failures = 0;
        self.paused_until = None;
    }

    /// Begins a pause and returns its end.
    pub(super) fn failed(&mut self, now: Instant) -> Instant {
        self.calls = self.calls.saturating_sub(1);
        self.flowing = false;
        let pause = FIRST_PAUSE
            .saturating_mul(1 << self.failures.min(10))
            .min(MOST_PAUSE);
        self.failures += 1;
        let until = now + pause;
        self.paused_until = Some(until);
        until
    }

    /// Learns from an answer: how many changes were done, and how many were asked for too early.
    pub(super) fn judge(&mut self, done: usize, early: usize) {
        if done + early > 0 {
            self.flowing = done >= early;
        }
    }
}
