//! The table of a run, beside upstream's figures and the aims.

use super::Figures;
use super::reference::References;
use crate::stats::percentile;
use crate::table::{Reference, Table};

/// The whole table.
pub fn table(outcome: &Figures) -> String {
    // The references hold for this size only.
    let comparable = (outcome.pods, outcome.nodes) == (1_000, 50);
    let of = if comparable {
        References::of(outcome.quotas)
    } else {
        References::default()
    };
    let title = format!(
        "bind: {} pods with ENIs of their own on {} nodes, {}",
        outcome.pods, outcome.nodes, outcome.quotas
    );
    let mut table = Table::new(&title, "upstream");
    single(&mut table, outcome, &of);
    up(&mut table, outcome, &of);
    down(&mut table, outcome, &of);
    let pods = outcome.pods as f64;
    table.details("up, per pod", &outcome.up_cost, pods);
    table.details("down, per pod", &outcome.down_cost, pods);
    table.text()
}

fn single(table: &mut Table, outcome: &Figures, of: &References) {
    let single = |share| percentile(&outcome.singles, share).as_secs_f64();
    let trunks = outcome.nodes_ready.as_secs_f64();
    table.row("all nodes have trunks after start, s", trunks, Reference::NONE);
    table.row(
        "one pod, create to Bind, median, s",
        single(0.5),
        of.single_seconds,
    );
    table.row(
        "one pod, create to Bind, slowest, s",
        single(1.0),
        Reference::NONE,
    );
}

fn up(table: &mut Table, outcome: &Figures, of: &References) {
    let (cost, pods) = (&outcome.up_cost, outcome.pods as f64);
    let (seconds, with_events) = (outcome.up.as_secs_f64(), cost.api_requests() + cost.events);
    let bind = |share| percentile(&outcome.binds, share).as_secs_f64();
    let since_start = outcome.cpu_since_start;
    table.row("up: first create to last Bind, s", seconds, of.up_seconds);
    table.row("up: pods a second", pods / seconds, of.pods_per_second);
    table.row("up: create to Bind p50, s", bind(0.5), of.up_p50);
    table.row("up: create to Bind p99, s", bind(0.99), Reference::NONE);
    table.row(
        "up: cloud calls per pod",
        cost.calls() as f64 / pods,
        of.cloud_calls_up,
    );
    let requests = cost.api_requests() as f64 / pods;
    table.row(
        "up: API-server requests per pod, no Events",
        requests,
        of.requests_up,
    );
    let requests = with_events as f64 / pods;
    table.row(
        "up: API-server requests per pod with Events",
        requests,
        of.requests_up_with_events,
    );
    table.row(
        "up: CPU seconds of the control plane",
        cost.cpu_seconds,
        of.cpu_seconds,
    );
    table.row("up: CPU seconds since its start", since_start, Reference::NONE);
    table.row(
        "up: peak RSS of the control plane, MB",
        outcome.peak_mb[0],
        of.peak_mb,
    );
}

fn down(table: &mut Table, outcome: &Figures, of: &References) {
    let (cost, pods) = (&outcome.down_cost, outcome.pods as f64);
    let seconds = outcome.down.as_secs_f64();
    table.row("down: first delete to last ENI gone, s", seconds, of.down_seconds);
    table.row(
        "down: cloud calls per pod",
        cost.calls() as f64 / pods,
        of.cloud_calls_down,
    );
    let requests = (cost.api_requests() + cost.events) as f64 / pods;
    table.row(
        "down: API-server requests per pod with Events",
        requests,
        of.requests_down,
    );
    table.row(
        "down: CPU seconds of the control plane",
        cost.cpu_seconds,
        Reference::NONE,
    );
    table.row(
        "down: peak RSS of the control plane, MB",
        outcome.peak_mb[1],
        Reference::NONE,
    );
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;
    use crate::args::Quotas;
    use crate::cost::Cost;

    #[test]
    fn a_missed_aim_is_marked_and_other_sizes_are_not_compared() {
        let outcome = Figures {
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
        assert!(!table(&Figures { nodes: 5, ..outcome }).contains('≤'));
    }
}
