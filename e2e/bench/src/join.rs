//! Nodes that join at once: from the Kubernetes node to a full pool of shared addresses, and what it costs.

use std::time::{Duration, Instant};

use anyhow::Context;

use crate::args::{Common, JoinArgs, Quotas};
use crate::cost::Cost;
use crate::process;
use crate::shared::{Field, Ground};
use crate::stats::{Samples, percentile};
use crate::table::{Reference, Table};

/// The figures of one run.
#[derive(Debug, Clone)]
struct Figures {
    /// From the request for the first node to the last full pool.
    all: Duration,
    /// From the request for each Kubernetes node to its full pool, sorted.
    from_node: Vec<Duration>,
    /// From each Node object to its full pool, sorted.
    from_record: Vec<Duration>,
    cost: Cost,
    peak_mb: f64,
}

/// Runs the cases one after the other.
pub async fn run(common: &Common, args: &JoinArgs) -> anyhow::Result<()> {
    let few = several(common, args, args.few, Quotas::Default, args.runs).await?;
    lab::say!("{}", table(args.few, args.idle, Quotas::Default, &few));
    if args.many == 0 {
        return Ok(());
    }
    for quotas in [Quotas::Default, Quotas::Lifted] {
        let many = several(common, args, args.many, quotas, 1).await?;
        lab::say!("{}", table(args.many, args.idle, quotas, &many));
    }
    Ok(())
}

async fn several(
    common: &Common,
    args: &JoinArgs,
    nodes: usize,
    quotas: Quotas,
    runs: usize,
) -> anyhow::Result<Vec<Figures>> {
    let mut outcomes = Vec::new();
    for run in 1..=runs {
        eprintln!("join, {nodes} nodes, {quotas}: run {run} of {runs}");
        let name = format!("join-{nodes}-{quotas:?}-{run}").to_lowercase();
        let ground = Ground {
            name: &name,
            nodes,
            idle: args.idle,
            most: args.idle,
            quotas,
        };
        let outcome = once(common, &ground)
            .await
            .with_context(|| format!("{nodes} nodes, {quotas}, run {run}"))?;
        eprintln!(
            "join, {nodes} nodes, {quotas}: all full after {:.1} s",
            outcome.all.as_secs_f64()
        );
        outcomes.push(outcome);
    }
    Ok(outcomes)
}

async fn once(common: &Common, ground: &Ground<'_>) -> anyhow::Result<Figures> {
    let mut field = Field::start(common, ground).await?;
    let mark = field.meter.mark()?;
    let start = Instant::now();
    let asked = field.join(ground.nodes).await?;
    let mut from_node = Vec::new();
    let mut from_record = Vec::new();
    let mut last = start;
    field.observer.look(|seen| {
        for (name, at) in &asked {
            if let Some(node) = seen.nodes.get(name)
                && let Some(full) = node.full
            {
                from_node.push(full - *at);
                from_record.push(full - node.first);
                last = last.max(full);
            }
        }
    });
    from_node.sort();
    from_record.sort();
    Ok(Figures {
        all: last - start,
        from_node,
        from_record,
        cost: field.settled_cost(mark).await?,
        peak_mb: process::peak_mb(field.meter.controller)?,
    })
}

fn table(nodes: usize, idle: usize, quotas: Quotas, runs: &[Figures]) -> String {
    // Upstream's figures and the aims hold for this size only.
    let same = (nodes, idle) == (100, 5);
    let title = format!("join: {nodes} nodes at once, {idle} idle addresses each, {quotas}");
    let mut table = Table::new(&title, "upstream");
    let seconds = |pick: fn(&Figures) -> &Vec<Duration>, share: f64| {
        Samples::of(runs, |run| percentile(pick(run), share).as_secs_f64())
    };
    let of = |figure: &dyn Fn(&Figures) -> f64| Samples::of(runs, figure);
    let count = nodes as f64;
    let calls = |action: &'static str| {
        of(&move |run| run.cost.cloud_calls.get(action).copied().unwrap_or_default() as f64 / count)
    };
    let both = |reference, aim| Reference::both(reference, aim).when(same);
    let all = of(&|run| run.all.as_secs_f64());
    table.row("first node to last full pool, s", all, Reference::NONE);
    table.row(
        "Node object to full pool p50, s",
        seconds(|run| &run.from_record, 0.5),
        Reference::figure("4.2").when(same),
    );
    table.row(
        "Node object to full pool p99, s",
        seconds(|run| &run.from_record, 0.99),
        both("4.4", 2.5),
    );
    table.row(
        "Kubernetes node to full pool p50, s",
        seconds(|run| &run.from_node, 0.5),
        Reference::NONE,
    );
    table.row(
        "Kubernetes node to full pool p99, s",
        seconds(|run| &run.from_node, 0.99),
        Reference::NONE,
    );
    table.row(
        "CreateNetworkInterface per node",
        calls("CreateNetworkInterface"),
        Reference::aim(1.0),
    );
    table.row(
        "AttachNetworkInterface per node",
        calls("AttachNetworkInterface"),
        Reference::aim(1.0),
    );
    table.row(
        "cloud calls per node",
        of(&|run| run.cost.calls() as f64 / count),
        Reference::NONE,
    );
    table.row(
        "cloud calls refused",
        of(&|run| run.cost.cloud_refusals as f64),
        Reference::NONE,
    );
    table.row(
        "API-server requests per node, no Events",
        of(&|run| run.cost.api_requests() as f64 / count),
        Reference::NONE,
    );
    table.usage(of(&|run| run.cost.cpu_seconds), of(&|run| run.peak_mb));
    if let Some(last) = runs.last() {
        table.details("per node, last run", &last.cost, count);
    }
    table.text()
}
