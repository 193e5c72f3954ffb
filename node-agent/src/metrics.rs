//! The agent's metrics. Labels are bounded: no names of pods or containers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use terway_process::latency::{Buckets, Latency};

use crate::trouble::{REASONS, Trouble};

/// Labels of a call.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Call {
    rpc_api: &'static str,
    error: &'static str,
}

/// Labels of a reconcile round.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Round {
    result: &'static str,
}

/// Labels of the packet counters.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

/// Labels of trouble.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Why {
    reason: &'static str,
}

/// All metrics of the agent.
#[derive(Clone)]
pub struct Metrics {
    latency: Latency<Call>,
    rounds: Family<Round, Counter>,
    packets: Family<Outcome, Counter<u64, AtomicU64>>,
    troubles: Family<Why, Gauge>,
    /// Interfaces that exist.
    pub sandboxes: Gauge,
    /// ADDs that wait or work.
    pub in_flight: Gauge,
    /// Kernel objects that were repaired or removed by the reconciler.
    pub repairs: Counter,
    /// Events that were not sent because too many were due.
    pub events_dropped: Counter,
}

impl Default for Metrics {
    /// Metrics that nobody reads.
    fn default() -> Self {
        Self::register(&mut Registry::default())
    }
}

impl Metrics {
    /// Registers everything; once per registry.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Metrics {
            latency: Latency::new(Buckets::Acts),
            rounds: Family::default(),
            packets: Family::default(),
            troubles: Family::default(),
            sandboxes: Gauge::default(),
            in_flight: Gauge::default(),
            repairs: Counter::default(),
            events_dropped: Counter::default(),
        };
        let registry = registry.sub_registry_with_prefix("terway");
        metrics
            .latency
            .register(registry, "rpc_latency", "Latency of CNI calls in milliseconds");
        registry.register("reconcile", "Rounds of the reconciler", metrics.rounds.clone());
        registry.register(
            "packets",
            "Packets by what the eBPF programs did with them",
            metrics.packets.clone(),
        );
        registry.register(
            "host_troubles",
            "What keeps pods of this node from their network, by the reason that events have",
            metrics.troubles.clone(),
        );
        metrics.troubles(&[]);
        registry.register(
            "sandboxes",
            "Pod interfaces on this node",
            metrics.sandboxes.clone(),
        );
        registry.register(
            "adds_in_flight",
            "CNI ADDs that wait or work",
            metrics.in_flight.clone(),
        );
        registry.register(
            "repairs",
            "Kernel objects repaired or removed",
            metrics.repairs.clone(),
        );
        registry.register(
            "events_dropped",
            "Events not sent because too many were due",
            metrics.events_dropped.clone(),
        );
        metrics
    }

    /// Record a call.
    pub fn called(&self, verb: &'static str, failed: bool, took: Duration) {
        let error = if failed { "true" } else { "false" };
        self.latency.observe(&Call { rpc_api: verb, error }, took);
    }

    /// Record a round of the reconciler.
    pub fn reconciled(&self, result: &'static str) {
        self.rounds.get_or_create(&Round { result }).inc();
    }

    /// Take over what a round of the reconciler has found.
    pub fn troubles(&self, found: &[Trouble]) {
        for reason in REASONS {
            let count = found.iter().filter(|trouble| trouble.reason == reason).count();
            self.troubles
                .get_or_create(&Why { reason })
                .set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// Take over the kernel's packet counters.
    pub fn packets(&self, counters: &[(&'static str, u64)]) {
        for (outcome, count) in counters {
            self.packets
                .get_or_create(&Outcome { outcome })
                .inner()
                .store(*count, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(registry: &Registry) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
        text
    }

    /// The value of a line, by all that stands before it.
    fn value<'a>(text: &'a str, line: &str) -> Option<&'a str> {
        text.lines()
            .find_map(|found| found.strip_prefix(line)?.strip_prefix(' '))
    }

    #[test]
    fn the_kernels_packet_counters_are_taken_over_and_not_added_up() {
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        for counted in [7, 9] {
            metrics.packets(&[("popped", counted), ("source_address", 1)]);
        }
        let text = shown(&registry);
        assert_eq!(
            value(&text, "terway_packets_total{outcome=\"popped\"}"),
            Some("9")
        );
        assert_eq!(
            value(&text, "terway_packets_total{outcome=\"source_address\"}"),
            Some("1")
        );
    }

    #[test]
    fn trouble_is_counted_by_its_reason_and_is_zero_when_it_is_over() {
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        let [reason, other, ..] = REASONS;
        let trouble = |text: &str| Trouble {
            reason,
            text: text.to_owned(),
        };
        let line = |reason: &str| format!("terway_host_troubles{{reason=\"{reason}\"}}");
        assert_eq!(
            value(&shown(&registry), &line(reason)),
            Some("0"),
            "before the first round"
        );
        metrics.troubles(&[trouble("one"), trouble("two")]);
        assert_eq!(value(&shown(&registry), &line(reason)), Some("2"));
        assert_eq!(value(&shown(&registry), &line(other)), Some("0"));
        metrics.troubles(&[]);
        assert_eq!(value(&shown(&registry), &line(reason)), Some("0"));
    }

    #[test]
    fn failed_and_successful_calls_are_told_apart() {
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        for failed in [true, false, false] {
            metrics.called("AllocIP", failed, Duration::from_millis(1));
        }
        let text = shown(&registry);
        let count = |error| {
            value(
                &text,
                &format!("terway_rpc_latency_count{{rpc_api=\"AllocIP\",error=\"{error}\"}}"),
            )
        };
        assert_eq!((count("true"), count("false")), (Some("1"), Some("2")));
    }

    #[test]
    fn names_and_labels_are_those_of_upstreams_dashboards_and_ours() {
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        metrics.called("AllocIP", true, Duration::from_millis(250));
        metrics.reconciled("success");
        metrics.packets(&[("popped", 7)]);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "terway_rpc_latency_sum{rpc_api=\"AllocIP\",error=\"true\"} 250.0",
            "terway_reconcile_total{result=\"success\"} 1",
            "terway_packets_total{outcome=\"popped\"} 7",
            "terway_sandboxes 0",
            "terway_adds_in_flight 0",
            "terway_repairs_total 0",
            "terway_events_dropped_total 0",
        ] {
            assert!(text.lines().any(|found| found == line), "no {line} in {text}");
        }
    }
}
