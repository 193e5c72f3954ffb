//! The agent's answers to probes and to Prometheus.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use futures::FutureExt;
use prometheus_client::registry::Registry;
use terway_process::pages::{self, Alive, Refresh};
use terway_process::readiness::Readiness;

use crate::cluster::watches::Connection;
use crate::kernel::Kernel;
use crate::metrics::Metrics;

/// The datapath answers within milliseconds. A datapath that does not answer in this time hangs.
const DATAPATH_PATIENCE: Duration = Duration::from_secs(4);

/// The datapath, once it has started.
type Started = Arc<OnceLock<Arc<dyn Kernel>>>;

/// What the pages show.
#[derive(Clone)]
pub struct Probes {
    /// What the agent waits for.
    pub readiness: Readiness,
    /// Whether the API server answers.
    pub connection: Connection,
    pub metrics: Metrics,
    /// The datapath, once it has started.
    pub kernel: Started,
    registry: Arc<Registry>,
}

impl Default for Probes {
    fn default() -> Self {
        let mut registry = Registry::default();
        terway_process::build::register(&mut registry);
        let probes = Self {
            readiness: Readiness::default(),
            connection: Connection::default(),
            metrics: Metrics::register(&mut registry),
            kernel: Started::default(),
            registry: Arc::new(registry),
        };
        let connection = probes.connection.clone();
        probes.readiness.check(move || lost(&connection));
        probes
    }
}

fn lost(connection: &Connection) -> Vec<String> {
    let lost = connection.lost_for();
    let words = |lost: Duration| format!("the API server, which has not answered for {} s", lost.as_secs());
    lost.map(words).into_iter().collect()
}

impl Probes {
    /// `/healthz`, `/readyz` and `/metrics`.
    pub fn all(&self) -> Router {
        let kernel = self.kernel.clone();
        let alive = move || alive(kernel.clone());
        pages::health(self.readiness.clone(), alive).merge(self.metrics())
    }

    /// `/metrics` alone.
    pub fn metrics(&self) -> Router {
        let (kernel, metrics) = (self.kernel.clone(), self.metrics.clone());
        let refresh: Refresh = Arc::new(move || count_packets(kernel.clone(), metrics.clone()).boxed());
        pages::metrics(self.registry.clone(), Some(refresh))
    }
}

/// The agent is alive while the thread of the datapath answers. Errors of the kernel do not count: a restart of the
/// agent does not cure them.
async fn alive(kernel: Started) -> Alive {
    let Some(kernel) = kernel.get() else {
        return Ok("starting");
    };
    match tokio::time::timeout(DATAPATH_PATIENCE, kernel.sandboxes()).await {
        Ok(_) => Ok("ok"),
        Err(_) => Err("the datapath does not answer"),
    }
}

/// Takes over the kernel's packet counters. When they cannot be read, the last ones stand: a scrape that fails as a
/// whole would hide the other metrics.
async fn count_packets(kernel: Started, metrics: Metrics) {
    if let Some(kernel) = kernel.get()
        && let Ok(Ok(counters)) = tokio::time::timeout(DATAPATH_PATIENCE, kernel.packets()).await
    {
        metrics.packets(&counters);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted::ScriptedKernel;

    #[tokio::test]
    async fn the_agent_is_alive_before_the_datapath_has_started_and_while_it_answers() {
        let probes = Probes::default();
        assert_eq!(alive(probes.kernel.clone()).await, Ok("starting"));
        assert!(probes.kernel.set(Arc::<ScriptedKernel>::default()).is_ok());
        assert_eq!(alive(probes.kernel.clone()).await, Ok("ok"));
    }
}
