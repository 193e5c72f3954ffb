//! Sends one signed request and classifies the answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use reqwest::Client;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use terway_process::TRACED;
use tracing::Instrument;
use tracing::field::Empty;

use crate::action::Action;
use crate::credentials::{Credentials, Keys};
use crate::endpoint::Endpoints;
use crate::error::{CloudError, ErrorClass, classify, code};
use crate::fence::Fence;
use crate::limits::{Limiter, Permit, Shut};
use crate::metrics::CloudMetrics;
use crate::requests::Params;
use crate::signature::{authorization, canonical_query, percent_encode, sha256_hex};

/// Length in bytes at which a message of the cloud is cut.
const MAX_MESSAGE: usize = 300;

/// The parts that a call needs. The client and the poller share them.
pub(crate) struct Transport {
    pub(crate) http: Client,
    pub(crate) endpoints: Endpoints,
    pub(crate) region_id: String,
    pub(crate) credentials: Credentials,
    pub(crate) limiter: Limiter,
    pub(crate) metrics: CloudMetrics,
    pub(crate) fence: Arc<dyn Fence>,
    /// Longest time from sending to the last byte of the answer.
    pub(crate) deadline: Duration,
}

impl Transport {
    /// Sends one request, at most once.
    pub(crate) async fn call(
        &self,
        action: Action,
        object: &str,
        permit: Permit,
        params: Params,
    ) -> Result<Value, CloudError> {
        if permit.action() != action {
            let message = format!("the permit is for {}", permit.action());
            return Err(CloudError::local(
                action,
                object,
                ErrorClass::Invalid,
                "WrongPermit",
                &message,
            ));
        }
        let span = tracing::debug_span!(
            target: TRACED,
            "openapi",
            otel.name = action.name(),
            otel.kind = "client",
            otel.status_code = Empty,
            otel.status_description = Empty,
            rpc.system = "aliyun-openapi",
            rpc.method = action.name(),
            terway.object = object,
            terway.permit_wait_ms = permit.waited().as_millis() as u64,
            aliyun.request_id = Empty,
            error.type = Empty,
        );
        let answer = self.send(action, object, permit, params).instrument(span).await;
        self.limiter.note(action, answer.as_ref().err());
        answer
    }

    async fn send(
        &self,
        action: Action,
        object: &str,
        permit: Permit,
        params: Params,
    ) -> Result<Value, CloudError> {
        // An earlier call may have shut the gate after this permit was given.
        if let Some(shut) = self.limiter.shut(&permit) {
            return Err(held_back(action, object, &shut));
        }
        let keys = self.credentials.keys().await.map_err(|error| {
            let message = "there are no credentials to sign with";
            CloudError::local(
                action,
                object,
                ErrorClass::Forbidden,
                code::NO_CREDENTIALS,
                message,
            )
            .because(error)
        })?;
        let request = self
            .request(action, &keys, params)
            .map_err(|what| CloudError::local(action, object, ErrorClass::Invalid, "BadRequest", what))?;
        // The lease is checked last, so that neither the wait for the permit nor a renewal of keys makes the check
        // stale.
        if action.mutates() && self.fence.remaining() <= self.deadline {
            let message = "this process no longer holds the lease for long enough";
            return Err(CloudError::local(
                action,
                object,
                ErrorClass::Fenced,
                "Fenced",
                message,
            ));
        }
        permit.spend();
        let started = Instant::now();
        let answer = self.exchange(action, object, request).await;
        self.tell(action, &answer, started.elapsed());
        if let Err(error) = &answer {
            self.react(error, &keys);
        }
        answer
    }

    /// For metrics, the span of the call and the log.
    fn tell(&self, action: Action, answer: &Result<Value, CloudError>, took: Duration) {
        self.metrics.called(action, answer.is_err(), took);
        let span = tracing::Span::current();
        span.record("aliyun.request_id", request_id(answer));
        let ms = took.as_millis() as u64;
        match answer {
            Ok(_) => tracing::debug!(request_id = request_id(answer), ms, "done"),
            Err(error) => {
                span.record("otel.status_code", "ERROR");
                span.record("otel.status_description", error.message.as_str());
                span.record("error.type", error.code.as_str());
                tracing::debug!(
                    error = error as &dyn std::error::Error,
                    class = ?error.class,
                    ms,
                    "failed"
                );
            }
        }
    }

