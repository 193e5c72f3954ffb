//! Which traces are sent: OpenTelemetry's variables `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`, applied to
//! traces of pods too.
//!
//! The SDK's own reading of these variables would send every pod or none, because the parent of a pod's spans is not
//! a span that somebody decided about.

use opentelemetry::trace::{Link, SpanKind, TraceContextExt, TraceId};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{Sampler, SamplingResult, ShouldSample};

/// A sampler for traces of pods and other traces.
#[derive(Clone, Debug)]
pub(super) struct Sampling {
    /// Decides about a trace as a whole.
    root: Sampler,
    /// Follows the decision about the span above.
    child: Sampler,
}

impl Sampling {
    /// Reads the two variables; `None` when they name no sampler that this program has. A sampler with and without
    /// `parentbased_` is the same here: no trace comes from elsewhere.
    pub(super) fn read(name: Option<&str>, argument: Option<&str>) -> Option<Self> {
        let name = name.unwrap_or("always_on");
        let root = match name.strip_prefix("parentbased_").unwrap_or(name) {
            "always_on" => Sampler::AlwaysOn,
            "always_off" => Sampler::AlwaysOff,
            "traceidratio" => Sampler::TraceIdRatioBased(argument.map_or(Some(1.0), ratio)?),
            _ => return None,
        };
        let child = Sampler::ParentBased(Box::new(root.clone()));
        Some(Self { root, child })
    }
}

fn ratio(argument: &str) -> Option<f64> {
    argument.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio))
}

impl ShouldSample for Sampling {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let pod = parent.is_some_and(|parent| parent.span().span_context().is_remote());
        if pod {
            let trace = random_half_last(trace);
            self.root
                .should_sample(None, trace, name, kind, attributes, links)
        } else {
            self.child
                .should_sample(parent, trace, name, kind, attributes, links)
        }
    }
}

/// A ratio looks at the last eight bytes of a trace id. Those of a UID begin with two fixed bits (RFC 9562, the
/// variant), its first six bytes are random.
fn random_half_last(trace: TraceId) -> TraceId {
    TraceId::from_bytes(
        u128::from_be_bytes(trace.to_bytes())
            .rotate_right(64)
            .to_be_bytes(),
    )
}

#[cfg(test)]
mod tests {
    use opentelemetry_sdk::trace::SamplingDecision;

    use super::*;

    fn sampled(sampling: &Sampling, parent: Option<&Context>, trace: TraceId) -> bool {
        let result = sampling.should_sample(parent, trace, "attach", &SpanKind::Internal, &[], &[]);
        result.decision == SamplingDecision::RecordAndSample
    }

    fn share_of_pods(name: &str, argument: Option<&str>) -> usize {
        let sampling = Sampling::read(Some(name), argument).unwrap();
        let sampled = (0..1000).filter(|_| {
            let pod = super::super::pod_context(&uuid::Uuid::new_v4().to_string()).unwrap();
            let trace = pod.trace_id();
            let parent = Context::new().with_remote_span_context(pod);
            sampled(&sampling, Some(&parent), trace)
        });
        sampled.count()
    }

    #[test]
    fn a_ratio_takes_that_share_of_the_pods() {
        assert_eq!(share_of_pods("always_on", None), 1000);
        assert_eq!(share_of_pods("parentbased_always_off", None), 0);
        assert_eq!(share_of_pods("traceidratio", None), 1000);
        // Of a thousand pods this many, but for a chance below one in a billion.
        let quarter = share_of_pods("parentbased_traceidratio", Some("0.25"));
        assert!((160..340).contains(&quarter), "{quarter}");
    }

    #[test]
    fn other_samplers_and_ratios_are_refused() {
        for (name, argument) in [
            ("jaeger_remote", None),
            ("traceidratio", Some("2")),
            ("traceidratio", Some("x")),
        ] {
            assert!(
                Sampling::read(Some(name), argument).is_none(),
                "{name} {argument:?}"
            );
        }
        assert!(Sampling::read(None, None).is_some());
    }
}
