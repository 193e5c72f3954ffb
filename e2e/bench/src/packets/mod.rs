//! Packets a second and throughput of the datapath, beside plain ways in the same run.

mod traffic;
mod ways;

use std::time::Duration;

use anyhow::Context;

use self::traffic::{End, Rates};
use crate::args::PacketsArgs;
use crate::node::namespace;
use crate::stats::Samples;
use crate::table::{Reference, Table};

/// A way of the product and a plain one.
struct Pair {
    title: &'static str,
    ours: (End, End),
    plain: (End, End),
}

/// Runs the benchmark.
pub fn run(args: &PacketsArgs) -> anyhow::Result<()> {
    namespace::on_a_node(|| measure(args))
}

async fn measure(args: &PacketsArgs) -> anyhow::Result<()> {
    let [first, second] = ways::nodes().await.context("making nodes")?;
    let pairs = [
        Pair {
            title: "two pods of one node, beside a veth between two namespaces",
            ours: (first.shared_pod(1).await?, first.shared_pod(2).await?),
            plain: ways::direct()?,
        },
        Pair {
            title: "two member pods, trunk to trunk, beside plain routing by the same kind of NIC",
            ours: (first.member_pod().await?, second.member_pod().await?),
            plain: (first.plain_pod()?, second.plain_pod()?),
        },
    ];
    let time = Duration::from_millis(args.milliseconds);
    for pair in &pairs {
        let mut runs = Vec::new();
        for number in 1..=args.runs {
            eprintln!("packets, {}: run {number} of {}", pair.title, args.runs);
            let ours = traffic::measure(&pair.ours.0, &pair.ours.1, time).context("our way")?;
            let plain = traffic::measure(&pair.plain.0, &pair.plain.1, time).context("the plain way")?;
            runs.push((ours, plain));
        }
        lab::say!("{}", table(pair.title, &runs));
    }
    Ok(())
}

fn table(title: &str, runs: &[(Rates, Rates)]) -> String {
    let mut table = Table::new(&format!("packets: {title}"), "reference");
    let of = |figure: fn(&(Rates, Rates)) -> f64| Samples::of(runs, figure);
    table.row(
        "thousand small datagrams a second",
        of(|run| run.0.packets / 1e3),
        Reference::NONE,
    );
    table.row("the same, plain", of(|run| run.1.packets / 1e3), Reference::NONE);
    table.row(
        "plain / ours",
        of(|run| run.1.packets / run.0.packets),
        Reference::NONE,
    );
    table.row("TCP stream, Gbit/s", of(|run| run.0.bits / 1e9), Reference::NONE);
    table.row("the same, plain", of(|run| run.1.bits / 1e9), Reference::NONE);
    table.row("plain / ours", of(|run| run.1.bits / run.0.bits), Reference::NONE);
    table.text()
}
