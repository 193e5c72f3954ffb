//! `/healthz`, `/readyz` and `/metrics`.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::kernel::Kernel;
use crate::metrics::Metrics;
use crate::world::watches::Connection;

/// The datapath answers within milliseconds; one that does not in this time hangs.
const DATAPATH_PATIENCE: Duration = Duration::from_secs(4);

/// What is still to come before the agent is ready.
#[derive(Clone, Default)]
pub struct Readiness {
    pending: Arc<Mutex<BTreeSet<&'static str>>>,
}

/// Something that is still to come. Dropped when it is there.
pub struct Pending {
    readiness: Readiness,
    what: &'static str,
}

impl Readiness {
    /// Begin to wait for something.
    #[must_use]
    pub fn pending(&self, what: &'static str) -> Pending {
        self.pending.lock().insert(what);
        Pending {
            readiness: self.clone(),
            what,
        }
    }

    fn list(&self) -> Vec<&'static str> {
        self.pending.lock().iter().copied().collect()
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.readiness.pending.lock().remove(self.what);
    }
}

/// What the probes look at.
#[derive(Clone)]
pub struct Probes {
    /// What is still to come.
    pub readiness: Readiness,
    /// Whether the API server answers.
    pub connection: Connection,
    /// Metrics.
    pub metrics: Metrics,
    /// The datapath, once it has started.
    pub kernel: Arc<OnceLock<Arc<dyn Kernel>>>,
}

/// Serve probes and metrics until the agent stops.
pub async fn serve(listener: TcpListener, probes: Probes, stop: CancellationToken) -> std::io::Result<()> {
    let router = Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(probes);
    axum::serve(listener, router)
        .with_graceful_shutdown(stop.cancelled_owned())
        .await
}

/// Serve metrics alone.
pub async fn serve_metrics(
    listener: TcpListener,
    probes: Probes,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let router = Router::new().route("/metrics", get(metrics)).with_state(probes);
    axum::serve(listener, router)
        .with_graceful_shutdown(stop.cancelled_owned())
        .await
}

/// Listen, with the address in the error.
pub async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    use anyhow::Context;
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}; is another agent running?"))
}

/// Alive: the datapath's thread answers. A kernel that refuses is not cured by a restart of the
/// agent, so its errors do not count.
async fn healthz(State(probes): State<Probes>) -> (StatusCode, &'static str) {
    let Some(kernel) = probes.kernel.get() else {
        return (StatusCode::OK, "starting\n");
    };
    match tokio::time::timeout(DATAPATH_PATIENCE, kernel.sandboxes()).await {
        Ok(_) => (StatusCode::OK, "ok\n"),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the datapath does not answer\n"),
    }
}

async fn readyz(State(probes): State<Probes>) -> (StatusCode, String) {
    let mut waits: Vec<String> = probes.readiness.list().into_iter().map(str::to_owned).collect();
    if let Some(lost) = probes.connection.lost_for() {
        waits.push(format!(
            "the API server, which has not answered for {} s",
            lost.as_secs()
        ));
    }
    if waits.is_empty() {
        return (StatusCode::OK, "ok\n".to_owned());
    }
    (
        StatusCode::SERVICE_UNAVAILABLE,
        format!("waiting for: {}\n", waits.join(", ")),
    )
}

async fn metrics(State(probes): State<Probes>) -> (StatusCode, String) {
    if let Some(kernel) = probes.kernel.get()
        && let Ok(Ok(counters)) = tokio::time::timeout(DATAPATH_PATIENCE, kernel.packets()).await
    {
        // Otherwise the last ones stand: a scrape that fails as a whole would hide the rest.
        probes.metrics.packets(&counters);
    }
    match probes.metrics.text() {
        Ok(text) => (StatusCode::OK, text),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}
