//! Ordinary pods that come and go at a steady pace, with the reports that an agent would write.

mod life;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use terway_cloud::{EniFilter, EniKind, EniStatus};
use tokio::task::JoinSet;

use self::life::{Life, Lives};
use crate::args::{ChurnArgs, Common, Quotas};
use crate::cost::Cost;
use crate::shared::{Field, Ground};
use crate::stats::percentile;
use crate::table::{Reference, Table};
use crate::{bind, cluster, process};

/// Fewest and most idle addresses of a node: the address of one pod is there for the next.
const IDLE: [usize; 2] = [5, 10];

/// The figures of the run.
#[derive(Debug, Clone)]
struct Figures {
    /// From the request for a pod to its address, of pods that came during the measurement; sorted.
    bound: Vec<Duration>,
    /// From the report that the sandbox is gone to the free address, of the same pods; sorted.
    freed: Vec<Duration>,
    seconds: f64,
    cost: Cost,
    /// At the beginning, and at the end.
    resident_mb: [f64; 2],
}

/// Runs the benchmark.
pub async fn run(common: &Common, args: &ChurnArgs) -> anyhow::Result<()> {
    let ground = Ground {
        name: "churn",
        nodes: args.nodes,
        idle: IDLE[0],
        most: IDLE[1],
        quotas: Quotas::Default,
    };
    eprintln!("churn: {} nodes join", args.nodes);
    let mut field = Field::start(common, &ground).await?;
    field.join(args.nodes).await?;
    cluster::create_reports(&field.stack.client, args.nodes).await?;
    field.quiet().await?;
    let outcome = measure(&mut field, args).await?;
    field.nothing_twice()?;
    nothing_unattached(&field).await?;
    lab::say!("{}", table(args, &outcome));
    Ok(())
}

async fn measure(field: &mut Field, args: &ChurnArgs) -> anyhow::Result<Figures> {
    let life = Duration::from_secs(args.life);
    let lives = Arc::new(Lives::new(
        field.stack.client.clone(),
        field.observer.seen(),
        life,
    ));
    let warm_up = args.rate * usize::try_from(args.warm_up)?;
    let counted = args.rate * usize::try_from(args.seconds)?;
    eprintln!(
        "churn: {} pods/s, {warm_up} of them before it is measured",
        args.rate
    );
    let mut pace = tokio::time::interval(Duration::from_secs(1) / u32::try_from(args.rate)?);
    let mut tasks: JoinSet<anyhow::Result<Life>> = JoinSet::new();
    let mut begin = (Instant::now(), field.meter.mark()?, 0.0);
    for number in 0..warm_up + counted {
        pace.tick().await;
        if number == warm_up {
            let resident = process::resident_mb(field.meter.controller)?;
            begin = (Instant::now(), field.meter.mark()?, resident);
        }
        let (lives, node) = (lives.clone(), cluster::node_name(number % args.nodes + 1));
        tasks.spawn(async move { lives.live(number, &node).await });
        field.stack.check(&mut field.controller)?;
    }
    let (since, mark, resident) = begin;
    let seconds = since.elapsed().as_secs_f64();
    let (cost, resident_mb) = (
        field.meter.since(mark)?,
        [resident, process::resident_mb(field.meter.controller)?],
    );
    eprintln!("churn: measured for {seconds:.1} s; the last pods go");
    let mut measured = Vec::new();
    while let Some(life) = tasks.join_next().await {
        let life = life.context("a pod's task")??;
        if life.number >= warm_up {
            measured.push(life);
        }
    }
    let sorted = |pick: fn(&Life) -> Duration| {
        let mut all: Vec<_> = measured.iter().map(pick).collect();
        all.sort();
        all
    };
    Ok(Figures {
        bound: sorted(|life| life.bound),
        freed: sorted(|life| life.freed),
        seconds,
        cost,
        resident_mb,
    })
}

/// A benchmark that loses ENIs has measured something else.
async fn nothing_unattached(field: &Field) -> anyhow::Result<()> {
    let cloud = bind::trunks::connect(&field.stack.cloud_url).await?;
    let enis = cloud.describe_network_interfaces(&EniFilter::default()).await?;
    let lost = enis
        .iter()
        .filter(|eni| eni.kind != EniKind::Primary && eni.status != EniStatus::InUse)
        .count();
    if lost > 0 {
        bail!("{lost} ENIs of the cloud belong to no node");
    }
    Ok(())
}

fn table(args: &ChurnArgs, outcome: &Figures) -> String {
    let title = format!(
        "churn: {} pods/s for {} s on {} nodes, each pod living {} s",
        args.rate, args.seconds, args.nodes, args.life
    );
    let mut table = Table::new(&title, "upstream");
    let bound = |share| percentile(&outcome.bound, share).as_secs_f64();
    let freed = |share| percentile(&outcome.freed, share).as_secs_f64();
    let (seconds, pods) = (outcome.seconds, outcome.bound.len() as f64);
    let (cost, [before, after]) = (&outcome.cost, outcome.resident_mb);
    table.row("create to address p50, s", bound(0.5), Reference::NONE);
    table.row("create to address p99, s", bound(0.99), Reference::aim(0.8));
    table.row(
        "sandbox reported gone to address free p50, s",
        freed(0.5),
        Reference::NONE,
    );
    table.row(
        "sandbox reported gone to address free p99, s",
        freed(0.99),
        Reference::NONE,
    );
    table.row(
        "cloud calls a second",
        cost.calls() as f64 / seconds,
        Reference::NONE,
    );
    table.row(
        "API-server requests a second, no Events",
        cost.api_requests() as f64 / seconds,
        Reference::NONE,
    );
    table.row(
        "status writes per pod",
        cost.record_writes() as f64 / pods,
        Reference::NONE,
    );
    table.row(
        "CPU of the control plane, % of a core",
        cost.cpu_seconds / seconds * 100.0,
        Reference::NONE,
    );
    table.row("RSS of the control plane before, MB", before, Reference::NONE);
    table.row(
        "RSS of the control plane, growth, MB",
        after - before,
        Reference::NONE,
    );
    table.details("a second", cost, seconds);
    table.note("no address had two pods, and no ENI was lost");
    table.text()
}
