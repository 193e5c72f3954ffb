//! Which events are told, given what was told before. Time is passed in.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::{Limits, Rate, Repeated};

/// Causes that are remembered at least; below this number nothing is swept.
const FEW: usize = 1024;
/// Causes that are remembered at most. Beyond this number all are forgotten: a repeated event is better than memory
/// that grows without bound.
const MANY: usize = 65_536;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Tell,
    /// It was told not long ago.
    Repeated,
    /// The rate is used up.
    TooMany,
}

/// What was told, and when.
#[derive(Debug)]
pub(super) struct Repeats {
    repeated: Repeated,
    last: HashMap<u64, Last>,
    /// Number of causes at which old ones are swept out.
    sweep_at: usize,
    rate: Option<Rate>,
    tokens: f64,
    filled: Instant,
}

/// What was told last about one subject.
#[derive(Clone, Copy, Debug)]
struct Last {
    whole: u64,
    at: Instant,
}

impl Repeats {
    pub(super) fn new(limits: Limits, now: Instant) -> Self {
        Self {
            repeated: limits.repeated,
            last: HashMap::new(),
            sweep_at: FEW,
            rate: limits.rate,
            tokens: limits.rate.map_or(0.0, |rate| rate.burst),
            filled: now,
        }
    }

    /// Judges an event about `of`; `whole` is the same for events with the same words.
    pub(super) fn judge(&mut self, of: u64, whole: u64, now: Instant) -> Verdict {
        self.sweep(now);
        let quiet = |last: &Last| match self.repeated {
            Repeated::UntilSilent(time) => time,
            Repeated::AtMostEvery { same, .. } if last.whole == whole => same,
            Repeated::AtMostEvery { other, .. } => other,
        };
        let told = self.last.get(&of);
        if told.is_some_and(|last| now.duration_since(last.at) < quiet(last)) {
            if matches!(self.repeated, Repeated::UntilSilent(_)) {
                self.last.insert(of, Last { whole, at: now });
            }
            return Verdict::Repeated;
        }
        if !self.take_token(now) {
            return Verdict::TooMany;
        }
        self.last.insert(of, Last { whole, at: now });
        Verdict::Tell
    }

    /// The time after which an event says nothing about later ones.
    fn quiet(&self) -> Duration {
        match self.repeated {
            Repeated::UntilSilent(time) => time,
            Repeated::AtMostEvery { same, other } => same.max(other),
        }
    }

    fn take_token(&mut self, now: Instant) -> bool {
        let Some(rate) = self.rate else { return true };
        let came = now.duration_since(self.filled).as_secs_f64() * rate.per_second;
        self.tokens = (self.tokens + came).min(rate.burst);
        self.filled = now;
        let enough = self.tokens >= 1.0;
        if enough {
            self.tokens -= 1.0;
        }
        enough
    }

    fn sweep(&mut self, now: Instant) {
        if self.last.len() < self.sweep_at {
            return;
        }
        let quiet = self.quiet();
        self.last.retain(|_, last| now.duration_since(last.at) < quiet);
        if self.last.len() >= MANY {
            self.last.clear();
        }
        self.sweep_at = FEW.max(2 * self.last.len()).min(MANY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn repeats(repeated: Repeated, rate: Option<Rate>, now: Instant) -> Repeats {
        let limits = Limits {
            queue: 1,
            repeated,
            rate,
        };
        Repeats::new(limits, now)
    }

    const PACED: Repeated = Repeated::AtMostEvery {
        same: Duration::from_secs(30),
        other: Duration::from_secs(5),
    };

    #[test]
    fn a_cause_that_goes_on_is_told_every_half_minute() {
        let start = Instant::now();
        let mut repeats = repeats(PACED, None, start);
        let verdicts = [(1, 0), (1, 10), (2, 10), (1, 31), (1, 60), (1, 62)]
            .map(|(of, at)| repeats.judge(of, of, start + seconds(at)) == Verdict::Tell);
        assert_eq!(verdicts, [true, false, true, true, false, true]);
    }

    #[test]
    fn another_cause_of_the_same_trouble_is_told_soon() {
        let start = Instant::now();
        let mut repeats = repeats(PACED, None, start);
        let verdicts = [(10, 0), (11, 4), (11, 5), (11, 20), (10, 21), (10, 50), (10, 51)]
            .map(|(whole, at)| repeats.judge(1, whole, start + seconds(at)) == Verdict::Tell);
        assert_eq!(verdicts, [true, false, true, false, true, false, true]);
    }

    #[test]
    fn a_cause_that_goes_on_is_told_once_until_it_was_silent() {
        let start = Instant::now();
        let mut repeats = repeats(Repeated::UntilSilent(seconds(3600)), None, start);
        let verdicts =
            [0, 1800, 3601, 7200, 10_801].map(|at| repeats.judge(1, 1, start + seconds(at)) == Verdict::Tell);
        assert_eq!(verdicts, [true, false, false, false, true]);
    }

    #[test]
    fn a_storm_is_bounded_and_the_rate_comes_back() {
        let start = Instant::now();
        let rate = Rate {
            burst: 50.0,
            per_second: 2.0,
        };
        let mut repeats = repeats(PACED, Some(rate), start);
        let told = (0..1000).filter(|cause| repeats.judge(*cause, *cause, start) == Verdict::Tell);
        assert_eq!(told.count(), 50);
        assert_eq!(repeats.judge(5000, 5000, start), Verdict::TooMany);
        // A cause that was too much is not remembered as told.
        assert_eq!(repeats.judge(5000, 5000, start + seconds(1)), Verdict::Tell);
    }

    #[test]
    fn the_memory_is_bounded() {
        let start = Instant::now();
        let mut repeats = repeats(Repeated::UntilSilent(seconds(3600)), None, start);
        for cause in 0..200_000 {
            repeats.judge(cause, cause, start);
            assert!(repeats.last.len() <= MANY);
        }
        // Old causes go before there are many.
        for cause in 0..5000 {
            repeats.judge(1_000_000 + cause, 0, start + seconds(3600 * (1 + cause)));
        }
        assert!(repeats.last.len() <= 2 * FEW, "{}", repeats.last.len());
    }
}
