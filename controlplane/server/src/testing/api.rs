//! A small API server inside the test: objects by path, resourceVersions, finalizers, conflicts, and a log.
//!
//! It is no API server in full: no schema, no watches, no selectors. Tests of the real conversation run against a real
//! one (`tests/` and `e2e/scenarios`). This one answers in microseconds, and refuses what a test tells it to refuse.

use std::sync::Arc;

use axum::http::{Method, Request, Response};
use kube::Client;
use kube::client::Body;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::watch;
use tower::service_fn;

use super::objects::{ScriptedError, State};
use crate::objects::kinds::Kind;

/// One request as it came.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Asked {
    pub method: String,
    /// Without the query.
    pub path: String,
    /// `null` without a body.
    pub body: Value,
}

/// The API server; clones share it.
#[derive(Clone)]
pub(crate) struct ApiServer {
    state: Arc<Mutex<State>>,
    /// Whether requests are answered.
    answers: Arc<watch::Sender<bool>>,
}

impl Default for ApiServer {
    fn default() -> Self {
        Self {
            state: Arc::default(),
            answers: Arc::new(watch::Sender::new(true)),
        }
    }
}

impl ApiServer {
    /// A client of this server.
    pub fn client(&self) -> Client {
        let server = self.clone();
        let service = service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move { server.serve(request).await }
        });
        Client::new(service, "default")
    }

    /// A server that answers nothing until [`ApiServer::answer_everything`].
    pub fn silent() -> Self {
        let server = Self::default();
        server.fall_silent();
        server
    }

    /// Answers nothing from now on.
    pub fn fall_silent(&self) {
        self.answers.send_replace(false);
    }

    /// Answers what waits, and all that comes.
    pub fn answer_everything(&self) {
        self.answers.send_replace(true);
    }

    /// Puts an object there, and gives it back as the server knows it.
    pub fn put<K: Kind>(&self, object: &K) -> K {
        let namespace = object.meta().namespace.as_deref();
        let name = object.meta().name.as_deref().unwrap_or_default();
        let path = format!("{}/{name}", K::url_path(&(), namespace));
        let mut state = self.state.lock();
        let stored = state.store(&path, json!(object));
        serde_json::from_value(stored).unwrap()
    }

    /// Puts an object of any kind under a path.
    pub fn put_at(&self, path: &str, object: Value) {
        self.state.lock().store(path, object);
    }

    /// Refuses the next `times` requests of this method whose path has this part.
    pub fn refuse(&self, method: &'static str, path_part: &str, code: u16, times: usize) {
        self.state.lock().refusals.push(ScriptedError {
            method,
            path_part: path_part.to_owned(),
            code,
            left: times,
        });
    }

    /// What was asked so far.
    pub fn log(&self) -> Vec<Asked> {
        self.state.lock().log.clone()
    }

    /// The writes so far, as `METHOD path`, the group's part of the path left out.
    pub fn writes(&self) -> Vec<String> {
        let log = self.log();
        let writes = log.iter().filter(|asked| asked.method != "GET");
        writes
            .map(|asked| format!("{} {}", asked.method, short(&asked.path)))
            .collect()
    }

    /// The most writes that were under way at once.
    pub fn most_writing(&self) -> usize {
        self.state.lock().most_writing
    }

    /// The object at a path, as `writes` spells it.
    pub fn object(&self, path: &str) -> Option<Value> {
        let state = self.state.lock();
        let found = state.objects.iter().find(|(known, _)| short(known) == path);
        found.map(|(_, object)| object.clone())
    }

    /// `reason: note` of each event that was written.
    pub fn events(&self) -> Vec<String> {
        let log = self.log();
        let events = log
            .iter()
            .filter(|asked| asked.method == "POST" && asked.path.ends_with("/events"));
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        events
            .map(|asked| format!("{}: {}", text(&asked.body["reason"]), text(&asked.body["note"])))
            .collect()
    }

    async fn serve(&self, request: Request<Body>) -> Result<Response<Body>, std::convert::Infallible> {
        let (head, body) = request.into_parts();
        let body = body.collect_bytes().await.unwrap();
        let asked = Asked {
            method: head.method.to_string(),
            path: head.uri.path().to_owned(),
            body: serde_json::from_slice(&body).unwrap_or(Value::Null),
        };
        let writes = head.method != Method::GET;
        {
            let mut state = self.state.lock();
            state.log.push(asked.clone());
            state.writing += usize::from(writes);
            state.most_writing = state.most_writing.max(state.writing);
        }
        let mut answers = self.answers.subscribe();
        answers.wait_for(|answers| *answers).await.unwrap();
        let (code, answer) = self.state.lock().answer(&asked);
        self.state.lock().writing -= usize::from(writes);
        let response = Response::builder()
            .status(code)
            .header("content-type", "application/json")
            .body(Body::from(answer.to_string().into_bytes()));
        Ok(response.unwrap())
    }
}

/// A path without the group and version.
fn short(path: &str) -> &str {
    let parts = path.trim_start_matches('/');
    let skipped = if parts.starts_with("api/") { 2 } else { 3 };
    parts.splitn(skipped + 1, '/').nth(skipped).unwrap_or(parts)
}
