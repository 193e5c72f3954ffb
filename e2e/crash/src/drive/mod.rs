//! One run: the scenario is played while troubles are made. Afterwards the checker looks at what is left.

mod faults;
mod kill;
mod leaders;
mod meddle;
mod mix;
mod outage;
mod rejoin;
mod surroundings;

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use async_trait::async_trait;
use cloudsim::Fault;
use cloudsim::call_log::CallRecord;
use futures::future::join_all;
use parking_lot::Mutex;

pub use faults::{Faults, each_fault};
pub use kill::{Kill, Moment};
pub use leaders::{Handover, Stall, each_stall};
pub use meddle::{Stuck, Take, Withhold};
pub use mix::mix;
pub use outage::each_outage;
pub use rejoin::each_rejoin;
pub use surroundings::each_surrounding;

use crate::checker::{Violation, at_the_end, history};
use crate::controlplane::Keeper;
use crate::evidence;
use crate::lane::Lane;
use crate::scenario::{Play, Stage, play};
use crate::settings::Times;

/// Something that goes wrong during a run.
#[async_trait]
pub trait Trouble: Send + Sync {
    /// Makes trouble, and notes with [`Scene::did`] or [`Scene::inject`] that it came about. It is dropped when the
    /// scenario is over, if it has not ended before.
    ///
    /// # Errors
    /// When the trouble cannot be made: the run then proves nothing.
    async fn make(&self, scene: &Scene) -> Result<()>;
}

/// What troubles act upon.
pub struct Scene {
    pub lane: Arc<Lane>,
    pub keeper: Keeper,
    /// Number of the last call before the run.
    since: u64,
    /// What came about.
    did: Mutex<Vec<String>>,
    /// Faults in the cloud's way. One has come about when a call met it.
    injected: Mutex<Vec<u64>>,
    /// Troubles that could not be made.
    failed: Mutex<Vec<String>>,
}

impl Scene {
    fn new(lane: &Arc<Lane>, keeper: Keeper, since: u64) -> Scene {
        Scene {
            lane: lane.clone(),
            keeper,
            since,
            did: Mutex::default(),
            injected: Mutex::default(),
            failed: Mutex::default(),
        }
    }

    /// Notes what came about.
    pub fn did(&self, what: impl Into<String>) {
        self.did.lock().push(what.into());
    }

    /// Puts a fault in the cloud's way.
    pub fn inject(&self, fault: Fault) {
        let id = self.lane.cloud.inject(fault);
        self.injected.lock().push(id);
    }

    /// What came about: what troubles did, and faults that calls met.
    fn came_about(self) -> Vec<String> {
        let calls = self.lane.cloud.calls_since(self.since);
        let mut all = self.did.into_inner();
        all.extend(met(&self.injected.into_inner(), &calls));
        all
    }
}

/// The injected faults that calls met, in words.
fn met(injected: &[u64], calls: &[CallRecord]) -> Vec<String> {
    let hit = |id: &&u64| calls.iter().any(|call| call.faults.contains(id));
    let count = injected.iter().filter(hit).count();
    match count {
        0 => Vec::new(),
        _ => vec![format!("{count} of {} faults met a call", injected.len())],
    }
}

/// What a run is to be.
pub struct Plan {
    /// Names the run, and is enough to play it again.
    pub label: String,
    pub play: Play,
    pub replicas: &'static [&'static str],
    pub times: Times,
    pub troubles: Vec<Box<dyn Trouble>>,
    /// How long an actor of the scenario waits for one thing.
    pub patience: Duration,
    /// Number of the call in the counted run, for the report.
    pub call: Option<usize>,
}

impl Plan {
    /// A run with one replica and no trouble. The play is part of its name.
    pub fn quiet(play: Play, label: &str) -> Plan {
        Plan {
            label: format!("{}{label}", play.prefix()),
            play,
            replicas: &["one"],
            times: Times::default(),
            troubles: Vec::new(),
            patience: play.patience(),
            call: None,
        }
    }

    /// With one more trouble.
    pub fn with(mut self, trouble: impl Trouble + 'static) -> Plan {
        self.troubles.push(Box::new(trouble));
        self
    }
}

