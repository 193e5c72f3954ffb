//! Random mixes of troubles, each drawn from a seed.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use super::faults::kinds;
use super::leaders::two;
use super::{Handover, Kill, Moment, Plan, Stuck, Take, Withhold};
use crate::scenario::Play;

/// The mix of a seed. The same seed draws the same troubles. Every third mix plays with shared ENIs.
pub fn mix(seed: u64) -> Plan {
    let mut random = StdRng::seed_from_u64(seed);
    let label = format!("mix:{seed}");
    let play = if seed.is_multiple_of(3) {
        Play::Shared
    } else {
        Play::Members
    };
    let mut plan = if random.random_bool(0.3) {
        let every = Duration::from_millis(random.random_range(1_800..4_000));
        two(play, &label).with(Handover { every })
    } else {
        Plan::quiet(play, &label)
    };
    plan.patience = Duration::from_secs(90);
    let kinds = kinds(play);
    for (_, faults) in kinds.sample(&mut random, 2) {
        plan = plan.with(faults.clone());
    }
    for _ in 0..random.random_range(1..=3) {
        plan = plan.with(Kill {
            action: play
                .mutating()
                .choose(&mut random)
                .copied()
                .unwrap_or("CreateNetworkInterface")
                .to_owned(),
            nth: random.random_range(1..=8),
            moment: [Moment::Before, Moment::After, Moment::Late]
                .choose(&mut random)
                .copied()
                .unwrap_or(Moment::After),
        });
    }
    match random.random_range(0..6) {
        // These troubles concern ENIs of pods, which the other play has.
        0 | 1 | 3 if play == Play::Shared => plan,
        0 => plan.with(Take::DetachReleased),
        1 => plan.with(Take::DeleteReleased),
        2 => plan.with(Take::DeleteUnused),
        3 => plan.with(Withhold {
            time: Duration::from_secs(1),
            after_choice: random.random(),
        }),
        4 => plan.with(Stuck {
            action: "AttachNetworkInterface",
            times: 1,
        }),
        _ => plan,
    }
}
