//! Spans of cloud calls for an OpenTelemetry collector (OTLP over HTTP, in its JSON form), when one is named.
//!
//! A call is one span, which needs no more of OTLP than is written here; the usual libraries would bring a
//! second HTTP stack and a dozen crates for it. A collector that is slow or gone costs calls nothing: spans
//! wait in a bounded queue, and what does not fit is dropped.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::Client;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::action::Action;
use crate::error::CloudError;
use crate::secret::Secret;

/// Spans that wait for the collector.
const QUEUE: usize = 2_048;
/// Spans in one message.
const BATCH: usize = 512;
/// Time that the first span of a message waits for company.
const GATHER: Duration = Duration::from_secs(2);
const TIMEOUT: Duration = Duration::from_secs(5);
/// Time between two complaints about a collector.
const QUIET: Duration = Duration::from_secs(600);
/// OTLP's number for a span of the calling side, and for a failed one.
const CLIENT: u8 = 3;
const FAILED: u8 = 2;

/// Where spans go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceTarget {
    /// Base URL of a collector's OTLP/HTTP receiver, such as `http://collector:4318`.
    pub endpoint: String,
    /// Sent as the header `Authentication`, as Alibaba Cloud's tracing service wants it; may be empty.
    pub token: Secret,
}

impl TraceTarget {
    /// The address that takes spans; `None` when the endpoint is no http(s) URL.
    fn url(&self) -> Option<url::Url> {
        let text = match self.endpoint.contains("://") {
            true => self.endpoint.clone(),
            false => format!("http://{}", self.endpoint),
        };
        let base = url::Url::parse(&text).ok()?;
        let usable = matches!(base.scheme(), "http" | "https") && base.has_host();
        let path = base.path().trim_end_matches('/');
        let path = match path.ends_with("/v1/traces") {
            true => path.to_owned(),
            false => format!("{path}/v1/traces"),
        };
        let mut url = base;
        url.set_path(&path);
        usable.then_some(url)
    }
}

/// One finished call.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) action: Action,
    pub(crate) object: &'a str,
    /// How long it waited for its permit before.
    pub(crate) waited: Duration,
    pub(crate) took: Duration,
    pub(crate) request_id: &'a str,
    pub(crate) error: Option<&'a CloudError>,
}

/// Takes spans. The task that sends them ends with the last handle.
#[derive(Debug, Clone)]
pub(crate) struct Tracer {
    spans: mpsc::Sender<Value>,
}

impl Tracer {
    /// Starts the sending task; `None` when the target's endpoint is no http(s) URL.
    pub(crate) fn start(target: &TraceTarget, http: Client) -> Option<Self> {
        let url = target.url()?;
        let (spans, queue) = mpsc::channel(QUEUE);
        tokio::spawn(send_all(queue, http, url, target.token.clone()));
        Some(Tracer { spans })
    }

    /// Tells of a call that has just ended.
    pub(crate) fn tell(&self, call: &Call<'_>) {
        // Full means that the collector is gone or slow, which is told where it is noticed.
        let _ = self.spans.try_send(span(call, SystemTime::now()));
    }
}

fn span(call: &Call<'_>, now: SystemTime) -> Value {
    let end = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let start = end.saturating_sub(call.took);
    let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let mut attributes = vec![
        text("rpc.system", "aliyun-openapi"),
        text("rpc.method", call.action.name()),
        text("terway.object", call.object),
        text("aliyun.request_id", call.request_id),
        json!({"key": "terway.permit_wait_ms", "value": {"intValue": call.waited.as_millis().to_string()}}),
    ];
    let mut status = json!({});
    if let Some(error) = call.error {
        attributes.push(text("error.type", &error.code));
        status = json!({"code": FAILED, "message": error.message});
    }
    let span_id = Uuid::new_v4().simple().to_string();
    json!({
        "traceId": Uuid::new_v4().simple().to_string(),
        "spanId": &span_id[..16],
        "name": call.action.name(),
        "kind": CLIENT,
        "startTimeUnixNano": start.as_nanos().to_string(),
        "endTimeUnixNano": end.as_nanos().to_string(),
        "attributes": attributes,
        "status": status,
    })
}

