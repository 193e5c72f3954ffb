//! Ordinary pods that come at once: from the pod to its address in the Node object, and what it costs.

use std::time::{Duration, Instant};

use anyhow::Context;
use futures::{StreamExt, TryStreamExt};

use crate::args::{Common, PoolArgs, Quotas};
use crate::cluster::{self, AT_ONCE};
use crate::cost::Cost;
use crate::process;
use crate::shared::{Field, Ground};
use crate::stats::{Samples, percentile};
use crate::table::{Reference, Table};

/// Idle addresses of each node when upstream was measured.
const UPSTREAM_IDLE: usize = 5;

/// One case to measure.
#[derive(Debug, Clone, Copy)]
struct Case {
    name: &'static str,
    nodes: usize,
    idle: usize,
    p50: Reference,
    p99: Reference,
}

/// The figures of one run.
#[derive(Debug, Clone)]
struct Figures {
    /// From the request for the first pod to the last address.
    all: Duration,
    /// From the request for each pod to its address, sorted.
    bound: Vec<Duration>,
    cost: Cost,
    peak_mb: f64,
}

/// Runs the cases one after the other.
pub async fn run(common: &Common, args: &PoolArgs) -> anyhow::Result<()> {
    for case in cases(args) {
        let mut outcomes = Vec::new();
        for run in 1..=args.runs {
            eprintln!("pool, {}: run {run} of {}", case.name, args.runs);
            let outcome = once(common, args, case, run)
                .await
                .with_context(|| format!("{}, run {run}", case.name))?;
            eprintln!(
                "pool, {}: {} pods bound after {:.1} s",
                case.name,
                args.pods,
                outcome.all.as_secs_f64()
            );
            outcomes.push(outcome);
        }
        lab::say!("{}", table(args.pods, case, &outcomes));
    }
    Ok(())
}

fn cases(args: &PoolArgs) -> [Case; 3] {
    let same = (args.pods, args.upstream_nodes) == (1_000, 100);
    [
        Case {
            name: "every pod finds an address",
            nodes: args.nodes,
            idle: args.pods.div_ceil(args.nodes),
            p50: Reference::NONE,
            p99: Reference::NONE,
        },
        Case {
            name: "five idle addresses a node",
            nodes: args.upstream_nodes,
            idle: UPSTREAM_IDLE,
            p50: Reference::both("1.3", 0.3).when(same),
            p99: Reference::both("2.5", 0.8).when(same),
        },
        Case {
            name: "no pod finds an address",
            nodes: args.nodes,
            idle: 0,
            p50: Reference::NONE,
            p99: Reference::NONE,
        },
    ]
}

async fn once(common: &Common, args: &PoolArgs, case: Case, run: usize) -> anyhow::Result<Figures> {
    let name = format!("pool-{}-{}-{run}", case.nodes, case.idle);
    let ground = Ground {
        name: &name,
        nodes: case.nodes,
        idle: case.idle,
        most: case.idle,
        quotas: Quotas::Default,
    };
    let mut field = Field::start(common, &ground).await?;
    field.join(case.nodes).await?;
    field.quiet().await?;
    let mark = field.meter.mark()?;
    let start = Instant::now();
    let client = &field.stack.client;
    let creates = (0..args.pods).map(|number| async move {
        let at = Instant::now();
        let node = cluster::node_name(number % case.nodes + 1);
        let uid = cluster::create_ordinary_pod(client, &format!("pod-{number}"), &node).await?;
        anyhow::Ok((uid, at))
    });
    let asked: Vec<(String, Instant)> = futures::stream::iter(creates)
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    eprintln!(
        "pool, {}: {} pods created in {:.1} s",
        case.name,
        args.pods,
        start.elapsed().as_secs_f64()
    );
    field
        .wait("addresses of all pods", |seen| {
            asked.iter().all(|(uid, _)| seen.bound.contains_key(uid))
        })
        .await?;
    let times = field.observer.look(|seen| seen.bound.clone());
    let mut bound: Vec<Duration> = asked.iter().map(|(uid, at)| times[uid] - *at).collect();
    bound.sort();
    let last = asked.iter().map(|(uid, _)| times[uid]).max().unwrap_or(start);
    field
        .wait("pools full again", |seen| seen.full() == case.nodes + 1)
        .await?;
    let cost = field.settled_cost(mark).await?;
    field.nothing_twice()?;
    Ok(Figures {
        all: last - start,
        bound,
        cost,
        peak_mb: process::peak_mb(field.meter.controller)?,
    })
}

fn table(pods: usize, case: Case, runs: &[Figures]) -> String {
    let (nodes, idle) = (case.nodes, case.idle);
    let title = format!("pool: {pods} ordinary pods on {nodes} nodes, {idle} idle addresses each");
    let mut table = Table::new(&title, "upstream");
    let bound = |share: f64| Samples::of(runs, |run| percentile(&run.bound, share).as_secs_f64());
    let of = |figure: &dyn Fn(&Figures) -> f64| Samples::of(runs, figure);
    let (per_pod, per_node) = (pods as f64, nodes as f64);
    table.row(
        "first create to last address, s",
        of(&|run| run.all.as_secs_f64()),
        Reference::NONE,
    );
    table.row("create to address p50, s", bound(0.5), case.p50);
    table.row("create to address p99, s", bound(0.99), case.p99);
    table.row(
        "cloud calls per pod, pools full again",
        of(&|run| run.cost.calls() as f64 / per_pod),
        Reference::NONE,
    );
    table.row(
        "cloud calls refused",
        of(&|run| run.cost.cloud_refusals as f64),
        Reference::NONE,
    );
    table.row(
        "status writes per node",
        of(&|run| run.cost.record_writes() as f64 / per_node),
        Reference::NONE,
    );
    table.row(
        "API-server requests per pod, no Events",
        of(&|run| run.cost.api_requests() as f64 / per_pod),
        Reference::NONE,
    );
    table.row(
        "Events per pod",
        of(&|run| run.cost.events as f64 / per_pod),
        Reference::NONE,
    );
    table.usage(of(&|run| run.cost.cpu_seconds), of(&|run| run.peak_mb));
    if let Some(last) = runs.last() {
        table.details("per pod, last run", &last.cost, per_pod);
    }
    table.text()
}
