//! `/healthz`, `/readyz` and `/metrics`.
//!
//! Ready means that this process could serve and decide: its caches are filled and its webhook
//! listens. Leadership is not part of it: a standby is ready. Nor is the cloud: without it no ENI is made,
//! but taking the webhook out of its Service would stop pods that need none. What is wrong with the cloud
//! is a note in the answer.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use parking_lot::Mutex;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

type Check = Box<dyn Fn() -> Vec<String> + Send + Sync>;

/// What must be there before the process is ready.
#[derive(Default)]
pub struct Readiness {
    checks: Mutex<Vec<Check>>,
    notes: Mutex<Vec<Check>>,
}

impl Readiness {
    /// Adds a check that names what is pending.
    pub fn add(&self, check: impl Fn() -> Vec<String> + Send + Sync + 'static) {
        self.checks.lock().push(Box::new(check));
    }

    /// Adds a check that tells what is wrong without making the process unready.
    pub fn note(&self, check: impl Fn() -> Vec<String> + Send + Sync + 'static) {
        self.notes.lock().push(Box::new(check));
    }

    /// What is wrong and no reason to be unready.
    pub fn notes(&self) -> Vec<String> {
        self.notes.lock().iter().flat_map(|check| check()).collect()
    }

    /// Names of what is pending.
    pub fn pending(&self) -> Vec<String> {
        self.checks.lock().iter().flat_map(|check| check()).collect()
    }
}

/// A listener that could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("listening on {address}: choose another address for {key}")]
pub struct ListenError {
    key: &'static str,
    address: SocketAddr,
    #[source]
    source: std::io::Error,
}

/// Opens the listener of a configured address.
///
/// # Errors
/// When the address is taken or not ours.
pub async fn listen(key: &'static str, address: SocketAddr) -> Result<TcpListener, ListenError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| ListenError { key, address, source })
}

/// Serves the health checks until `stop`.
pub async fn serve_health(listener: TcpListener, readiness: Arc<Readiness>, stop: CancellationToken) {
    let app = Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(readyz))
        .with_state(readiness);
    serve(listener, app, stop).await;
}

/// Serves the metrics until `stop`.
pub async fn serve_metrics(listener: TcpListener, registry: Arc<Registry>, stop: CancellationToken) {
    let app = Router::new().route("/metrics", get(metrics)).with_state(registry);
    serve(listener, app, stop).await;
}

async fn serve(listener: TcpListener, app: Router, stop: CancellationToken) {
    let server = axum::serve(listener, app).with_graceful_shutdown(stop.cancelled_owned());
    if let Err(error) = server.await {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "the health server ended"
        );
    }
}

async fn readyz(State(readiness): State<Arc<Readiness>>) -> (StatusCode, String) {
    let pending = readiness.pending();
    let (status, mut text) = match pending.is_empty() {
        true => (StatusCode::OK, "ok".to_owned()),
        false => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("waiting for: {}", pending.join(", ")),
        ),
    };
    for note in readiness.notes() {
        text.push_str("\nbut ");
        text.push_str(&note);
    }
    (status, text)
}

async fn metrics(State(registry): State<Arc<Registry>>) -> (StatusCode, String) {
    let mut text = String::new();
    match encode(&mut text, &registry) {
        Ok(()) => (StatusCode::OK, text),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_note_is_told_and_keeps_nobody_from_being_ready() {
        let readiness = Arc::new(Readiness::default());
        readiness.note(|| vec!["the cloud does not accept the credentials".to_owned()]);
        let (status, text) = readyz(State(readiness.clone())).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(text, "ok\nbut the cloud does not accept the credentials");
        readiness.add(|| vec!["webhook".to_owned()]);
        let (status, text) = readyz(State(readiness)).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(text.starts_with("waiting for: webhook\nbut the cloud"), "{text}");
    }
}
