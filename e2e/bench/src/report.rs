//! The table of a run, beside upstream's figures and the aims.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::bind::Outcome;
use crate::cost::Cost;
use crate::reference::{Reference, References};
use crate::stats::percentile;

/// Width of the first column.
const NAME: usize = 46;

/// The whole table.
pub fn table(outcome: &Outcome) -> String {
    // The references were taken with this size only.
    let comparable = (outcome.pods, outcome.nodes) == (1_000, 50);
    let of = if comparable {
        References::of(outcome.quotas)
    } else {
        References::default()
    };
    let pods = outcome.pods as f64;
    let per_pod = |count: u64| count as f64 / pods;
    let single = |share| percentile(&outcome.singles, share).as_secs_f64();
    let (up, down) = (&outcome.up_cost, &outcome.down_cost);
    let up_seconds = outcome.up.as_secs_f64();
    let mut out = Rows(String::new());
    let _ = writeln!(
        out.0,
        "\nB1: {} pods with ENIs of their own on {} nodes, {}",
        outcome.pods, outcome.nodes, outcome.quotas
    );
    let _ = writeln!(
        out.0,
        "{:NAME$} {:>9} {:>9} {:>9}",
        "", "measured", "upstream", "aim"
    );
    out.row(
        "all nodes have trunks after start, s",
        outcome.nodes_ready.as_secs_f64(),
        Reference::default(),
    );
    out.row(
        "one pod, create to Bind, median, s",
        single(0.5),
        of.single_seconds,
    );
    out.row(
        "one pod, create to Bind, slowest, s",
        single(1.0),
        Reference::default(),
    );
    out.row("up: first create to last Bind, s", up_seconds, of.up_seconds);
    out.row("up: pods a second", pods / up_seconds, of.pods_per_second);
    out.row("up: create to Bind p50, s", outcome.bind_seconds(0.5), of.up_p50);
    out.row(
        "up: create to Bind p99, s",
        outcome.bind_seconds(0.99),
        Reference::default(),
    );
    out.row("up: cloud calls per pod", per_pod(up.calls()), of.cloud_calls_up);
    out.row(
        "up: API-server requests per pod, no Events",
        per_pod(up.api_requests()),
        of.requests_up,
    );
    out.row(
        "up: API-server requests per pod with Events",
        per_pod(up.api_requests() + up.events),
        of.requests_up_with_events,
    );
    out.row(
        "up: CPU seconds of the control plane",
        up.cpu_seconds,
        of.cpu_seconds,
    );
    out.row(
        "up: CPU seconds since its start",
        outcome.cpu_since_start,
        Reference::default(),
    );
    out.row(
        "up: peak RSS of the control plane, MB",
        outcome.peak_mb[0],
        of.peak_mb,
    );
    out.row(
        "down: first delete to last ENI gone, s",
        outcome.down.as_secs_f64(),
        of.down_seconds,
    );
    out.row(
        "down: cloud calls per pod",
        per_pod(down.calls()),
        of.cloud_calls_down,
    );
    out.row(
        "down: API-server requests per pod with Events",
        per_pod(down.api_requests() + down.events),
        of.requests_down,
    );
    out.row(
        "down: CPU seconds of the control plane",
        down.cpu_seconds,
        Reference::default(),
    );
    out.row(
        "down: peak RSS of the control plane, MB",
        outcome.peak_mb[1],
        Reference::default(),
    );
    details(&mut out.0, "up", up, pods);
    details(&mut out.0, "down", down, pods);
    out.0
}

struct Rows(String);

impl Rows {
    fn row(&mut self, name: &str, value: f64, reference: Reference) {
        let aim = reference.aim.map(|aim| format!("≤ {aim}")).unwrap_or_default();
        let verdict = match reference.aim {
            Some(aim) if value > aim => "  missed",
            Some(_) | None => "",
        };
        let upstream = reference.upstream.unwrap_or_default();
        let _ = writeln!(
            self.0,
            "{name:NAME$} {value:>9.2} {upstream:>9} {aim:>9}{verdict}"
        );
    }
}

fn details(out: &mut String, way: &str, cost: &Cost, pods: f64) {
    let _ = writeln!(out, "{way}, per pod:");
    let _ = writeln!(out, "  cloud: {}", list(&cost.cloud_calls, pods));
    let _ = writeln!(
        out,
        "  API server: {}, events {:.2}",
        list(&cost.requests, pods),
        cost.events as f64 / pods
    );
    let _ = writeln!(
        out,
        "  {} cloud calls refused, {} conflicts",
        cost.cloud_refusals, cost.conflicts
    );
}

fn list(counts: &BTreeMap<String, u64>, pods: f64) -> String {
    let parts = counts
        .iter()
        .map(|(name, count)| format!("{name} {:.2}", *count as f64 / pods));
    parts.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::args::Quotas;

    #[test]
    fn a_missed_aim_is_marked_and_other_sizes_are_not_compared() {
        let outcome = Outcome {
            quotas: Quotas::Lifted,
            pods: 1_000,
            nodes: 50,
            nodes_ready: Duration::from_secs(3),
            singles: vec![Duration::from_millis(2_300)],
            binds: vec![Duration::from_secs(9); 1_000],
            up: Duration::from_secs(9),
            down: Duration::from_secs(9),
            up_cost: Cost {
                cloud_calls: BTreeMap::from([("CreateNetworkInterface".into(), 1_000)]),
                ..Cost::default()
            },
            down_cost: Cost::default(),
            peak_mb: [20.0, 21.0],
            cpu_since_start: 2.0,
        };
        let text = table(&outcome);
        let line = |name: &str| {
            text.lines()
                .find(|line| line.starts_with(name))
                .unwrap()
                .to_owned()
        };
        assert!(
            line("up: first create to last Bind").ends_with("missed"),
            "{text}"
        );
        assert!(!line("up: cloud calls per pod").contains("missed"), "{text}");
        assert!(text.contains("cloud: CreateNetworkInterface 1.00"), "{text}");
        assert!(!table(&Outcome { nodes: 5, ..outcome }).contains('≤'));
    }
}
