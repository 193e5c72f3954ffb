//! How many small polls are affordable: the poller saves calls by waiting for company, unless calls have
//! been rare lately.

use std::time::{Duration, Instant};

/// Polls that may go out at once after a quiet time.
const SAVED: f64 = 10.0;
/// Polls a second that a steady trickle of ENIs may cost. Under the default quota of 500 creates a minute
/// this keeps a member ENI's share of Describe calls below a tenth of a call.
const PER_SECOND: f64 = 0.7;
/// A call for so many ENIs is worth its price in any case.
const WORTHWHILE: f64 = 40.0;

/// A small allowance that fills with time.
#[derive(Debug)]
pub(super) struct Credit {
    saved: f64,
    updated: Option<Instant>,
}

impl Default for Credit {
    fn default() -> Self {
        Credit {
            saved: SAVED,
            updated: None,
        }
    }
}

impl Credit {
    /// When the next small poll is paid for.
    pub(super) fn ready_at(&mut self, now: Instant) -> Instant {
        self.refill(now);
        now + Duration::from_secs_f64((1.0 - self.saved).max(0.0) / PER_SECOND)
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
        self.saved = (self.saved + passed * PER_SECOND).min(SAVED);
        self.updated = Some(now);
    }
}
