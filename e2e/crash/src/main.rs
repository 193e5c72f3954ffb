//! `crash`: runs the crash matrix, the faults, the mixes and the changes of leader.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Parser, ValueEnum};
use crash::drive::{Plan, each_fault, each_outage, each_rejoin, each_stall, each_surrounding, mix};
use crash::lane::Lane;
use crash::matrix;
use crash::runner::{Options, Summary, run_all};
use crash::scenario::Play;

/// Kills, stops and deceives the control plane, and checks that nothing is lost, doubled or taken from a living pod.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// What to run.
    #[arg(value_enum, default_value = "all")]
    what: What,
    /// Runs at once.
    #[arg(long, default_value_t = 3)]
    lanes: usize,
    /// Seed of the clouds, of samples and of the first mix.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Number of random mixes.
    #[arg(long, default_value_t = 12)]
    mixes: u64,
    /// Only so many runs of the matrix, drawn from the seed.
    #[arg(long)]
    sample: Option<usize>,
    /// Only runs whose name contains this.
    #[arg(long)]
    only: Option<String>,
    /// Every run so many times.
    #[arg(long, default_value_t = 1)]
    times: usize,
    /// Begin no run after so many seconds; runs that are left out count as failed.
    #[arg(long)]
    budget: Option<u64>,
    /// Folder for the evidence of failed runs.
    #[arg(long, default_value = "target/crash")]
    evidence: PathBuf,
    /// Print the names of the runs and end.
    #[arg(long)]
    list: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// A kill before and after every cloud call.
    Matrix,
    /// Every fault of the cloud, and ClientTokens that the cloud has forgotten.
    Faults,
    /// Node objects that go under their pods and come back.
    Nodes,
    /// An API server that stands still, leaked ENIs, comparisons of nodes with the cloud.
    Surroundings,
    /// Random mixes of everything.
    Mixes,
    /// Two replicas and their lease.
    Leaders,
    /// All of it.
    All,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = tokio::runtime::Runtime::new().context("starting the runtime");
    match runtime.and_then(|runtime| runtime.block_on(run(&args))) {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(summary)) if summary.good() => {
            lab::say!("{summary}");
            ExitCode::SUCCESS
        }
        Ok(Some(summary)) => {
            lab::say!("{summary}");
            for outcome in summary.failed() {
                lab::say!("failed: {}", outcome.label);
            }
            for outcome in summary.idle() {
                lab::say!("its trouble never came: {}", outcome.label);
            }
            for run in &summary.broken {
                lab::say!("could not be made: {run}");
            }
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("crash: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs what is asked for. `None` when only names were to be printed.
async fn run(args: &Args) -> Result<Option<Summary>> {
    lab::say!("seed {}", args.seed);
    let mut first = None;
    let mut plans: Vec<Plan> = Vec::new();
    for _ in 0..args.times {
        plans.extend(self::plans(args, &mut first).await?);
    }
    if let Some(part) = &args.only {
        plans.retain(|plan| plan.label.contains(part));
    }
    if plans.is_empty() {
        bail!("no run has such a name; --list prints all");
    }
    if args.list {
        for plan in &plans {
            lab::say!("{}", plan.label);
        }
        return Ok(None);
    }
    let options = Options {
        lanes: args.lanes,
        seed: args.seed,
        evidence: args.evidence.clone(),
        budget: args.budget.map(Duration::from_secs),
    };
    run_all(plans, first, &options).await.map(Some)
}

async fn plans(args: &Args, first: &mut Option<Arc<Lane>>) -> Result<Vec<Plan>> {
    let wants = |what| args.what == What::All || args.what == what;
    let mut plans = Vec::new();
    if wants(What::Matrix) {
        let lane = match first.take() {
            Some(lane) => lane,
            None => Arc::new(Lane::open(args.seed).await?),
        };
        let mut all = Vec::new();
        for play in Play::ALL {
            let points = matrix::count(&lane, play).await?;
            lab::say!("{play:?}: {} cloud calls counted", points.len());
            all.extend(matrix::plans(play, &points));
        }
        *first = Some(lane);
        plans.extend(match args.sample {
            Some(size) => matrix::sample(all, args.seed, size),
            None => all,
        });
    }
    if wants(What::Faults) {
        plans.extend(each_fault());
        plans.extend(each_outage());
    }
    if wants(What::Nodes) {
        plans.extend(each_rejoin());
    }
    if wants(What::Surroundings) {
        plans.extend(each_surrounding());
    }
    if wants(What::Leaders) {
        plans.extend(each_stall());
    }
    if wants(What::Mixes) {
        plans.extend((0..args.mixes).map(|number| mix(args.seed.wrapping_add(number))));
    }
    Ok(plans)
}
