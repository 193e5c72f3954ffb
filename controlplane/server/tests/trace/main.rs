//! Spans of a pod and of its cloud calls reach a real collector as one trace, over each form of OTLP.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod collector;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::StatusCode;
use collector::Collected;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::{Span, status::StatusCode as SpanStatus};
use terway_cloud::{Cloud, CloudConfig, CloudMetrics, CredentialSource, Endpoints, Unfenced};
use terway_controlplane::trace::{Admission, Collector, Export, of_pod};
use terway_process::TRACED;
use tokio::net::TcpListener;
use tracing::{Instrument, debug_span};
use tracing_subscriber::layer::SubscriberExt;
use uuid::Uuid;

const UID: &str = "6f1c9f0e-8a54-4c7e-9d7b-0123456789ab";

/// A cloud that knows no vSwitch. It answers this many questions and refuses the others.
async fn cloud(answers: usize) -> Cloud {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let router = Router::new().fallback(move || {
        let answered = asked.fetch_add(1, Ordering::Relaxed) < answers;
        async move {
            match answered {
                true => (
                    StatusCode::OK,
                    r#"{"RequestId":"R-42","VSwitches":{"VSwitch":[]}}"#,
                ),
                false => (
                    StatusCode::FORBIDDEN,
                    r#"{"RequestId":"R-43","Code":"Forbidden.RAM","Message":"no"}"#,
                ),
            }
        }
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    let config = CloudConfig {
        region_id: Some("cn-beijing".into()),
        endpoints: Some(Endpoints::one(url)),
        ..CloudConfig::new(CredentialSource::choose("ak-visible", "sk-secret", ""))
    };
    Cloud::connect(config, Arc::new(Unfenced), CloudMetrics::unregistered())
        .await
        .unwrap()
}

/// An export to `url`, with these variables in the environment.
fn export(url: &str, variables: &[(&str, &str)]) -> Export {
    let collector = Collector {
        endpoint: url.to_owned(),
        token: "a-token".into(),
    };
    let variable = |name: &str| {
        let found = variables.iter().find(|(variable, _)| *variable == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    Export::start(&collector, variable).unwrap()
}

/// What happens to a pod while `export` goes on.
async fn make_a_pod(export: &Export) {
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(export.receiver()));
    let (cloud, wanted) = (cloud(1).await, ["vsw-1".to_owned()]);
    of_pod(debug_span!(target: TRACED, "create PodENI"), UID).in_scope(|| {});
    debug_span!("of no interest").in_scope(|| {});
    let attach = of_pod(debug_span!(target: TRACED, "eni", otel.name = "attach ENI"), UID);
    async {
        cloud.describe_vswitches(&wanted).await.unwrap();
        cloud.describe_vswitches(&wanted).await.unwrap_err();
    }
    .instrument(attach)
    .await;
    tokio::task::block_in_place(|| export.flush()).unwrap();
}

fn spans(collected: &Collected) -> Vec<Span> {
    let posts = collected.all().into_iter();
    posts
        .flat_map(|post| post.message.resource_spans)
        .flat_map(|resource| resource.scope_spans)
        .flat_map(|scope| scope.spans)
        .collect()
}

fn text<'a>(attributes: &'a [KeyValue], key: &str) -> &'a str {
    let found = attributes.iter().find(|attribute| attribute.key == key);
    match found.and_then(|attribute| attribute.value.as_ref()?.value.as_ref()) {
        Some(Value::StringValue(text)) => text,
        _ => "",
    }
}

fn named<'a>(spans: &'a [Span], name: &str) -> Vec<&'a Span> {
    spans.iter().filter(|span| span.name == name).collect()
}

