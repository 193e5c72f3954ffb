//! ADD and DEL of our CNI binary and agent beside those of `ptp` with `host-local`, in the same run.

use std::time::Duration;

use anyhow::{Context, anyhow};

use crate::args::CniArgs;
use crate::node::plugin::Plugin;
use crate::node::{Pod, Site, namespace};
use crate::process;
use crate::stats::{Samples, percentile};
use crate::table::{Reference, Table};

/// Times of one round, each sorted.
#[derive(Debug, Clone, Default)]
struct Round {
    adds: Vec<Duration>,
    dels: Vec<Duration>,
}

/// Both plugins in one way of calling them.
#[derive(Debug, Clone)]
struct Run {
    ours: Round,
    reference: Round,
    /// CPU seconds of the agent.
    agent: f64,
}

/// Runs the benchmark.
pub fn run(args: &CniArgs) -> anyhow::Result<()> {
    namespace::on_a_node(|| measure(args))
}

async fn measure(args: &CniArgs) -> anyhow::Result<()> {
    eprintln!("cni: starting API server and agent");
    let site = Site::start().await?;
    let pods = site.pods(args.pods).await?;
    let ours = Plugin::ours(&site.agent.socket)?;
    let reference = Plugin::reference(&site.dir.path().join("host-local"))?;
    for at_once in [1, args.at_once] {
        let mut runs = Vec::new();
        for number in 1..=args.runs {
            eprintln!("cni, {at_once} at once: run {number} of {}", args.runs);
            let before = process::cpu_seconds(site.agent.process.pid())?;
            let name = format!("{at_once}-{number}");
            let mine = round(&ours, &pods, at_once, &name).context("ours")?;
            let agent = process::cpu_seconds(site.agent.process.pid())? - before;
            let theirs = round(&reference, &pods, at_once, &name).context("the reference")?;
            runs.push(Run {
                ours: mine,
                reference: theirs,
                agent,
            });
        }
        lab::say!("{}", table(args.pods, at_once, &runs));
    }
    Ok(())
}

/// Adds every pod, and deletes every pod.
fn round(plugin: &Plugin, pods: &[Pod], at_once: usize, name: &str) -> anyhow::Result<Round> {
    Ok(Round {
        adds: calls(plugin, "ADD", pods, at_once, name)?,
        dels: calls(plugin, "DEL", pods, at_once, name)?,
    })
}

fn calls(
    plugin: &Plugin,
    verb: &str,
    pods: &[Pod],
    at_once: usize,
    name: &str,
) -> anyhow::Result<Vec<Duration>> {
    let lane = |lane: usize| -> anyhow::Result<Vec<Duration>> {
        let mine = pods.iter().skip(lane).step_by(at_once);
        mine.map(|pod| plugin.call(verb, &format!("{name}-{}", pod.name), pod))
            .collect()
    };
    let lanes: anyhow::Result<Vec<_>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..at_once).map(|n| scope.spawn(move || lane(n))).collect();
        let joined = threads.into_iter().map(|thread| {
            let ended = thread.join();
            ended.map_err(|_| anyhow!("a thread of the benchmark panicked"))?
        });
        joined.collect()
    });
    let mut all: Vec<Duration> = lanes?.into_iter().flatten().collect();
    all.sort();
    Ok(all)
}

fn table(pods: usize, at_once: usize, runs: &[Run]) -> String {
    let title =
        format!("cni: {pods} pods added and deleted, {at_once} at once; times with the start of the process");
    let mut table = Table::new(&title, "reference");
    let ms = |times: &[Duration], share| percentile(times, share).as_secs_f64() * 1e3;
    type Pick = fn(&Round) -> &[Duration];
    let verbs: [(&str, Pick); 2] = [("ADD", |round| &round.adds), ("DEL", |round| &round.dels)];
    for (verb, pick) in verbs {
        for (percent, share) in [("p50", 0.5), ("p99", 0.99)] {
            let ours = Samples::of(runs, |run| ms(pick(&run.ours), share));
            let theirs = Samples::of(runs, |run| ms(pick(&run.reference), share));
            let ratio = Samples::of(runs, |run| {
                ms(pick(&run.ours), share) / ms(pick(&run.reference), share)
            });
            table.row(&format!("{verb} {percent}, terway, ms"), ours, Reference::NONE);
            table.row(
                &format!("{verb} {percent}, ptp and host-local, ms"),
                theirs,
                Reference::NONE,
            );
            table.row(&format!("{verb} {percent}, ratio"), ratio, Reference::aim(1.0));
        }
    }
    let cpu = Samples::of(runs, |run| run.agent * 1e3 / pods as f64);
    table.row("CPU of the agent for an ADD and a DEL, ms", cpu, Reference::NONE);
    table.text()
}