/// What came of a run.
#[derive(Debug, Clone)]
pub struct RunOutcome {
    pub label: String,
    pub violations: Vec<Violation>,
    /// What came about of the troubles.
    pub did: Vec<String>,
    /// Whether the run proves anything: no trouble was planned, or one came about.
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
/// When the run or one of its troubles could not be made; that the control plane misbehaves is an outcome, not an
/// error.
pub async fn run(lane: &Arc<Lane>, plan: &Plan) -> Result<RunOutcome> {
    let began = Instant::now();
    lane.view.forget();
    lane.ledger.clear();
    let since = lane.cloud.call_count();
    let keeper = Keeper::start(&lane.setup, &plan.times, plan.replicas)?;
    let scene = Scene::new(lane, keeper, since);
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
        Ok(found) => end(lane, found, plan.times.sweep).await?,
        Err(stuck) => vec![not_converged(&stuck)],
    };
    let restarts = scene.keeper.restarts();
    scene.keeper.stop();
    let facts = evidence::facts(lane, since);
    violations.extend(history(&facts));
    let failed = std::mem::take(&mut *scene.failed.lock());
    if violations.is_empty() && !failed.is_empty() {
        bail!("a trouble could not be made: {}", failed.join("; "));
    }
    let did = scene.came_about();
    Ok(RunOutcome {
        label: plan.label.clone(),
        violations,
        struck: plan.troubles.is_empty() || !did.is_empty(),
        did,
        took: began.elapsed(),
        calls: facts.calls.len(),
        restarts,
        since,
    })
}

/// Waits until everything that was given up is gone.
async fn gone(stage: &Stage) -> Result<()> {
    let lane = &stage.lane;
    let gone = || async {
        let no_objects = lane
            .view
            .objects(|objects| objects.interfaces.is_empty() && objects.terway_nodes.is_empty());
        no_objects && lane.cloud.enis().len() == lane.before.len()
    };
    lane.view
        .until("everything of ours is gone", stage.patience, gone)
        .await
}

/// Looks at what is left. The sweep lists ENIs once a period for ever, so the silence is shorter than its period.
async fn end(lane: &Lane, mut found: Vec<Violation>, sweep: Duration) -> Result<Vec<Violation>> {
    let gone_at = lane.cloud.call_count();
    let calls_end = silence(lane, SILENCE.min(sweep / 2)).await;
    let late = lane.cloud.calls_since(gone_at);
    let late = late
        .iter()
        .filter(|record| evidence::call(record).mutates())
        .count();
    found.extend(at_the_end(&evidence::remains(lane, late, calls_end).await?));
    Ok(found)
}

/// How long the cloud is not asked for anything when everything is done: longer than any pause between two looks at
/// an ENI.
const SILENCE: Duration = Duration::from_secs(2);
/// When it has to be silent at the latest.
const SILENT_WITHIN: Duration = Duration::from_secs(20);

/// Waits until the cloud has not been asked for anything for so long. The answer is false when that did not come true
/// in time.
async fn silence(lane: &Lane, quiet: Duration) -> bool {
    let deadline = Instant::now() + SILENT_WITHIN;
    let (mut last, mut since) = (lane.cloud.call_count(), Instant::now());
    while since.elapsed() < quiet {
        if Instant::now() > deadline {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        let now = lane.cloud.call_count();
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
    true
}

fn not_converged(stuck: &anyhow::Error) -> Violation {
    Violation::NotConverged {
        what: format!("{stuck:#}"),
    }
}

async fn make_all(scene: &Scene, troubles: &[Box<dyn Trouble>]) {
    join_all(troubles.iter().map(|trouble| async {
        if let Err(error) = trouble.make(scene).await {
            scene.failed.lock().push(format!("{error:#}"));
        }
    }))
    .await;
}

/// Does `work` while `other` runs beside it. `other` ends with the work.
pub(crate) async fn beside<T>(work: impl Future<Output = T>, other: impl Future<Output = ()>) -> T {
    let endless = async {
        other.await;
        std::future::pending::<()>().await;
    };
    // Cancel-safe: `other` cleans up when it is dropped.
    tokio::select! {
        done = work => done,
        () = endless => unreachable!("it never ends"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_fault_that_no_call_met_has_not_come_about() {
        let call = |faults: &[u64]| -> CallRecord {
            serde_json::from_value(json!({
                "seq": 1, "call": 1, "arrived": "2026-01-01T00:00:00Z", "time": "2026-01-01T00:00:00Z",
                "action": "DescribeNetworkInterfaces", "parameters": {}, "outcome": "OK", "requestId": "r",
                "faults": faults,
            }))
            .unwrap()
        };
        assert_eq!(met(&[1, 2], &[call(&[]), call(&[7])]), [""; 0]);
        assert_eq!(
            met(&[1, 2], &[call(&[7, 2]), call(&[2])]),
            ["1 of 2 faults met a call"]
        );
    }
}
