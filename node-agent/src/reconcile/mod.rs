//! Keeps the kernel as the API server says: repairs what running pods need, removes what is left of
//! pods that are gone. Runs when the API server says something new, when somebody changes the kernel, and
//! every minute for what nobody reports.

mod plan;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use terway_cni_protocol::Attachment;
use tracing::{debug, info, warn};

use crate::datapath::Sandbox;
use crate::kernel::{KernelError, Reconciled};
use crate::server::{Agent, key, teardown};
use crate::world::PodKey;

use plan::{Gone, Plan};

/// Between two rounds without a reason.
const PERIOD: Duration = Duration::from_secs(60);

/// Changes come in groups; a round waits for the rest of its group.
const SETTLE: Duration = Duration::from_millis(500);

/// How long a sandbox without a pod is left alone when not even the pod's name is known, so that the
/// API server cannot be asked.
const NAMELESS_FOR: Duration = Duration::from_secs(60);

/// After this many failed rounds in a row STATUS says so.
const FAILURES_TO_TELL: u32 = 2;

/// Why a round did nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Skipped {
    /// Without the lists every sandbox would look abandoned.
    #[error("the first lists from the API server have not arrived: {}", .0.join(", "))]
    NotSynced(Vec<&'static str>),
}

/// What became of a round.
#[derive(Debug)]
pub enum Outcome {
    /// The kernel was compared.
    Compared(Reconciled),
    /// It was not.
    Skipped(Skipped),
}

/// Reconcile until the agent stops.
pub async fn run(agent: Arc<Agent>) {
    let mut changes = agent.world.subscribe();
    let mut reconciler = Reconciler::default();
    loop {
        changes.mark_unchanged();
        let result = reconciler.round(&agent).await;
        reconciler.record(&agent, result);
        // Each of these can be dropped at any point: what woke the loop is looked up again.
        tokio::select! {
            _ = changes.changed() => {}
            () = disturbed(&agent) => {}
            () = agent.untidy.notified() => {}
            () = tokio::time::sleep(PERIOD) => {}
            () = agent.stopping.cancelled() => return,
        }
        tokio::select! {
            () = tokio::time::sleep(SETTLE) => {}
            () = agent.stopping.cancelled() => return,
        }
    }
}

/// Completes when somebody may have spoiled the kernel; never where that cannot be heard.
async fn disturbed(agent: &Agent) {
    if let Err(error) = agent.kernel.disturbed().await {
        warn!(
            error = error.as_ref(),
            "changes of the kernel are not heard, looking every minute"
        );
        std::future::pending::<()>().await;
    }
    debug!("the kernel was changed by somebody else");
}

/// The reconciler's memory.
#[derive(Default)]
pub struct Reconciler {
    nameless: HashMap<String, Instant>,
    failures: u32,
}

impl Reconciler {
    /// One round: read, plan, apply.
    pub async fn round(&mut self, agent: &Agent) -> Result<Outcome, KernelError> {
        let unsynced = agent.world.read(|state| state.unsynced());
        if !unsynced.is_empty() {
            return Ok(Outcome::Skipped(Skipped::NotSynced(unsynced)));
        }
        let plan = plan(agent).await?;
        self.nameless
            .retain(|id, _| plan.gone.iter().any(|gone| gone.sandbox.container_id == *id));
        let mut removed = false;
        for gone in &plan.gone {
            removed |= self.remove(agent, gone).await;
        }
        // A removed sandbox must not be asked for again.
        let plan = if removed { self::plan(agent).await? } else { plan };
        for (sandbox, why) in &plan.undescribed {
            let container = &sandbox.container_id;
            warn!(
                container,
                why, "what this sandbox should be is not known, it stays as it is"
            );
        }
        let reconciled = agent.kernel.reconcile(plan.census()).await?;
        let known = plan.desired.into_iter().map(|want| (key(&want.sandbox), want));
        agent.made.lock().extend(known);
        // Set before: only the first round counts.
        let _ = agent.in_order.set(());
        Ok(Outcome::Compared(reconciled))
    }

    /// Remove what is left of a pod, when it is sure that the pod is gone.
    async fn remove(&mut self, agent: &Agent, gone: &Gone) -> bool {
        let Sandbox {
            container_id,
            pod_uid,
            attachment,
            ..
        } = &gone.sandbox;
        if !self.is_gone(agent, gone).await || agent.flights.contains(container_id) {
            return false;
        }
        info!(
            container = container_id,
            uid = pod_uid,
            "the pod of this sandbox is gone, removing its network"
        );
        let attachment = Attachment {
            container_id: container_id.clone(),
            ifname: attachment.clone(),
        };
        match teardown(agent, &attachment, pod_uid, None).await {
            Ok(_) => true,
            Err(failure) => {
                warn!(
                    container = container_id,
                    why = failure.message,
                    "network not removed"
                );
                false
            }
        }
    }

    /// The watch may be behind: a pod that was scheduled and started a moment ago is missing in it,
    /// and would lose its network. So the API server is asked for each.
    async fn is_gone(&mut self, agent: &Agent, gone: &Gone) -> bool {
        let Some(pod) = &gone.pod else {
            let since = *self
                .nameless
                .entry(gone.sandbox.container_id.clone())
                .or_insert_with(Instant::now);
            return since.elapsed() >= NAMELESS_FOR;
        };
        match agent.pods.get(pod).await {
            Ok(found) => found.is_none_or(|found| found.uid != gone.sandbox.pod_uid),
            Err(error) => {
                warn!(pod = %pod, error = error.as_ref(), "pod not read, its sandbox stays");
                false
            }
        }
    }

    fn record(&mut self, agent: &Agent, result: Result<Outcome, KernelError>) {
        let trouble = match &result {
            Ok(Outcome::Skipped(why)) => {
                debug!(why = %why, "nothing compared with the kernel");
                agent.metrics.reconciled("skipped");
                return;
            }
            Ok(Outcome::Compared(done)) => {
                for step in &done.done {
                    info!(step, "repaired");
                }
                for waiting in &done.waiting {
                    warn!(waiting, "not complete");
                }
                agent.metrics.repairs.inc_by(done.done.len() as u64);
                done.failed.first().cloned()
            }
            Err(error) => Some(crate::kernel::chain(error.as_ref())),
        };
        agent
            .metrics
            .reconciled(if trouble.is_some() { "failed" } else { "done" });
        match trouble {
            None => {
                self.failures = 0;
                *agent.limited.lock() = None;
            }
            Some(why) => {
                self.failures += 1;
                warn!(
                    why,
                    failures = self.failures,
                    "the kernel could not be brought in order"
                );
                if self.failures >= FAILURES_TO_TELL {
                    *agent.limited.lock() = Some(why);
                }
            }
        }
    }
}

async fn plan(agent: &Agent) -> Result<Plan, KernelError> {
    let sandboxes = agent.kernel.sandboxes().await?;
    let i64_sandboxes = i64::try_from(sandboxes.len()).unwrap_or(i64::MAX);
    agent.metrics.sandboxes.set(i64_sandboxes);
    let made = agent.made.lock().clone();
    Ok(agent
        .world
        .read(|state| Plan::new(&sandboxes, state, &made, &agent.settings)))
}

/// The name of the pod that a sandbox is or was for, as far as anything still tells.
fn pod_of(agent_runtime: Option<&terway_crds::NodeRuntime>, uid: &str) -> Option<PodKey> {
    let status = agent_runtime?.status.as_ref()?;
    let (namespace, name) = status.pods.get(uid)?.pod_id.split_once('/')?;
    Some(PodKey::new(namespace, name))
}