fn check(collected: &Collected, content_type: &str, path: &str) {
    let posts = collected.all();
    for post in &posts {
        assert_eq!(
            (post.content_type.as_str(), post.path.as_str()),
            (content_type, path)
        );
        assert_eq!(post.authentication, "a-token");
        let resource = post.message.resource_spans[0].resource.as_ref().unwrap();
        assert_eq!(text(&resource.attributes, "service.name"), "terway-controlplane");
        let all = format!("{:?}", post.message);
        assert!(!all.contains("sk-secret") && !all.contains("ak-visible") && !all.contains("a-token"));
    }
    let spans = spans(collected);
    assert_eq!(spans.len(), 4, "{spans:#?}");
    let uid = u128::from_str_radix(&UID.replace('-', ""), 16)
        .unwrap()
        .to_be_bytes();
    let (record, attach) = (named(&spans, "create PodENI")[0], named(&spans, "attach ENI")[0]);
    let calls = named(&spans, "DescribeVSwitches");
    for span in [record, attach] {
        assert_eq!(
            (&span.trace_id[..], &span.parent_span_id[..]),
            (&uid[..], &uid[8..])
        );
    }
    for call in &calls {
        assert_eq!(
            (&call.trace_id[..], &call.parent_span_id),
            (&uid[..], &attach.span_id)
        );
        assert_eq!(call.kind(), SpanKind::Client);
        assert_eq!(text(&call.attributes, "terway.object"), "vSwitch vsw-1");
        assert!(attach.start_time_unix_nano <= call.start_time_unix_nano);
        assert!(call.end_time_unix_nano <= attach.end_time_unix_nano);
    }
    assert_eq!(text(&calls[0].attributes, "aliyun.request_id"), "R-42");
    assert_eq!(text(&calls[1].attributes, "aliyun.request_id"), "R-43");
    assert_eq!(text(&calls[1].attributes, "error.type"), "Forbidden.RAM");
    assert_eq!(calls[1].status.as_ref().unwrap().code(), SpanStatus::Error);
}

/// The TLS implementation that the program itself chooses.
fn choose_tls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_and_its_cloud_calls_are_one_trace_over_every_form_of_otlp() {
    choose_tls();
    let (url, collected) = collector::over_http().await;
    make_a_pod(&export(&url, &[])).await;
    check(&collected, "application/x-protobuf", "/v1/traces");

    let (url, collected) = collector::over_http().await;
    make_a_pod(&export(&url, &[("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")])).await;
    check(&collected, "application/json", "/v1/traces");

    let (url, collected) = collector::over_grpc().await;
    make_a_pod(&export(&url, &[("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc")])).await;
    check(&collected, "application/grpc", "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_admission_is_part_of_its_pods_trace_and_keeps_its_times() {
    choose_tls();
    let (url, collected) = collector::over_http().await;
    let export = export(&url, &[]);
    export.install();
    let admission = Admission::read("2026-11-29T10:00:00.5Z/2026-11-29T10:00:00.75Z").unwrap();
    admission.send("shop", "db-0", UID);
    tokio::task::block_in_place(|| export.flush()).unwrap();
    let spans = spans(&collected);
    let [span] = &spans[..] else {
        panic!("not one span: {spans:#?}")
    };
    assert_eq!((span.name.as_str(), span.kind()), ("admission", SpanKind::Server));
    assert_eq!(span.trace_id, Uuid::parse_str(UID).unwrap().as_bytes());
    assert_eq!(span.end_time_unix_nano - span.start_time_unix_nano, 250_000_000);
    assert_eq!(span.start_time_unix_nano, 1_795_946_400_500_000_000);
    assert_eq!(text(&span.attributes, "k8s.pod.name"), "db-0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sampler_that_takes_nothing_sends_nothing() {
    choose_tls();
    let (url, collected) = collector::over_http().await;
    make_a_pod(&export(&url, &[("OTEL_TRACES_SAMPLER", "always_off")])).await;
    assert!(spans(&collected).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_gone_costs_calls_nothing() {
    choose_tls();
    let export = export("http://127.0.0.1:1", &[]);
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(export.receiver()));
    let (cloud, wanted) = (cloud(20).await, ["vsw-1".to_owned()]);
    let start = Instant::now();
    for _ in 0..20 {
        cloud.describe_vswitches(&wanted).await.unwrap();
    }
    assert!(start.elapsed() < Duration::from_secs(5));
    let ending = Instant::now();
    tokio::task::block_in_place(|| export.end());
    assert!(ending.elapsed() < Duration::from_secs(10));
}
