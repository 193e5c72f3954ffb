//! The NodeRuntime of this node says which pods have a sandbox here, and which pods have none any more. The control
//! plane frees the addresses and ENIs of a pod only when the NodeRuntime says that the pod's sandbox is gone.
//! A report is made from the sandboxes in the kernel, not from the verbs that were served. The first report after a
//! restart therefore contains everything that happened while no agent ran.

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

/// Changes within this time become one write.
const COALESCE: Duration = Duration::from_secs(1);

/// Time between two reports when nothing has changed. Such a report removes old records and repairs a NodeRuntime that
/// somebody else has changed.
const PERIOD: Duration = Duration::from_secs(60);

/// How long a report may take. The time for a stop of the process allows no more.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Time between a failed report and the next.
const RETRY: Duration = Duration::from_secs(5);

/// Reports until the agent stops, and then once more.
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
        // Cancel-safe: `Notify` keeps a notification that arrives in between for the next wait.
        tokio::select! {
            () = agent.memory.changed() => {}
            () = tokio::time::sleep(if failed { RETRY } else { pause }) => {}
            () = agent.stopping.cancelled() => {}
        }
        tokio::select! {
            () = tokio::time::sleep(COALESCE) => {}
            () = agent.stopping.cancelled() => {}
        }
    }
}
