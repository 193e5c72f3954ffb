//! How long a kind of change typically takes, learned from the poller's observations.
//!
//! The aim is a first poll just after the change is done. A first poll that finds the change done shows only an upper
//! limit, so the estimate shrinks slowly. A first poll that comes too early gives, with the next poll, a measurement.

use std::time::Duration;

/// The estimate before anything was measured.
const START: Duration = Duration::from_millis(1_000);
const LEAST: Duration = Duration::from_millis(50);
const MOST: Duration = Duration::from_secs(30);
/// Share by which the estimate shrinks after a first poll that found the change done. Each further such poll in a row
/// shrinks it by one share more, up to a bound.
const CREEP: f64 = 0.03;
const MOST_CREEP: f64 = 0.24;
/// The estimate is this factor above a measurement, because a poll that is a little late costs less than two polls.
const MARGIN: f64 = 1.03;
/// One measurement raises the estimate at most by this factor, because a stuck ENI must not delay others.
const MOST_GROWTH: f64 = 1.25;

/// The estimate for one kind of change.
#[derive(Debug, Clone, Copy)]
pub(super) struct Typical {
    estimate: Duration,
    measured: bool,
    creep: f64,
}

impl Default for Typical {
    fn default() -> Self {
        Typical {
            estimate: START,
            measured: false,
            creep: CREEP,
        }
    }
}

impl Typical {
    pub(super) fn estimate(&self) -> Duration {
        self.estimate
    }

    /// Learns from one answer: how many first polls found the change done, how many did not, and measured durations.
    pub(super) fn learn(&mut self, done_at_first: usize, early_at_first: usize, mut measured: Vec<Duration>) {
        if early_at_first > done_at_first {
            self.creep = CREEP;
            // The estimate rises even if no measurement follows, because polls may be far apart.
            self.set(self.estimate.mul_f64(1.0 + CREEP));
        }
        if measured.is_empty() {
            if done_at_first > early_at_first {
                self.set(self.estimate.mul_f64(1.0 - self.creep));
                self.creep = (self.creep * 2.0).min(MOST_CREEP);
            }
            return;
        }
        self.creep = CREEP;
        measured.sort();
        let median = measured[measured.len() / 2];
        let target = median.mul_f64(MARGIN);
        let next = if self.measured {
            // The estimate moves half way, so that one unusual value counts only half.
            let half_way = (self.estimate + target) / 2;
            half_way
                .max(target.min(self.estimate))
                .min(self.estimate.mul_f64(MOST_GROWTH))
        } else {
            target
        };
        self.measured = true;
        self.set(next);
    }

    fn set(&mut self, estimate: Duration) {
        self.estimate = estimate.clamp(LEAST, MOST);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// One ENI at a time, polled at the estimate and then every twentieth of it.
    fn waits(typical: &mut Typical, took: Duration) -> Duration {
        let mut asked = typical.estimate();
        if asked >= took {
            typical.learn(1, 0, Vec::new());
            return asked - took;
        }
        typical.learn(0, 1, Vec::new());
        loop {
            let before = asked;
            asked += (asked / 16).max(Duration::from_millis(50));
            if asked >= took {
                typical.learn(0, 0, vec![(before + asked) / 2]);
                return asked - took;
            }
        }
    }

    proptest! {
        #[test]
        fn after_a_few_it_asks_soon_after_the_end(millis in 200u64..20_000) {
            let took = Duration::from_millis(millis);
            let mut typical = Typical::default();
            for _ in 0..150 {
                waits(&mut typical, took);
            }
            for _ in 0..50 {
                let late = waits(&mut typical, took);
                prop_assert!(late <= (took / 8).max(Duration::from_millis(60)), "{:?} late of {:?}", late, took);
            }
        }
    }

    #[test]
    fn one_stuck_interface_does_not_delay_the_others() {
        let mut typical = Typical::default();
        for _ in 0..20 {
            waits(&mut typical, Duration::from_millis(1500));
        }
        let before = typical.estimate();
        typical.learn(0, 0, vec![Duration::from_secs(600)]);
        assert!(typical.estimate() <= before.mul_f64(MOST_GROWTH));
    }
}
