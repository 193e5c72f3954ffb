//! The NodeRuntime of this node: which pods have a sandbox here, and which have none any more. The
//! control plane frees what a pod had only when this says that its sandbox is gone.
//!
//! Written from what the kernel has, not from what verbs did, so a report that was lost while the
//! agent was down is made up for by the next.

mod apply;
mod plan;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::Client;
use tracing::{debug, warn};

use crate::server::Agent;

pub use apply::ReportError;
use apply::Reporter;

/// Changes within this time are one write.
const COALESCE: Duration = Duration::from_secs(1);

/// Between two reports without a reason: prunes old records, and repairs a NodeRuntime that somebody
/// has changed.
const PERIOD: Duration = Duration::from_secs(60);

/// How long a report may take; the time for a stop allows no more.
const TIMEOUT: Duration = Duration::from_secs(5);

/// After a failed write.
const RETRY: Duration = Duration::from_secs(5);

/// Report until the agent stops; then once more.
pub async fn run(agent: Arc<Agent>, client: Client, node: String) {
    tokio::select! {
        () = agent.cluster.synced() => {}
        () = agent.stopping.cancelled() => return,
    }
    let mut reporter = Reporter::default();
    loop {
        let report = reporter.report(&agent, &client, &node, Timestamp::now());
        let failed = match tokio::time::timeout(TIMEOUT, report).await {
            Ok(Ok(written)) => {
                debug!(written, "sandboxes reported");
                false
            }
            Ok(Err(error)) => {
                warn!(
                    error = terway_process::error_chain(&error),
                    "sandboxes not reported, trying again"
                );
                true
            }
            Err(_) => {
                warn!("sandboxes not reported, the API server does not answer; trying again");
                true
            }
        };
        if agent.stopping.is_cancelled() {
            return;
        }
        let pause = reporter
            .due(Timestamp::now())
            .map_or(PERIOD, |due| due.min(PERIOD));
        // Cancel-safe: a notification that comes meanwhile is kept for the next wait.
        tokio::select! {
            () = agent.changed.notified() => {}
            () = tokio::time::sleep(if failed { RETRY } else { pause }) => {}
            () = agent.stopping.cancelled() => {}
        }
        tokio::select! {
            () = tokio::time::sleep(COALESCE) => {}
            () = agent.stopping.cancelled() => {}
        }
    }
}
