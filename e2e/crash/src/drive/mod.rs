//! One run: the scenario is played while something makes trouble; afterwards every rule is asked.

mod faults;
mod kill;
mod leaders;
mod meddle;
mod mix;

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use async_trait::async_trait;
use futures::future::join_all;
use parking_lot::Mutex;

pub use faults::{Faults, each_fault};
pub use kill::{Kill, Moment};
pub use leaders::{Handover, Stall, each_stall};
pub use meddle::{Settle, Take, Withhold};
pub use mix::mix;

use crate::checker::{Violation, at_the_end, history};
use crate::controlplane::{Keeper, Times};
use crate::evidence;
use crate::lane::Lane;
use crate::scenario::{Play, Stage, play};

/// Something that goes wrong during a run.
#[async_trait]
pub trait Trouble: Send + Sync {
    /// Makes trouble. It is dropped when the scenario is over, if it has not ended before.
    async fn make(&self, scene: &Scene) -> Result<()>;
}

/// What troubles act upon.
pub struct Scene {
    pub lane: Arc<Lane>,
    pub keeper: Keeper,
    /// What was done, for the report.
    did: Mutex<Vec<String>>,
}

impl Scene {
    /// Notes what was done.
    pub fn did(&self, what: impl Into<String>) {
        self.did.lock().push(what.into());
    }
}

/// What a run is to be.
pub struct Plan {
    /// Names it, and reproduces it.
    pub label: String,
    pub play: Play,
    pub replicas: &'static [&'static str],
    pub times: Times,
    pub troubles: Vec<Box<dyn Trouble>>,
    /// How long one wish of the scenario may take.
    pub patience: Duration,
    /// The run says nothing when none of its troubles came about.
    pub must_strike: bool,
    /// Number of the call in the counted run, for the report.
    pub call: Option<usize>,
}

impl Plan {
    /// A run with one replica and no trouble; the name tells the play too.
    pub fn quiet(play: Play, label: &str) -> Plan {
        Plan {
            label: format!("{}{label}", play.prefix()),
            play,
            replicas: &["one"],
            times: Times::default(),
            troubles: Vec::new(),
            patience: play.patience(),
            must_strike: false,
            call: None,
        }
    }

    /// With one more trouble.
    pub fn with(mut self, trouble: impl Trouble + 'static) -> Plan {
        self.troubles.push(Box::new(trouble));
        self.must_strike = true;
        self
    }
}

/// What came of a run.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub label: String,
    pub violations: Vec<Violation>,
    /// What the troubles did.
    pub did: Vec<String>,
    /// False when a trouble was planned and none came about.
    pub struck: bool,
    pub took: Duration,
    /// Calls of the control plane.
    pub calls: usize,
    pub restarts: u64,
    /// Number of the last call before the run.
    pub since: u64,
}

/// Runs a plan in a lane.
///
/// # Errors
/// When the run could not be made; that the control plane misbehaves is an outcome, not an error.
pub async fn run(lane: &Arc<Lane>, plan: &Plan) -> Result<Outcome> {
    let began = Instant::now();
    lane.view.forget();
    lane.ledger.clear();
    let since = lane.cloud.call_count();
    let scene = Scene {
        lane: lane.clone(),
        keeper: Keeper::start(&lane.setup, &plan.times, plan.play, plan.replicas)?,
        did: Mutex::default(),
    };
    let stage = Stage {
        lane: lane.clone(),
        patience: plan.patience,
    };
    let actors = plan.play.cast();
    let work = async {
        let found = play(&stage, &actors).await?;
        gone(&stage).await?;
        Ok(found)
    };
    let played = beside(work, make_all(&scene, &plan.troubles)).await;
    lane.cloud.clear_faults();
    let mut violations = match played {
        Ok(found) => end(lane, found).await?,
        Err(stuck) => vec![not_converged(&stuck)],
    };
    let restarts = scene.keeper.restarts();
    drop(scene.keeper);
    let facts = evidence::facts(lane, since);
    violations.extend(history(&facts));
    let did = scene.did.into_inner();
    Ok(Outcome {
        label: plan.label.clone(),
        violations,
        struck: !plan.must_strike || !did.is_empty(),
        did,
        took: began.elapsed(),
        calls: facts.calls.len(),
        restarts,
        since,
    })
}

/// Everything was given up: waits until it is gone.
async fn gone(stage: &Stage) -> Result<()> {
    let lane = &stage.lane;
    let gone = || async {
        let no_objects = lane
            .view
            .objects(|objects| objects.interfaces.is_empty() && objects.node_records.is_empty());
        no_objects && lane.cloud.enis().len() == lane.before.len()
    };
    lane.view
        .until("everything of ours is gone", stage.patience, gone)
        .await
}

/// Looks at what is left.
async fn end(lane: &Lane, mut found: Vec<Violation>) -> Result<Vec<Violation>> {
    let quiet_from = lane.cloud.call_count();
    tokio::time::sleep(QUIET).await;
    let late = lane.cloud.calls_since(quiet_from);
    let late = late
        .iter()
        .filter(|record| evidence::call(record).mutates())
        .count();
    found.extend(at_the_end(&evidence::remains(lane, late).await?));
    Ok(found)
}

/// How long nothing may happen after everything is gone.
const QUIET: Duration = Duration::from_millis(200);

fn not_converged(stuck: &anyhow::Error) -> Violation {
    Violation::NotConverged {
        what: format!("{stuck:#}"),
    }
}

async fn make_all(scene: &Scene, troubles: &[Box<dyn Trouble>]) {
    let made = join_all(troubles.iter().map(|trouble| trouble.make(scene))).await;
    for failed in made.into_iter().filter_map(Result::err) {
        scene.did(format!("a trouble could not be made: {failed:#}"));
    }
}

/// Does the work with something beside it, which ends with it.
pub(crate) async fn beside<T>(work: impl Future<Output = T>, other: impl Future<Output = ()>) -> T {
    let endless = async {
        other.await;
        std::future::pending::<()>().await;
    };
    // Cancel-safe: what is beside cleans up when it is dropped.
    tokio::select! {
        done = work => done,
        () = endless => unreachable!("it never ends"),
    }
}
