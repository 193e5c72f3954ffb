//! Keeps the kernel as the API server says: repairs what running pods need, and removes what is left of pods that are
//! gone. A round runs when the API server says something new, when somebody changes the kernel, and every minute for
//! changes that nobody reports.

mod pace;
mod plan;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use terway_cni_protocol::Attachment;
use tracing::{debug, info, warn};

use crate::datapath::{PodInterface, Sandbox, Waiting};
use crate::kernel::{KernelError, Reconciled};
use crate::notes::Part;
use crate::server::{Agent, teardown};
use crate::trouble::{self, Trouble};

use pace::{GATHER, Pace};
use plan::Plan;

/// Time between two rounds when nothing happens.
const PERIOD: Duration = Duration::from_secs(60);

/// After this many failed rounds in a row the node's owner is told, and STATUS fails if ADDs would fail too.
const FAILURES_TO_TELL: u32 = 2;

/// Why a round did nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Skipped {
    /// A list has not arrived. Without it every sandbox would look abandoned.
    #[error("the first lists from the API server have not arrived: {}", .0.join(", "))]
    NotSynced(Vec<&'static str>),
}

/// The result of a round.
#[derive(Debug)]
pub enum Round {
    /// The kernel was compared with what it should have.
    Compared(Reconciled),
    /// The kernel was not looked at.
    Skipped(Skipped),
}

/// Trouble that lasts is told again after this time.
const TELL_AGAIN: Duration = Duration::from_secs(600);

/// Reconciles until the agent stops.
pub async fn run(agent: Arc<Agent>) {
    let mut changes = agent.cluster.subscribe();
    let mut reconciler = Reconciler::default();
    let mut cause = Cause::Other;
    loop {
        changes.mark_unchanged();
        let result = reconciler.round(&agent).await;
        reconciler.tell(&agent, result, cause);
        // Each of these can be dropped at any point: the next round reads everything again.
        cause = tokio::select! {
            _ = changes.changed() => Cause::Other,
            () = disturbed(&agent) => Cause::Disturbed,
            () = agent.untidy.notified() => Cause::Other,
            () = tokio::time::sleep(PERIOD) => Cause::Quiet,
            () = agent.stopping.cancelled() => return,
        };
        if cause == Cause::Disturbed {
            // What the agent is asked for does not wait for a fight with another program.
            tokio::select! {
                () = tokio::time::sleep(reconciler.pace.gather().saturating_sub(GATHER)) => {}
                _ = changes.changed() => {}
                () = agent.untidy.notified() => {}
                () = agent.stopping.cancelled() => return,
            }
        }
        tokio::select! {
            () = tokio::time::sleep(GATHER) => {}
            () = agent.stopping.cancelled() => return,
        }
    }
}

/// Why a round runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Somebody has changed the kernel.
    Disturbed,
    /// Nothing has happened for a period.
    Quiet,
    Other,
}

/// Completes when somebody may have spoiled the kernel. Never completes where the kernel's notices cannot be heard.
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

/// State that the reconciler keeps from one round to the next.
#[derive(Default)]
pub struct Reconciler {
    /// Rounds in a row that did not succeed.
    failures: u32,
    /// Rounds in a row in which the kernel could not even be compared.
    blind: u32,
    pace: Pace,
    /// The trouble of the last round, with the time at which it was told.
    told: BTreeMap<Trouble, Instant>,
}

impl Reconciler {
    /// One round: read, plan, apply.
    pub async fn round(&mut self, agent: &Agent) -> Result<Round, KernelError> {
        let unsynced = agent.cluster.read(|state| state.unsynced());
        if !unsynced.is_empty() {
            return Ok(Round::Skipped(Skipped::NotSynced(unsynced)));
        }
        let plan = plan(agent).await?;
        let removed = clear(agent, &plan.gone).await;
        // The kernel must not be asked for a sandbox that was removed above.
        let plan = if removed { self::plan(agent).await? } else { plan };
        for (sandbox, why) in &plan.undescribed {
            let container = &sandbox.container_id;
            warn!(
                container,
                why, "what this sandbox should be is not known, it stays as it is"
            );
        }
        let mut reconciled = agent.kernel.reconcile(plan.census()).await?;
        let changed = plan.changed.iter().cloned().map(Waiting::Changed);
        reconciled
            .troubles
            .extend(changed.map(|waiting| Trouble::from(&waiting)));
        remember(agent, plan, &reconciled);
        // Every later round finds the cell set already.
        let _ = agent.in_order.set(());
        Ok(Round::Compared(reconciled))
    }

