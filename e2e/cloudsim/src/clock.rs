//! The cloud's clock: wall time at the start, and steady from then on, so that a change of
//! the machine's time never moves a completion.

use std::time::{Duration, Instant};

use jiff::Timestamp;

/// A steady clock that tells wall time.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Timestamp,
    since: Instant,
}

impl Clock {
    /// A clock that agrees with the machine's now.
    pub fn start() -> Clock {
        Clock {
            start: Timestamp::now(),
            since: Instant::now(),
        }
    }

    /// The cloud's time.
    pub fn now(&self) -> Timestamp {
        self.start + self.since.elapsed()
    }

    /// How long it is until `at`; zero when it has passed.
    pub fn until(&self, at: Timestamp) -> Duration {
        Duration::try_from(at.duration_since(self.now())).unwrap_or(Duration::ZERO)
    }
}
