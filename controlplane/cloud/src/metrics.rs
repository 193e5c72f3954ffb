//! Metrics of cloud calls, under upstream's names.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::registry::Registry;
use terway_process::latency::{Buckets, Latency};

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
    calls: Latency<CallLabels>,
    waits: Latency<WaitLabels>,
}

impl CloudMetrics {
    /// Registers both metrics. Call it once per registry.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::unregistered();
        metrics.calls.register(
            registry,
            "aliyun_openapi_latency",
            "Time a call to the cloud API took, in milliseconds",
        );
        metrics.waits.register(
            registry,
            "rate_limiter_latency",
            "Time a call to the cloud API waited for its rate permit, in milliseconds",
        );
        metrics
    }

    /// Metrics without a registry, for tests and tools.
    pub fn unregistered() -> Self {
        CloudMetrics {
            calls: Latency::new(Buckets::Calls),
            waits: Latency::new(Buckets::Waits),
        }
    }

    pub(crate) fn called(&self, action: Action, failed: bool, took: Duration) {
        let labels = CallLabels {
            api: action.name(),
            error: if failed { "true" } else { "false" },
        };
        self.calls.observe(&labels, took);
    }

    pub(crate) fn waited(&self, action: Action, took: Duration) {
        self.waits.observe(&WaitLabels { api: action.name() }, took);
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
