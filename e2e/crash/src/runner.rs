//! Runs plans in several lanes at once, prints the result of each, and keeps the evidence of runs that failed.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use parking_lot::Mutex;
use serde_json::json;
use tokio::task::JoinSet;

use crate::drive::{Plan, RunOutcome, run};
use crate::lane::Lane;

/// How plans are run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Lanes at once; most of a run is waiting, so there can be more than processors.
    pub lanes: usize,
    /// Seed of the clouds.
    pub seed: u64,
    /// Where evidence of failed runs goes.
    pub evidence: PathBuf,
    /// No run is begun after this time.
    pub budget: Option<Duration>,
}

/// The results of all runs.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    pub outcomes: Vec<RunOutcome>,
    /// Runs that could not be made.
    pub broken: Vec<String>,
    /// How many runs were left out because the time was over.
    pub left_out: usize,
    pub took: Duration,
}

impl Summary {
    /// Runs with a violation.
    pub fn failed(&self) -> impl Iterator<Item = &RunOutcome> {
        self.outcomes
            .iter()
            .filter(|outcome| !outcome.violations.is_empty())
    }

    /// Runs that proved nothing: their trouble did not come about, however often they were played.
    pub fn idle(&self) -> impl Iterator<Item = &RunOutcome> {
        self.outcomes.iter().filter(|outcome| !outcome.struck)
    }

    /// Whether every run was made, met its trouble and broke no rule.
    pub fn good(&self) -> bool {
        let all_right = self.failed().next().is_none() && self.idle().next().is_none();
        all_right && self.broken.is_empty() && self.left_out == 0 && !self.outcomes.is_empty()
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let calls: usize = self.outcomes.iter().map(|outcome| outcome.calls).sum();
        write!(
            f,
            "{} runs, {calls} cloud calls, {:.0} s; {} failed, {} could not be made, {} whose trouble never came, {} left out",
            self.outcomes.len(),
            self.took.as_secs_f64(),
            self.failed().count(),
            self.broken.len(),
            self.idle().count(),
            self.left_out,
        )
    }
}

struct Work {
    plans: Mutex<VecDeque<Plan>>,
    total: usize,
    summary: Mutex<Summary>,
    options: Options,
    began: Instant,
}

/// Runs all plans. `first` is a lane that is open already.
///
/// # Errors
/// When a lane cannot be opened.
pub async fn run_all(plans: Vec<Plan>, first: Option<Arc<Lane>>, options: &Options) -> Result<Summary> {
    let work = Arc::new(Work {
        total: plans.len(),
        plans: Mutex::new(plans.into()),
        summary: Mutex::default(),
        options: options.clone(),
        began: Instant::now(),
    });
    let mut lanes = JoinSet::new();
    let mut first = first;
    for number in 0..options.lanes.max(1).min(work.total.max(1)) {
        lanes.spawn(drain(work.clone(), first.take(), number as u64));
    }
    while let Some(ended) = lanes.join_next().await {
        ended.context("a lane ended early")??;
    }
    let mut summary = std::mem::take(&mut *work.summary.lock());
    summary.took = work.began.elapsed();
    summary.left_out = work.plans.lock().len();
    Ok(summary)
}

async fn drain(work: Arc<Work>, mut lane: Option<Arc<Lane>>, number: u64) -> Result<()> {
    loop {
        let late = work
            .options
            .budget
            .is_some_and(|budget| work.began.elapsed() > budget);
        let next = if late { None } else { work.plans.lock().pop_front() };
        let Some(plan) = next else { return Ok(()) };
        let here = match lane.take() {
            Some(lane) => lane,
            None => Arc::new(Lane::open(work.options.seed.wrapping_add(number)).await?),
        };
        match until_it_strikes(&here, &plan).await {
            Ok(outcome) => {
                let clean = outcome.violations.is_empty();
                if !clean && let Err(error) = keep(&here, &plan, &outcome, &work.options.evidence) {
                    eprintln!("the evidence could not be kept: {error:#}");
                }
                tell(&work, &plan, &outcome);
                work.summary.lock().outcomes.push(outcome);
                // A failed run may have left something behind: the next run gets another lane.
                lane = clean.then_some(here);
            }
            Err(error) => {
                lab::say!("{}: could not be made: {error:#}", plan.label);
                work.summary
                    .lock()
                    .broken
                    .push(format!("{}: {error:#}", plan.label));
            }
        }
    }
}

