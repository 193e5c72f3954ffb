//! Times in a world: spans, written as `250ms`, and latencies, which are a fixed span or drawn from a distribution.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::SignedDuration;
use rand::RngExt;
use serde::{Deserialize, Serialize};

/// The longest accepted span, a hundred years. The sum of several such spans does not overflow a time stamp.
pub const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// A span of time, written `250ms`, `1.5s`, `24h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Deserialize)]
#[serde(try_from = "String")]
pub struct Span(pub Duration);

impl Span {
    /// A span of whole milliseconds.
    pub const fn millis(ms: u64) -> Span {
        Span(Duration::from_millis(ms))
    }

    /// A span of whole seconds.
    pub const fn secs(seconds: u64) -> Span {
        Span(Duration::from_secs(seconds))
    }
}

/// A text that is not a span.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a span of time such as 250ms, 1.5s or 24h")]
pub struct SpanError(String);

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || SpanError(text.to_owned());
        let signed: SignedDuration = text.parse().map_err(|_| bad())?;
        let span = Duration::try_from(signed).map_err(|_| bad())?;
        if span > LONGEST {
            return Err(bad());
        }
        Ok(Span(span))
    }
}

impl TryFrom<String> for Span {
    type Error = SpanError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match SignedDuration::try_from(self.0) {
            Ok(signed) => write!(f, "{signed:#}"),
            Err(_) => write!(f, "{}s", self.0.as_secs()),
        }
    }
}

impl Serialize for Span {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A span (`250ms`), or a distribution of spans (`{min: 200ms, max: 300ms}` is uniform,
/// `{median: 200ms, sigma: 0.4}` log-normal).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Latency {
    Fixed(Span),
    Uniform { min: Span, max: Span },
    LogNormal { median: Span, sigma: f64 },
}

/// The longest drawn span. It limits the tail of a distribution.
const LONGEST_DRAW: Duration = Duration::from_secs(3600);

impl Default for Latency {
    fn default() -> Self {
        Latency::Fixed(Span::default())
    }
}

impl Latency {
    /// A span that draws do not exceed, except a few in a hundred thousand draws of a log-normal distribution.
    pub fn longest(&self) -> Duration {
        match *self {
            Latency::Fixed(span) => span.0,
            Latency::Uniform { min, max } => min.0.max(max.0),
            Latency::LogNormal { median, sigma } => median
                .0
                .mul_f64((4.5 * sigma.abs()).exp().min(1e6))
                .min(LONGEST_DRAW),
        }
    }

    /// One draw.
    pub fn sample(&self, random: &mut impl RngExt) -> Duration {
        match *self {
            Latency::Fixed(span) => span.0,
            Latency::Uniform { min, max } => {
                if min >= max {
                    min.0
                } else {
                    random.random_range(min.0..=max.0)
                }
            }
            Latency::LogNormal { median, sigma } => {
                // The Box–Muller transform makes one standard normal draw from two uniform draws.
                let (first, second): (f64, f64) = (1.0 - random.random::<f64>(), random.random());
                let normal = (-2.0 * first.ln()).sqrt() * (std::f64::consts::TAU * second).cos();
                median
                    .0
                    .mul_f64((sigma * normal).exp().min(1e6))
                    .min(LONGEST_DRAW)
            }
        }
    }
}

/// How far reads lag behind.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Staleness {
    /// Lag of ENIs. It is drawn for each call, so a later call may show an older state than an earlier call.
    pub network_interfaces: Latency,
    /// Lag of a vSwitch's AvailableIpAddressCount.
    pub available_addresses: Span,
    /// Lag of ENIs and their addresses in the metadata service.
    pub metadata: Span,
}

/// The latencies of one API action.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ActionTiming {
    /// From the request to the answer. The action acts at the end of this time.
    pub answer: Latency,
    /// From the answer of an asynchronous action to its completion.
    pub done: Latency,
}
