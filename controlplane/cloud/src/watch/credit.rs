//! The allowance of small calls. The poller saves calls by waiting for more ENIs, unless calls have been rare lately.

use std::time::{Duration, Instant};

/// Number of small calls that may be sent at once after a quiet time.
const SAVED: f64 = 10.0;
/// A call for this many ENIs never waits for more ENIs.
const WORTHWHILE: f64 = 40.0;

/// An allowance of calls that fills with time.
#[derive(Debug)]
pub(super) struct Credit {
    per_second: f64,
    /// The longest time that an ENI waits for the allowance.
    patience: Duration,
    saved: f64,
    updated: Option<Instant>,
}

impl Credit {
    pub(super) fn new(per_second: f64, patience: Duration) -> Self {
        Credit {
            per_second,
            patience,
            saved: SAVED,
            updated: None,
        }
    }

    /// When the allowance suffices for a small call that is due at `due`.
    pub(super) fn pays_at(&mut self, now: Instant, due: Instant) -> Instant {
        self.refill(now);
        let ready = now + Duration::from_secs_f64((1.0 - self.saved).max(0.0) / self.per_second);
        ready.clamp(due, due + self.patience)
    }

    /// Takes the price of a call for this many ENIs from the allowance.
    pub(super) fn pay(&mut self, enis: usize, now: Instant) {
        self.refill(now);
        let price = (1.0 - enis as f64 / WORTHWHILE).max(0.0);
        self.saved = (self.saved - price).max(0.0);
    }

    fn refill(&mut self, now: Instant) {
        let passed = self
            .updated
            .map_or(0.0, |at| now.saturating_duration_since(at).as_secs_f64());
        self.saved = (self.saved + passed * self.per_second).min(SAVED);
        self.updated = Some(now);
    }
}
