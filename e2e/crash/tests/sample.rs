//! A sample of the crash tests that fits into `make test`; `make crash` runs all of them.
//!
//! Which runs are drawn depends on `CRASH_SEED` (1 when it is not set), which is printed.

#![allow(
    clippy::expect_used,
    reason = "a test fails by panicking, and says what was expected"
)]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crash::drive::{Plan, each_fault, each_stall, mix};
use crash::lane::Lane;
use crash::matrix;
use crash::runner::{Options, run_all};
use crash::scenario::Play;

/// No run is begun after this, so that the whole takes about a minute and a half.
const BUDGET: Duration = Duration::from_secs(45);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_whenever_the_control_plane_dies() {
    let seed = std::env::var("CRASH_SEED").map_or(1, |text| text.parse().expect("CRASH_SEED is a number"));
    println!("CRASH_SEED={seed}");
    let lane = Arc::new(Lane::open(seed).await.expect("a lane"));
    let mut all = Vec::new();
    for play in Play::ALL {
        let points = matrix::count(&lane, play).await;
        all.extend(matrix::plans(play, &points.expect("the run without trouble")));
    }
    let mut plans: Vec<Plan> = matrix::sample(all, seed, 9);
    // One of each other sort comes early, the rest as far as the time allows.
    plans.splice(2..2, matrix::sample(each_stall(), seed, 2));
    plans.splice(4..4, matrix::sample(each_fault(), seed, 2));
    plans.insert(6, mix(seed));
    let options = Options {
        lanes: 2,
        seed,
        evidence: PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("crash"),
        budget: Some(BUDGET),
    };
    let summary = run_all(plans, Some(lane), &options).await.expect("lanes");
    println!("{summary}");
    assert!(summary.good(), "CRASH_SEED={seed}: {summary}");
    // A machine so slow that hardly anything ran has proven nothing.
    assert!(summary.outcomes.len() >= 4, "CRASH_SEED={seed}: {summary}");
}
