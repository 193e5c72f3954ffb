//! Histograms of latencies in milliseconds, the unit of upstream's metrics and dashboards.

use std::fmt::Debug;
use std::hash::Hash;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// A family of histograms of latencies in milliseconds.
#[derive(Clone, Debug)]
pub struct Latency<Labels>(Family<Labels, Histogram, Buckets>)
where
    Labels: Clone + Debug + Eq + Hash;

/// Upper bounds of the buckets, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Buckets {
    /// 1 ms to 65 s, each four times the one before: for waits, most of which are short.
    Waits,
    /// 10 ms to 20 s, each twice the one before: for calls over a network.
    Calls,
    /// 10 ms, then 50 ms to 102 s, each twice the one before: for acts on the kernel, some of which wait.
    Acts,
}

impl prometheus_client::metrics::family::MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        match self {
            Self::Waits => Histogram::new(exponential_buckets(1.0, 4.0, 9)),
            Self::Calls => Histogram::new(exponential_buckets(10.0, 2.0, 12)),
            Self::Acts => Histogram::new(std::iter::once(10.0).chain(exponential_buckets(50.0, 2.0, 12))),
        }
    }
}

impl<Labels> Latency<Labels>
where
    Labels: Clone + Debug + Eq + Hash + EncodeLabelSet + Send + Sync + 'static,
{
    /// A family that nobody reads yet.
    #[must_use]
    pub fn new(buckets: Buckets) -> Self {
        Self(Family::new_with_constructor(buckets))
    }

    /// Registers the family; once per registry.
    pub fn register(&self, registry: &mut Registry, name: &str, help: &str) {
        registry.register(name, help, self.0.clone());
    }

    /// Counts one latency.
    pub fn observe(&self, labels: &Labels, took: Duration) {
        self.0.get_or_create(labels).observe(took.as_secs_f64() * 1000.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_are_counted_in_milliseconds() {
        let mut registry = Registry::default();
        for (name, buckets) in [("w", Buckets::Waits), ("c", Buckets::Calls), ("a", Buckets::Acts)] {
            let latency: Latency<[(&str, &str); 1]> = Latency::new(buckets);
            latency.register(&mut registry, name, "Help");
            latency.observe(&[("api", "x")], Duration::from_millis(250));
        }
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "w_sum{api=\"x\"} 250.0",
            "w_bucket{le=\"256.0\",api=\"x\"} 1",
            "w_bucket{le=\"65536.0\",api=\"x\"} 1",
            "c_bucket{le=\"160.0\",api=\"x\"} 0",
            "c_bucket{le=\"320.0\",api=\"x\"} 1",
            "c_bucket{le=\"20480.0\",api=\"x\"} 1",
            "a_bucket{le=\"10.0\",api=\"x\"} 0",
            "a_bucket{le=\"102400.0\",api=\"x\"} 1",
        ] {
            assert!(text.contains(line), "no {line} in {text}");
        }
    }
}
