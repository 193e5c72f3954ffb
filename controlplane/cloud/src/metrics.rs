//! Metrics of cloud calls, under upstream's names.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::action::Action;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    api: &'static str,
    error: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WaitLabels {
    api: &'static str,
}

/// Latencies in milliseconds. The labels are the action's name and whether the call failed, so their number is bounded.
#[derive(Debug, Clone)]
pub struct CloudMetrics {
    calls: Family<CallLabels, Histogram, fn() -> Histogram>,
    waits: Family<WaitLabels, Histogram, fn() -> Histogram>,
}

impl CloudMetrics {
    /// Registers both metrics. Call it once per registry.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::unregistered();
        registry.register(
            "aliyun_openapi_latency",
            "Time a call to the cloud API took, in milliseconds",
            metrics.calls.clone(),
        );
        registry.register(
            "rate_limiter_latency",
            "Time a call to the cloud API waited for its rate permit, in milliseconds",
            metrics.waits.clone(),
        );
        metrics
    }

    /// Metrics without a registry, for tests and tools.
    pub fn unregistered() -> Self {
        CloudMetrics {
            calls: Family::new_with_constructor(|| Histogram::new(exponential_buckets(10.0, 2.0, 12))),
            waits: Family::new_with_constructor(|| Histogram::new(exponential_buckets(1.0, 4.0, 9))),
        }
    }

    pub(crate) fn called(&self, action: Action, failed: bool, took: Duration) {
        let labels = CallLabels {
            api: action.name(),
            error: if failed { "true" } else { "false" },
        };
        self.calls
            .get_or_create(&labels)
            .observe(took.as_secs_f64() * 1_000.0);
    }

    pub(crate) fn waited(&self, action: Action, took: Duration) {
        self.waits
            .get_or_create(&WaitLabels { api: action.name() })
            .observe(took.as_secs_f64() * 1_000.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_labels_are_upstreams() {
        let mut registry = Registry::default();
        let metrics = CloudMetrics::register(&mut registry);
        metrics.called(Action::CreateNetworkInterface, true, Duration::from_millis(250));
        metrics.waited(Action::DescribeVSwitches, Duration::from_millis(2));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        assert!(
            text.contains(r#"aliyun_openapi_latency_count{api="CreateNetworkInterface",error="true"} 1"#),
            "{text}"
        );
        assert!(
            text.contains(r#"rate_limiter_latency_count{api="DescribeVSwitches"} 1"#),
            "{text}"
        );
    }
}