fn message(spans: Vec<Value>) -> Value {
    let service = json!([{"key": "service.name", "value": {"stringValue": "terway-controlplane"}}]);
    json!({"resourceSpans": [{
        "resource": {"attributes": service},
        "scopeSpans": [{"scope": {"name": "terway-cloud"}, "spans": spans}],
    }]})
}

async fn send_all(mut queue: mpsc::Receiver<Value>, http: Client, url: url::Url, token: Secret) {
    let mut complained: Option<tokio::time::Instant> = None;
    while let Some(first) = queue.recv().await {
        let mut spans = vec![first];
        let full = async {
            while spans.len() < BATCH {
                match queue.recv().await {
                    Some(span) => spans.push(span),
                    None => return,
                }
            }
        };
        // Cancel-safe: what was taken out of the queue is in the list.
        let _ = tokio::time::timeout(GATHER, full).await;
        let lost = spans.len();
        if let Err(error) = send(&http, &url, &token, message(spans)).await {
            let now = tokio::time::Instant::now();
            if complained.is_none_or(|at| now.duration_since(at) >= QUIET) {
                complained = Some(now);
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    lost,
                    "spans do not reach the collector: check otelEndpoint, which must speak OTLP over HTTP"
                );
            }
        }
    }
}

async fn send(http: &Client, url: &url::Url, token: &Secret, message: Value) -> Result<(), reqwest::Error> {
    let mut request = http.post(url.clone()).timeout(TIMEOUT).json(&message);
    if !token.reveal().is_empty() {
        request = request.header("authentication", token.reveal());
    }
    let answer = request.send().await.and_then(reqwest::Response::error_for_status);
    answer.map(drop).map_err(reqwest::Error::without_url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(endpoint: &str) -> TraceTarget {
        TraceTarget {
            endpoint: endpoint.into(),
            token: "hush".into(),
        }
    }

    #[test]
    fn an_endpoint_may_be_a_host_a_url_or_the_whole_address() {
        let url = |endpoint| target(endpoint).url().map(String::from);
        assert_eq!(url("collector:4318").unwrap(), "http://collector:4318/v1/traces");
        assert_eq!(url("https://c/otlp/").unwrap(), "https://c/otlp/v1/traces");
        assert_eq!(url("http://c/v1/traces").unwrap(), "http://c/v1/traces");
        assert_eq!(url("unix:///run/otel.sock"), None);
        assert!(!format!("{:?}", target("c")).contains("hush"));
    }

    #[test]
    fn a_span_says_what_was_asked_and_how_it_ended() {
        let error = CloudError::local(
            Action::CreateNetworkInterface,
            "vSwitch vsw-1",
            crate::ErrorClass::Unknown,
            "Timeout",
            "there is no answer",
        );
        let call = Call {
            action: Action::CreateNetworkInterface,
            object: "vSwitch vsw-1",
            waited: Duration::from_millis(250),
            took: Duration::from_secs(2),
            request_id: "R-1",
            error: Some(&error),
        };
        let span = span(&call, UNIX_EPOCH + Duration::from_secs(10));
        assert_eq!(span["name"], "CreateNetworkInterface");
        assert_eq!(span["startTimeUnixNano"], "8000000000");
        assert_eq!(span["endTimeUnixNano"], "10000000000");
        assert_eq!(span["traceId"].as_str().unwrap().len(), 32);
        assert_eq!(span["spanId"].as_str().unwrap().len(), 16);
        assert_eq!(span["status"]["code"], 2);
        let attributes = span["attributes"].to_string();
        for told in ["R-1", "vSwitch vsw-1", "Timeout", "\"250\""] {
            assert!(attributes.contains(told), "{attributes}");
        }
    }
}
