//! The admission of a pod, as a span of the pod's trace.
//!
//! A trace's id is the pod's UID, and a new pod has no UID while the webhook reviews it. Therefore the webhook notes
//! the times of the review in an annotation of the pod, and the pod controller sends the span. Both happen only where
//! `enableTrace` is set.

use jiff::{SignedDuration, Timestamp};
use opentelemetry::trace::{Span, SpanKind, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue, global};

use super::{SERVICE, pod_context};

/// A review takes less than the API server's timeout of webhooks, which is at most 30 s (`timeoutSeconds` of
/// MutatingWebhook). Longer times were not written by the webhook.
const LONGEST: SignedDuration = SignedDuration::from_secs(30);

/// When the webhook reviewed a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admission {
    pub begin: Timestamp,
    pub end: Timestamp,
}

impl Admission {
    /// The value of the annotation: an interval as in ISO 8601, `<begin>/<end>`.
    #[must_use]
    pub fn note(&self) -> String {
        format!("{:.6}/{:.6}", self.begin, self.end)
    }

    /// Reads the annotation. `None` when the webhook did not write it so.
    #[must_use]
    pub fn read(note: &str) -> Option<Self> {
        let (begin, end) = note.split_once('/')?;
        let (begin, end) = (begin.parse().ok()?, end.parse().ok()?);
        let took = Timestamp::duration_since(end, begin);
        (!took.is_negative() && took <= LONGEST).then_some(Self { begin, end })
    }

    /// Sends the span `admission` of the pod with this UID.
    pub fn send(&self, namespace: &str, name: &str, uid: &str) {
        let Some(pod) = pod_context(uid) else { return };
        let tracer = global::tracer(SERVICE);
        let span = tracer
            .span_builder("admission")
            .with_kind(SpanKind::Server)
            .with_start_time(self.begin)
            .with_attributes([
                KeyValue::new("k8s.namespace.name", namespace.to_owned()),
                KeyValue::new("k8s.pod.name", name.to_owned()),
            ]);
        let parent = Context::new().with_remote_span_context(pod);
        span.start_with_context(&tracer, &parent)
            .end_with_timestamp(self.end.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_note_of_the_webhook_is_read_again_and_nothing_else_is() {
        let begin: Timestamp = "2026-11-29T10:00:00.000123Z".parse().unwrap();
        let admission = Admission {
            begin,
            end: begin + SignedDuration::from_millis(12),
        };
        assert_eq!(
            admission.note(),
            "2026-11-29T10:00:00.000123Z/2026-11-29T10:00:00.012123Z"
        );
        assert_eq!(Admission::read(&admission.note()), Some(admission));
        for wrong in [
            "",
            "/",
            "now/then",
            "2026-11-29T10:00:00Z",
            "2026-11-29T10:00:01Z/2026-11-29T10:00:00Z",
            "0001-01-01T00:00:00Z/2026-11-29T10:00:00Z",
            "-009999-01-02T01:59:59Z/9999-12-30T22:00:00Z",
        ] {
            assert_eq!(Admission::read(wrong), None, "{wrong}");
        }
    }
}