    /// Logs and counts a round, and keeps what stops the node. A step that fails concerns one object, and is no reason
    /// to keep pods away.
    fn tell(&mut self, agent: &Agent, result: Result<Round, KernelError>, cause: Cause) {
        self.blind = if result.is_err() { self.blind + 1 } else { 0 };
        let trouble = match &result {
            Ok(Round::Skipped(why)) => {
                debug!(why = %why, "nothing compared with the kernel");
                agent.metrics.reconciled("skipped");
                return;
            }
            Ok(Round::Compared(done)) => {
                for step in &done.done {
                    info!(step, "repaired");
                }
                self.keep_pace(cause, &done.done);
                self.announce(agent, done.troubles.clone());
                agent.metrics.repairs.inc_by(done.done.len() as u64);
                done.failed.first().cloned()
            }
            Err(error) => Some(terway_process::error_chain(error.as_ref())),
        };
        agent
            .metrics
            .reconciled(if trouble.is_some() { "failed" } else { "done" });
        match trouble {
            None => {
                self.failures = 0;
                *agent.limited.lock() = None;
                agent.notes.set(Part::Datapath, None);
            }
            Some(why) => {
                self.failures += 1;
                warn!(
                    why,
                    failures = self.failures,
                    "the kernel could not be brought in order"
                );
                if self.failures >= FAILURES_TO_TELL {
                    let words = format!("the kernel cannot be brought in order: {why}");
                    agent.notes.set(Part::Datapath, Some(words));
                }
                *agent.limited.lock() = (self.blind >= FAILURES_TO_TELL).then_some(why);
            }
        }
    }
}

impl Reconciler {
    fn keep_pace(&mut self, cause: Cause, done: &[String]) {
        match cause {
            Cause::Disturbed => self.pace.note(Instant::now(), done),
            Cause::Quiet => self.pace.quiet(Instant::now()),
            Cause::Other => {}
        }
    }

    /// Tells trouble when it begins, again while it lasts, and when it is over.
    fn announce(&mut self, agent: &Agent, mut troubles: Vec<Trouble>) {
        let contested = self.pace.contested().into_iter();
        troubles.extend(contested.map(|step| Trouble {
            reason: trouble::CONTESTED,
            text: format!("another program undoes what this agent repairs again and again: {step}"),
        }));
        agent.metrics.troubles(&troubles);
        let now = Instant::now();
        let mut told = BTreeMap::new();
        for trouble in troubles {
            let before = self.told.remove(&trouble);
            let due = before.is_none_or(|at| now.duration_since(at) >= TELL_AGAIN);
            if due {
                let Trouble { reason, text } = &trouble;
                warn!(reason, text, "pods of this node may have no network");
                agent.cluster.read(|state| {
                    if let Some(node) = state.node_name() {
                        agent.events.announce_on_node(node, &trouble);
                    }
                });
            }
            told.insert(trouble, if due { now } else { before.unwrap_or(now) });
        }
        for Trouble { reason, text } in self.told.keys() {
            info!(reason, text, "over");
        }
        self.told = told;
    }
}

async fn plan(agent: &Agent) -> Result<Plan, KernelError> {
    // What is remembered is taken first: an ADD in between is in the list of sandboxes then.
    let made = agent.memory.made();
    let sandboxes = agent.kernel.sandboxes().await?;
    let count = i64::try_from(sandboxes.len()).unwrap_or(i64::MAX);
    agent.metrics.sandboxes.set(count);
    Ok(agent
        .cluster
        .read(|state| Plan::new(&sandboxes, state, &made, &agent.settings)))
}

/// Keeps what every sandbox is, and forgets the sandboxes that are gone. An ADD that was answered since the kernel was
/// read is kept. (A DEL since then is put back here; the next round forgets it.)
fn remember(agent: &Agent, plan: Plan, reconciled: &Reconciled) {
    agent.memory.forget_all(&plan.forgotten);
    let is_apart = |want: &PodInterface| reconciled.apart.iter().any(|apart| apart.same_as(&want.sandbox));
    // What a record says and the sandbox is not is not remembered: the record may be corrected.
    let realised = plan.desired.into_iter().filter(|want| !is_apart(want));
    agent.memory.remember(realised);
}

/// Remove the sandboxes whose pods are gone; tells whether there was one.
///
/// The watch may be behind: it does not show a pod yet that was started a moment ago, and that pod would lose its
/// network. The API server is asked after the sandboxes were listed: each sandbox that was listed and still has a pod
/// has its pod in the answer.
async fn clear(agent: &Agent, suspects: &[Sandbox]) -> bool {
    if suspects.is_empty() {
        return false;
    }
    let living: BTreeSet<String> = match agent.pods.uids().await {
        Ok(uids) => uids,
        Err(error) => {
            warn!(
                error = error.as_ref(),
                "pods not read, sandboxes without a pod stay"
            );
            return false;
        }
    };
    let mut removed = false;
    for sandbox in suspects {
        if !living.contains(&sandbox.pod_uid) && !agent.flights.contains(&sandbox.container_id) {
            removed |= remove(agent, sandbox).await;
        }
    }
    removed
}

async fn remove(agent: &Agent, sandbox: &Sandbox) -> bool {
    let (container, uid) = (&sandbox.container_id, &sandbox.pod_uid);
    info!(
        container,
        uid, "the pod of this sandbox is gone, removing its network"
    );
    let attachment = Attachment {
        container_id: container.clone(),
        ifname: sandbox.attachment.clone(),
    };
    match teardown(agent, &attachment, uid, None).await {
        Ok(_) => true,
        Err(failure) => {
            warn!(container, why = failure.message, "network not removed");
            false
        }
    }
}
