//! How long a kind of change typically takes, learned from what the poller sees.
//!
//! The aim is a first poll just after the change is done. A first poll that finds it done says only "not
//! longer than this", so the estimate creeps down; a first poll that comes too early gives, with the one
//! that follows, a true measurement.

use std::time::Duration;

/// Before anything was measured.
const START: Duration = Duration::from_millis(1_000);
const LEAST: Duration = Duration::from_millis(50);
const MOST: Duration = Duration::from_secs(30);
/// The estimate shrinks by this much after a first poll that found the change done, twice as much after the
/// next in a row, and so on up to a bound …
const CREEP: f64 = 0.03;
const MOST_CREEP: f64 = 0.24;
/// … and aims this much above a measurement, since asking a little late costs less than asking twice.
const MARGIN: f64 = 1.03;
/// One measurement cannot raise the estimate further than this: an ENI that is stuck must not delay others.
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

    /// Takes in one answer: how many first polls found the change done and how many did not, and the
    /// durations of changes that were seen shortly before and shortly after their end.
    pub(super) fn learn(&mut self, done_at_first: usize, early_at_first: usize, mut measured: Vec<Duration>) {
        if early_at_first > done_at_first {
            self.creep = CREEP;
            // Without a measurement to come (questions may be far apart) the estimate still has to rise.
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
            // Half way, so that one odd value counts for half.
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
