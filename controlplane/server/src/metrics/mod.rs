//! Metrics of the controllers. The cloud client has its own metrics. The values of labels are bounded: names of
//! controllers and results, never names of objects.

use std::sync::Arc;
use std::time::Instant;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use terway_process::latency::{Buckets, Latency};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ControllerLabel {
    controller: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    controller: &'static str,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WorkersLabels {
    controller: &'static str,
    max_concurrent: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AttachLabels {
    result: &'static str,
    eni_type: &'static str,
}

/// The metrics of all controllers.
#[derive(Clone)]
pub struct Metrics {
    reconciles: Family<ResultLabels, Counter>,
    latency: Latency<ControllerLabel>,
    active: Family<ControllerLabel, Gauge>,
    workers: Family<WorkersLabels, Gauge>,
    attach: Family<AttachLabels, Histogram, fn() -> Histogram>,
    /// Number of ENIs and objects that the sweeps removed.
    pub collected: Counter,
    /// Number of events that were dropped because too many waited.
    pub events_dropped: Counter,
    /// 1 while this process leads.
    pub leads: Gauge,
}

impl Metrics {
    /// Registers all metrics. Call it once per registry.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            reconciles: Family::default(),
            latency: Latency::new(Buckets::Waits),
            active: Family::default(),
            workers: Family::default(),
            attach: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.5, 2.0, 9))),
            collected: Counter::default(),
            events_dropped: Counter::default(),
            leads: Gauge::default(),
        };
        registry.register(
            "controller_runtime_reconcile",
            "Reconciles by controller and result",
            metrics.reconciles.clone(),
        );
        metrics.latency.register(
            registry,
            "controlplane_reconcile_latency_ms",
            "Time of one reconcile in milliseconds, waits for permits included",
        );
        registry.register(
            "controller_runtime_active_workers",
            "Reconciles under way",
            metrics.active.clone(),
        );
        registry.register(
            "terway_controlplane_config_info",
            "Most workers of each controller",
            metrics.workers.clone(),
        );
        registry.register(
            "terway_eni_attach_duration_seconds",
            "Time from the call to the ENI being attached",
            metrics.attach.clone(),
        );
        registry.register(
            "gc_count",
            "ENIs and objects collected by the sweeps",
            metrics.collected.clone(),
        );
        registry.register(
            "terway_events_dropped",
            "Events not told because too many waited",
            metrics.events_dropped.clone(),
        );
        registry.register(
            "terway_controlplane_leads",
            "1 while this process leads",
            metrics.leads.clone(),
        );
        metrics
    }

    /// The metrics of one controller with this number of workers.
    pub fn worker(&self, controller: &'static str, places: usize) -> WorkerMetrics {
        let labels = WorkersLabels {
            controller,
            max_concurrent: places.to_string(),
        };
        self.workers.get_or_create(&labels).set(1);
        WorkerMetrics(Arc::new(Worker {
            controller,
            metrics: self.clone(),
        }))
    }

    /// Notes that an ENI was attached, or given up, this many seconds after the call.
    pub fn attached(&self, member: bool, seconds: f64) {
        let eni_type = if member { "Member" } else { "Secondary" };
        self.attach
            .get_or_create(&AttachLabels {
                result: "success",
                eni_type,
            })
            .observe(seconds);
    }
}

struct Worker {
    controller: &'static str,
    metrics: Metrics,
}

/// Metrics of one controller's workers.
#[derive(Clone)]
pub struct WorkerMetrics(Arc<Worker>);

impl WorkerMetrics {
    /// Notes that a reconcile begins. It counts as active until the timer is dropped.
    pub fn start(&self) -> Timer {
        let Worker { controller, metrics } = &*self.0;
        metrics
            .active
            .get_or_create(&ControllerLabel { controller })
            .inc();
        Timer {
            worker: self.0.clone(),
            began: Instant::now(),
        }
    }
}

/// A reconcile under way.
pub struct Timer {
    worker: Arc<Worker>,
    began: Instant,
}

impl Timer {
    /// Notes the end of the reconcile.
    pub fn finish(self, success: bool) {
        let Worker { controller, metrics } = &*self.worker;
        let result = if success { "success" } else { "error" };
        metrics
            .reconciles
            .get_or_create(&ResultLabels { controller, result })
            .inc();
        let label = ControllerLabel { controller };
        metrics.latency.observe(&label, self.began.elapsed());
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        let Worker { controller, metrics } = &*self.worker;
        metrics
            .active
            .get_or_create(&ControllerLabel { controller })
            .dec();
    }
}
