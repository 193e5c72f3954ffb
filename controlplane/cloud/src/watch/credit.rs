//! How many small calls are affordable: the poller saves calls by waiting for company, unless calls have
//! been rare lately.

use std::time::{Duration, Instant};

/// Small calls that may go out at once after a quiet time.
const SAVED: f64 = 10.0;
/// A call for so many ENIs is worth its price in any case.
const WORTHWHILE: f64 = 40.0;

/// A small allowance that fills with time.
#[derive(Debug)]
pub(super) struct Credit {
    per_second: f64,
    /// Nobody waits longer than this for a call to be paid for.
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

    /// When the next small call is paid for, if it is wanted at `due`.
    pub(super) fn pays_at(&mut self, now: Instant, due: Instant) -> Instant {
        self.refill(now);
        let ready = now + Duration::from_secs_f64((1.0 - self.saved).max(0.0) / self.per_second);
        ready.clamp(due, due + self.patience)
    }

    /// Pays for a call that asks for this many ENIs.
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
