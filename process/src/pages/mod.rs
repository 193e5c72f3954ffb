//! The pages `/healthz`, `/readyz` and `/metrics`, and the server that shows them.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::FutureExt;
use futures::future::BoxFuture;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::readiness::Readiness;

/// The format in which `prometheus-client` writes: OpenMetrics 1.0.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A listener that could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("{}; choose another address with {setting}", obstacle(*address, source))]
pub struct ListenError {
    setting: &'static str,
    address: SocketAddr,
    #[source]
    source: std::io::Error,
}

fn obstacle(address: SocketAddr, error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::AddrInUse => format!("another program listens on {address} already"),
        ErrorKind::AddrNotAvailable => format!("{address} is no address of this machine"),
        _ => format!("{address} cannot be listened on"),
    }
}

/// Opens the listener of an address that `setting` names.
///
/// # Errors
/// When the address is taken or does not belong to this machine.
pub async fn listen(setting: &'static str, address: SocketAddr) -> Result<TcpListener, ListenError> {
    TcpListener::bind(address).await.map_err(|source| ListenError {
        setting,
        address,
        source,
    })
}

/// Serves `pages` until `stop`; answers under way are finished.
///
/// # Errors
/// When the listener fails.
pub async fn serve(listener: TcpListener, pages: Router, stop: CancellationToken) -> std::io::Result<()> {
    axum::serve(listener, pages)
        .with_graceful_shutdown(stop.cancelled_owned())
        .await
}

/// Whether the process works: `Ok` with a word for a person, or the reason for a restart.
pub type Alive = Result<&'static str, &'static str>;

/// `/healthz` and `/readyz`. `alive` is asked at each visit of `/healthz`.
pub fn health<Answer>(
    readiness: Readiness,
    alive: impl Fn() -> Answer + Clone + Send + Sync + 'static,
) -> Router
where
    Answer: Future<Output = Alive> + Send + 'static,
{
    let healthz = move || alive().map(answer_alive);
    let readyz = move || std::future::ready(answer_ready(&readiness));
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
}

fn answer_alive(alive: Alive) -> (StatusCode, &'static str) {
    match alive {
        Ok(words) => (StatusCode::OK, words),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, reason),
    }
}

fn answer_ready(readiness: &Readiness) -> (StatusCode, String) {
    let waits = readiness.waits();
    let (status, mut text) = match waits.is_empty() {
        true => (StatusCode::OK, "ok".to_owned()),
        false => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("waiting for: {}", waits.join(", ")),
        ),
    };
    for note in readiness.notes() {
        text.push_str("\nbut ");
        text.push_str(&note);
    }
    (status, text)
}

/// Brings metrics up to date that cost something to read, before they are shown.
pub type Refresh = Arc<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

/// `/metrics`. `refresh` runs before each answer.
pub fn metrics(registry: Arc<Registry>, refresh: Option<Refresh>) -> Router {
    let page = move || {
        let (registry, refresh) = (registry.clone(), refresh.clone());
        async move {
            if let Some(refresh) = refresh {
                refresh().await;
            }
            encoded(&registry)
        }
    };
    Router::new().route("/metrics", get(page))
}

fn encoded(registry: &Registry) -> Response {
    let mut text = String::new();
    match encode(&mut text, registry) {
        Ok(()) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

#[cfg(test)]
mod tests;
