//! Traces: one for each pod, from its record over the cloud calls to the attachment of its ENIs.
//!
//! Nothing is stored for this. The id of a pod's trace is the pod's UID, which controllers of every replica know: a
//! UID and a trace id both have 16 bytes. Spans of a pod are children of a span that nobody sends, whose id is the
//! second half of the UID. The span of the admission is sent later, because a new pod has no UID yet: the API server
//! sets the UID after the mutating webhooks (`createHandler` in apiserver's `handlers/create.go`, `BeforeCreate` in
//! `registry/rest/create.go`).
//!
//! The node agent sends no spans: an exporter would cost memory on every node, and its part of a pod's start is one
//! span, which the event AllocIPSucceed tells too.

mod admission;
mod export;
mod sampling;

use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use uuid::Uuid;

pub use admission::Admission;
pub use export::{Collector, CollectorError, ENDS_WITHIN, Export};

/// The name of the program in its spans.
const SERVICE: &str = "terway-controlplane";

/// Makes `span` part of the trace of the pod with this UID. Costs nothing while no spans are exported.
#[must_use]
pub fn of_pod(span: Span, uid: &str) -> Span {
    if !span.is_disabled()
        && let Some(pod) = pod_context(uid)
    {
        // Fails only where spans are not exported.
        let _ = span.set_parent(opentelemetry::Context::new().with_remote_span_context(pod));
    }
    span
}

/// The span that all spans of a pod are children of; `None` when `uid` is not of the form of a UUID.
fn pod_context(uid: &str) -> Option<SpanContext> {
    let uid = Uuid::parse_str(uid).ok()?;
    let trace = TraceId::from_bytes(*uid.as_bytes());
    let span = SpanId::from_bytes(uid.as_u64_pair().1.to_be_bytes());
    Some(SpanContext::new(
        trace,
        span,
        TraceFlags::SAMPLED,
        true,
        TraceState::NONE,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trace_of_a_pod_is_its_uid() {
        let pod = pod_context("6f1c9f0e-8a54-4c7e-9d7b-0123456789ab").unwrap();
        assert_eq!(pod.trace_id().to_string(), "6f1c9f0e8a544c7e9d7b0123456789ab");
        assert_eq!(pod.span_id().to_string(), "9d7b0123456789ab");
        assert!(pod.is_remote() && pod.is_sampled());
        assert!(pod_context("no-uid").is_none());
    }
}
