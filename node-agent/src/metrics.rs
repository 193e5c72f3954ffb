//! The agent's metrics. Labels are bounded: no names of pods or containers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

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

/// All metrics of the agent.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    latency: Family<Call, Histogram>,
    rounds: Family<Round, Counter>,
    packets: Family<Outcome, Counter<u64, AtomicU64>>,
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
    fn default() -> Self {
        let mut registry = Registry::default();
        // Milliseconds and this name: what upstream's dashboards expect.
        let latency = Family::<Call, Histogram>::new_with_constructor(|| {
            Histogram::new(std::iter::once(10.0).chain(exponential_buckets(50.0, 2.0, 12)))
        });
        registry.register(
            "terway_rpc_latency",
            "Latency of CNI calls in milliseconds",
            latency.clone(),
        );
        let rounds = Family::<Round, Counter>::default();
        registry.register("terway_reconcile", "Rounds of the reconciler", rounds.clone());
        let packets = Family::<Outcome, Counter<u64, AtomicU64>>::default();
        registry.register(
            "terway_packets",
            "Packets by what the eBPF programs did with them",
            packets.clone(),
        );
        let metrics = Metrics {
            latency,
            rounds,
            packets,
            sandboxes: Gauge::default(),
            in_flight: Gauge::default(),
            repairs: Counter::default(),
            events_dropped: Counter::default(),
            registry: Arc::new(Registry::default()),
        };
        registry.register(
            "terway_sandboxes",
            "Pod interfaces on this node",
            metrics.sandboxes.clone(),
        );
        registry.register(
            "terway_adds_in_flight",
            "CNI ADDs that wait or work",
            metrics.in_flight.clone(),
        );
        registry.register(
            "terway_repairs",
            "Kernel objects repaired or removed",
            metrics.repairs.clone(),
        );
        registry.register(
            "terway_events_dropped",
            "Events not sent because too many were due",
            metrics.events_dropped.clone(),
        );
        Metrics {
            registry: Arc::new(registry),
            ..metrics
        }
    }
}

impl Metrics {
    /// Record a call.
    pub fn called(&self, verb: &'static str, failed: bool, took: Duration) {
        let error = if failed { "true" } else { "false" };
        self.latency
            .get_or_create(&Call { rpc_api: verb, error })
            .observe(took.as_secs_f64() * 1000.0);
    }

    /// Record a round of the reconciler.
    pub fn reconciled(&self, result: &'static str) {
        self.rounds.get_or_create(&Round { result }).inc();
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

    /// The text that Prometheus reads.
    pub fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
