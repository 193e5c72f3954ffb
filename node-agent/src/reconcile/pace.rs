//! How soon a round follows when somebody changes the kernel, and whether somebody undoes what the rounds repair.
//!
//! A round compares everything. A program that changes routes all the time, or that puts back what a round has
//! repaired, must not keep the node at work.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

/// Changes come in groups: a round waits this long for the rest of its group.
pub const GATHER: Duration = Duration::from_millis(500);

/// The longest wait.
const LONGEST: Duration = Duration::from_secs(30);

/// The longest wait when rounds find nothing to repair: a change that counts may hide among those that do not.
const LONGEST_FUTILE: Duration = Duration::from_secs(8);

/// How long a repair is remembered.
const WINDOW: Duration = Duration::from_secs(300);

/// So often a thing may be repaired within [`WINDOW`] before it is called a fight.
const FIGHT: usize = 8;

/// So many rounds or repairs of one thing follow each other without a longer wait.
const PATIENCE: u32 = 4;

/// The repairs of the last minutes, of rounds that somebody's change has caused.
#[derive(Debug, Default)]
pub struct Pace {
    repairs: VecDeque<(Instant, String)>,
    /// Rounds without a repair since the last one with a repair.
    futile: u32,
}

impl Pace {
    /// Notes what a round has repaired that somebody's change has caused.
    pub fn note(&mut self, now: Instant, repairs: &[String]) {
        self.futile = if repairs.is_empty() { self.futile + 1 } else { 0 };
        self.repairs
            .extend(repairs.iter().map(|step| (now, step.clone())));
        self.forget(now);
    }

    /// Nobody has changed the kernel for a while.
    pub fn quiet(&mut self, now: Instant) {
        self.futile = 0;
        self.forget(now);
    }

    fn forget(&mut self, now: Instant) {
        while let Some((at, _)) = self.repairs.front()
            && now.duration_since(*at) >= WINDOW
        {
            self.repairs.pop_front();
        }
    }

    /// How long the next round waits after a change.
    pub fn gather(&self) -> Duration {
        let most = self.repairs.iter().map(|(_, step)| self.times(step)).max();
        let repeated = doubled(u32::try_from(most.unwrap_or_default()).unwrap_or(u32::MAX)).min(LONGEST);
        repeated.max(doubled(self.futile).min(LONGEST_FUTILE))
    }

    /// What is repaired again and again.
    pub fn contested(&self) -> BTreeSet<&str> {
        let steps = self.repairs.iter().map(|(_, step)| step.as_str());
        steps.filter(|step| self.times(step) >= FIGHT).collect()
    }

    fn times(&self, step: &str) -> usize {
        self.repairs.iter().filter(|(_, other)| other == step).count()
    }
}

/// [`GATHER`], doubled for each time beyond [`PATIENCE`].
fn doubled(times: u32) -> Duration {
    let beyond = times.saturating_sub(PATIENCE).min(8);
    GATHER * (1 << beyond)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step() -> [String; 1] {
        ["add rule 512".to_owned()]
    }

    #[test]
    fn a_thing_that_is_undone_again_and_again_is_repaired_ever_later_and_told() {
        let (mut pace, mut now) = (Pace::default(), Instant::now());
        let mut waits = Vec::new();
        for _ in 0..40 {
            pace.note(now, &step());
            waits.push(pace.gather());
            now += pace.gather();
        }
        assert!(waits[..4].iter().all(|wait| *wait == GATHER), "{waits:?}");
        assert!(
            waits.is_sorted_by(|a, b| a <= b || *b == LONGEST / 2),
            "{waits:?}"
        );
        assert!(*waits.last().unwrap() >= LONGEST / 2, "{waits:?}");
        assert_eq!(pace.contested(), ["add rule 512"].into());
        pace.quiet(now + WINDOW);
        assert_eq!((pace.gather(), pace.contested().len()), (GATHER, 0));
    }

    #[test]
    fn single_repairs_of_many_things_are_no_fight() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        let steps: Vec<String> = (0..99).map(|number| format!("add rule {number}")).collect();
        pace.note(now, &steps);
        assert_eq!((pace.gather(), pace.contested().len()), (GATHER, 0));
    }

    #[test]
    fn changes_that_need_no_repair_slow_the_rounds_until_it_is_quiet() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        for _ in 0..99 {
            pace.note(now, &[]);
        }
        assert_eq!(pace.gather(), LONGEST_FUTILE);
        pace.note(now, &step());
        assert_eq!(pace.gather(), GATHER, "there was something to repair");
        pace.note(now, &[]);
        pace.quiet(now);
        assert_eq!(pace.gather(), GATHER);
    }
}