/// How often a run is played whose trouble does not come about. Chance decides which calls meet a fault, and whether a
/// meddler finds its moment.
const PLAYS: usize = 5;

/// Plays a plan until its trouble comes about or a rule is broken, at most [`PLAYS`] times.
async fn until_it_strikes(lane: &Arc<Lane>, plan: &Plan) -> Result<RunOutcome> {
    let mut outcome = run(lane, plan).await?;
    for _ in 1..PLAYS {
        if outcome.struck || !outcome.violations.is_empty() {
            break;
        }
        lab::say!(
            "{}: its trouble did not come about; it is played again",
            plan.label
        );
        outcome = run(lane, plan).await?;
    }
    Ok(outcome)
}

fn tell(work: &Work, plan: &Plan, outcome: &RunOutcome) {
    let done = work.summary.lock().outcomes.len() + 1;
    let call = plan.call.map(|call| format!("call {call} ")).unwrap_or_default();
    let verdict = match (outcome.violations.is_empty(), outcome.struck) {
        (false, _) => "FAILED",
        (true, false) => "FAILED: its trouble never came",
        (true, true) => "ok",
    };
    lab::say!(
        "[{done:>3}/{}] {call}{}: {verdict} ({:.1} s, {} calls, {} restarts)",
        work.total,
        outcome.label,
        outcome.took.as_secs_f64(),
        outcome.calls,
        outcome.restarts,
    );
    for violation in &outcome.violations {
        lab::say!("        {violation}");
    }
    for came_about in &outcome.did {
        lab::say!("        {came_about}");
    }
}

/// Writes calls, objects, the cloud's ENIs and the logs of the replicas into a folder named by the run.
fn keep(lane: &Lane, plan: &Plan, outcome: &RunOutcome, evidence: &Path) -> Result<()> {
    let dir = evidence.join(plan.label.replace([':', '#', '/'], "-"));
    std::fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
    let lines: Vec<String> = lane
        .cloud
        .calls_since(outcome.since)
        .iter()
        .map(|call| json!(call).to_string())
        .collect();
    std::fs::write(dir.join("calls.jsonl"), lines.join("\n"))?;
    let objects = lane.view.objects(|all| {
        json!({
            "podENIs": all.pod_enis,
            "networkInterfaces": all.interfaces,
            "nodes": all.terway_nodes,
            "leases": all.leases,
        })
    });
    std::fs::write(dir.join("objects.json"), format!("{objects:#}"))?;
    std::fs::write(dir.join("enis.json"), format!("{:#}", json!(lane.cloud.enis())))?;
    let history = json!({
        "did": outcome.did,
        "violations": outcome.violations.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "terms": lane.view.terms().iter().map(|term| format!("{term:?}")).collect::<Vec<_>>(),
        "claims": lane.view.claims().iter().map(|claim| format!("{claim:?}")).collect::<Vec<_>>(),
        "pods": lane.ledger.pods().iter().map(|pod| format!("{pod:?}")).collect::<Vec<_>>(),
        "removed": lane.ledger.removals().iter().map(|it| format!("{it:?}")).collect::<Vec<_>>(),
    });
    std::fs::write(dir.join("history.json"), format!("{history:#}"))?;
    for replica in plan.replicas {
        let log = lane.setup.dir.join(format!("{replica}.log"));
        std::fs::copy(log, dir.join(format!("{replica}.log")))?;
    }
    lab::say!("        evidence in {}", dir.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::Violation;

    fn outcome() -> RunOutcome {
        RunOutcome {
            label: "a run".into(),
            violations: Vec::new(),
            did: vec!["killed".into()],
            struck: true,
            took: Duration::ZERO,
            calls: 1,
            restarts: 1,
            since: 0,
        }
    }

    fn good() -> Summary {
        Summary {
            outcomes: vec![outcome(), outcome()],
            ..Summary::default()
        }
    }

    #[test]
    fn only_runs_that_were_made_and_met_their_trouble_prove_something() {
        assert!(good().good());
        assert!(!Summary::default().good(), "nothing was run");
        let mut broken_rule = good();
        broken_rule.outcomes[1].violations = vec![Violation::NeverSilent];
        assert!(!broken_rule.good());
        let mut idle = good();
        idle.outcomes[1].struck = false;
        assert!(!idle.good());
        let not_made = Summary {
            broken: vec!["a run: no API server".into()],
            ..good()
        };
        assert!(!not_made.good());
        let left_out = Summary {
            left_out: 1,
            ..good()
        };
        assert!(!left_out.good());
    }
}
