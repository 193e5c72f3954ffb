//! A sample of the crash tests that fits into `make test`; `make crash` runs all of them.
//!
//! The sample is the same in each run, so that a change and not the day decides whether the test passes. `CRASH_SEED`
//! draws another one.

#![allow(
    clippy::expect_used,
    reason = "a test fails by panicking, and says what was expected"
)]

use std::path::PathBuf;
use std::sync::Arc;

use crash::drive::{Plan, each_fault, each_stall, mix};
use crash::lane::Lane;
use crash::matrix;
use crash::runner::{Options, run_all};
use crash::scenario::Play;

/// The seed that is asked for, or the usual one.
fn seed() -> u64 {
    std::env::var("CRASH_SEED").map_or(1, |text| text.parse().expect("CRASH_SEED is a number"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_whenever_the_control_plane_dies() {
    let seed = seed();
    println!("CRASH_SEED={seed}");
    let lane = Arc::new(Lane::open(seed).await.expect("a lane"));
    let mut all = Vec::new();
    for play in Play::ALL {
        let points = matrix::count(&lane, play).await;
        all.extend(matrix::plans(play, &points.expect("the run without trouble")));
    }
    let mut plans: Vec<Plan> = matrix::sample(all, seed, 4);
    plans.extend(matrix::sample(each_stall(), seed, 1));
    plans.extend(matrix::sample(each_fault(), seed, 2));
    plans.push(mix(seed));
    let drawn = plans.len();
    let options = Options {
        lanes: 2,
        seed,
        evidence: PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("crash"),
        budget: None,
    };
    let summary = run_all(plans, Some(lane), &options).await.expect("lanes");
    assert!(summary.good(), "CRASH_SEED={seed}: {summary}");
    assert_eq!(summary.outcomes.len(), drawn, "CRASH_SEED={seed}: {summary}");
}