    fn request(
        &self,
        action: Action,
        keys: &Keys,
        mut params: Params,
    ) -> Result<reqwest::Request, &'static str> {
        params.set("RegionId", self.region_id.as_str());
        let query = canonical_query(&params.0);
        let base = self.endpoints.of(action.product());
        let url = url::Url::parse(&format!("{base}/?{query}"))
            .map_err(|_| "the endpoint is not a usable address")?;
        let host = match (url.host_str(), url.port()) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            (Some(host), None) => host.to_owned(),
            (None, _) => return Err("the endpoint has no host"),
        };
        let mut headers = vec![
            ("host".to_owned(), host),
            ("x-acs-action".to_owned(), action.name().to_owned()),
            ("x-acs-content-sha256".to_owned(), sha256_hex(b"")),
            (
                "x-acs-date".to_owned(),
                Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            ),
            (
                "x-acs-signature-nonce".to_owned(),
                uuid::Uuid::new_v4().to_string(),
            ),
            ("x-acs-version".to_owned(), action.product().version().to_owned()),
        ];
        if let Some(token) = &keys.security_token {
            headers.push(("x-acs-security-token".to_owned(), token.reveal().to_owned()));
        }
        let id = percent_encode(&keys.id);
        let signed = authorization(&id, keys.secret.reveal(), "POST", &query, &headers);
        headers.push(("authorization".to_owned(), signed));

        let mut request = reqwest::Request::new(reqwest::Method::POST, url);
        *request.headers_mut() = header_map(&headers)?;
        *request.timeout_mut() = Some(self.deadline);
        Ok(request)
    }

    async fn exchange(
        &self,
        action: Action,
        object: &str,
        request: reqwest::Request,
    ) -> Result<Value, CloudError> {
        let lost = |error: reqwest::Error| {
            let code = match () {
                () if error.is_connect() => code::UNREACHABLE,
                () if error.is_timeout() => code::TIMEOUT,
                () => code::CONNECTION_LOST,
            };
            let message = "there is no answer";
            CloudError::local(action, object, ErrorClass::Unknown, code, message).because(error.without_url())
        };
        let answer = self.http.execute(request).await.map_err(lost)?;
        let status = answer.status();
        let bytes = answer.bytes().await.map_err(lost)?;
        if status.is_success() {
            return serde_json::from_slice(&bytes)
                .map_err(|error| malformed(action, object, status.as_u16()).because(error));
        }
        Err(refusal(action, object, status.as_u16(), &bytes))
    }

    fn react(&self, error: &CloudError, keys: &Keys) {
        match error.class {
            ErrorClass::Throttled => self.limiter.throttled(error.action),
            // New keys would not have the missing permission either.
            ErrorClass::Forbidden if !error.is_about_permissions() => self.credentials.distrust(keys),
            ErrorClass::Forbidden
            | ErrorClass::Unknown
            | ErrorClass::Conflict
            | ErrorClass::NotFound
            | ErrorClass::Exhausted
            | ErrorClass::Limit
            | ErrorClass::Invalid
            | ErrorClass::TokenReused
            | ErrorClass::Fenced => {}
        }
    }
}

fn request_id(answer: &Result<Value, CloudError>) -> &str {
    let id = match answer {
        Ok(body) => body.get("RequestId").and_then(Value::as_str),
        Err(error) => error.request_id.as_deref(),
    };
    id.unwrap_or_default()
}

/// The error of a call that the gate held back.
pub(crate) fn held_back(action: Action, object: &str, shut: &Shut) -> CloudError {
    CloudError::local(
        action,
        object,
        ErrorClass::Forbidden,
        code::HELD_BACK,
        &shut.reason,
    )
}

/// The error of an answer with a status of success whose body is unreadable.
pub(crate) fn malformed(action: Action, object: &str, status: u16) -> CloudError {
    CloudError {
        http_status: Some(status),
        ..CloudError::local(
            action,
            object,
            ErrorClass::Unknown,
            "UnreadableAnswer",
            "the answer cannot be read",
        )
    }
}

pub(crate) fn refusal(action: Action, object: &str, status: u16, body: &[u8]) -> CloudError {
    let body: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let get = |key: &str| {
        body.get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let code = get("Code");
    let class = classify(status, &code);
    let request_id = get("RequestId");
    CloudError {
        action,
        object: object.to_owned(),
        // A proxy between us and the cloud may answer in another form.
        code: if code.is_empty() {
            "NoCode".to_owned()
        } else {
            code
        },
        message: shortened(get("Message")),
        request_id: (!request_id.is_empty()).then_some(request_id),
        http_status: Some(status),
        class,
        source: None,
    }
}

/// The beginning of a message. Some refusals repeat the whole request.
fn shortened(mut message: String) -> String {
    if message.len() > MAX_MESSAGE {
        message.truncate(message.floor_char_boundary(MAX_MESSAGE));
        message.push('…');
    }
    message
}

fn header_map(headers: &[(String, String)]) -> Result<HeaderMap, &'static str> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| "a header name is not allowed")?;
        let mut value =
            HeaderValue::from_str(value).map_err(|_| "an access key or token has control characters")?;
        value.set_sensitive(name == "authorization" || name == "x-acs-security-token");
        map.insert(name, value);
    }
    Ok(map)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_refusal_keeps_the_clouds_words() {
        let body = br#"{"RequestId":"R-1","HostId":"h","Code":"Throttling.User","Message":"slow down"}"#;
        let error = refusal(Action::AttachNetworkInterface, "ENI eni-1", 400, body);
        assert_eq!(error.class, ErrorClass::Throttled);
        assert_eq!(
            (error.code.as_str(), error.request_id.as_deref()),
            ("Throttling.User", Some("R-1"))
        );
    }

    #[test]
    fn an_answer_of_a_proxy_leaves_the_outcome_open() {
        let error = refusal(
            Action::CreateNetworkInterface,
            "vSwitch vsw-1",
            404,
            b"<html>not here</html>",
        );
        assert_eq!(error.class, ErrorClass::Unknown);
    }

    proptest! {
        #[test]
        fn arbitrary_bodies_are_sorted_calmly(status in 300u16..600, body in proptest::collection::vec(any::<u8>(), 0..100)) {
            let error = refusal(Action::DeleteNetworkInterface, "ENI eni-1", status, &body);
            prop_assert!(!error.code.is_empty());
        }
    }
}
