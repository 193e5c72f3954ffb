//! The NetworkInterface controller: the one place that attaches, detaches and deletes ENIs.

mod answer;
mod apply;
mod hand_over;
mod observe;
mod status;
#[cfg(test)]
mod tests;

pub use hand_over::hand_over;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use parking_lot::Mutex;
use terway_cloud::{Action, Cloud, Priority};
use terway_core::intent::Limits;
use terway_core::network_interface::{History, Step, plan};
use terway_core::pod_eni::pod_uid;
use terway_process::TRACED;
use tracing::{Instrument, debug_span};

use crate::config::controllers;
use crate::context::{Calls, Context, Grant};
use crate::degradation::DegradationSwitch;
use crate::error::ReconcileError;
use crate::events::Events;
use crate::fresh_enis::FreshEnis;
use crate::leadership::Term;
use crate::metrics::Metrics;
use crate::node::Suspects;
use crate::objects::{Caches, Writer};
use crate::runtime::{Key, Next, Queue, Reconciler, Slot};
use crate::trace;
use crate::vswitches::VSwitches;

/// An ENI needs few steps in a row. More steps than this are an error of the planner.
const MAX_STEPS: usize = 20;

/// Reconciles NetworkInterfaces.
pub struct NetworkInterfaceController {
    caches: Caches,
    write: Writer,
    cloud: Cloud,
    calls: Calls,
    vswitches: Arc<VSwitches>,
    fresh: Arc<FreshEnis>,
    events: Events,
    metrics: Metrics,
    term: Term,
    limits: Limits,
    degradation: DegradationSwitch,
    /// Nodes whose record something contradicted, and the queue of the node controller.
    suspects: Arc<Suspects>,
    nodes: Arc<Queue>,
    /// By this id ENIs are tagged.
    cluster_id: String,
    /// ENIs that this process has seen with the tag of this cluster, and that have an object.
    ours: Mutex<HashSet<String>>,
    history: Mutex<HashMap<String, History>>,
}

impl NetworkInterfaceController {
    /// A controller for this term.
    pub fn new(context: &Context) -> Self {
        Self {
            caches: context.caches.clone(),
            write: context.write.clone(),
            cloud: context.cloud.clone(),
            calls: context.calls.clone(),
            vswitches: context.vswitches.clone(),
            fresh: context.fresh.clone(),
            events: context.events.clone(),
            metrics: context.metrics.clone(),
            term: context.term.clone(),
            limits: context.limits,
            degradation: context.degradation.clone(),
            suspects: context.suspects.clone(),
            nodes: context.queues.nodes.clone(),
            cluster_id: context.settings.pods.cluster_id.clone(),
            ours: Mutex::default(),
            history: Mutex::default(),
        }
    }

    fn history_of(&self, id: &str) -> History {
        let known = self.history.lock().get(id).cloned();
        known.unwrap_or_else(|| History {
            made_here: self.fresh.was_never_attached(id),
            ..History::default()
        })
    }

    fn remember(&self, id: &str, history: History) {
        self.history.lock().insert(id.to_owned(), history);
    }

    /// Notes that the cloud does not know the ENI. The poller need not ask for it again.
    fn forget_lost(&self, id: &str) {
        self.forget(id);
        let history = History {
            not_found: true,
            ..History::default()
        };
        self.remember(id, history);
    }

    /// Whether this process has seen the ENI with the tag of this cluster.
    fn is_ours(&self, id: &str) -> bool {
        self.ours.lock().contains(id)
    }

    /// Notes what the tags of an ENI say now.
    fn note_owner(&self, id: &str, ours: bool) {
        let mut known = self.ours.lock();
        match ours {
            true if known.contains(id) => {}
            true => {
                known.insert(id.to_owned());
            }
            false => {
                known.remove(id);
            }
        }
    }

    /// Drops what this process knows of the ENI.
    fn forget(&self, id: &str) {
        self.history.lock().remove(id);
        self.cloud.watch().forget(id);
    }
}

impl Reconciler for NetworkInterfaceController {
    const NAME: &'static str = controllers::NETWORK_INTERFACE;

    async fn reconcile(&self, key: &Key, slot: &mut Slot) -> Result<Next, ReconcileError> {
        let mut grant: Option<(Action, Grant)> = None;
        for _ in 0..MAX_STEPS {
            let Some(observed) = observe::observe(self, key, self.history_of(key.name())) else {
                self.forget(key.name());
                self.note_owner(key.name(), false);
                return Ok(Next::OnChange);
            };
            if observed.history != self.history_of(key.name()) {
                self.remember(key.name(), observed.history.clone());
            }
            let step = match plan(&observed.view(self)) {
                Ok(step) => step,
                Err(reason) => return status::wait(self, &observed, reason).await,
            };
            // The token comes first. Afterwards the ENI is read and planned again, and then the call is sent.
            if let Some((action, priority)) = call_of(&step)
                && grant.as_ref().is_none_or(|(held, _)| *held != action)
            {
                let granted = self.calls.grant(action, priority, observed.node());
                let granted = slot.released_while(granted).await;
                grant = Some((action, granted));
                continue;
            }
            let granted = grant.take().map(|(_, grant)| grant);
            // Boxed, because many ENIs may wait for a token, and the future of the work after it is large.
            let span = debug_span!(target: TRACED, "eni", otel.name = step.name(), eni = %key);
            let span = trace::of_pod(span, observed.owner.as_deref().map_or("", pod_uid));
            let work = Box::pin(apply::apply(self, &observed, step, granted));
            if let Some(next) = work.instrument(span).await? {
                return Ok(next);
            }
        }
        Ok(Next::After(std::time::Duration::from_secs(1)))
    }
}

/// The call of a step, and its priority.
fn call_of(step: &Step) -> Option<(Action, Priority)> {
    match step {
        Step::Attach(_) => Some((Action::AttachNetworkInterface, Priority::Attach)),
        Step::Detach { .. } => Some((Action::DetachNetworkInterface, Priority::Release)),
        Step::Delete => Some((Action::DeleteNetworkInterface, Priority::Release)),
        Step::AdoptTarget(_)
        | Step::Watch
        | Step::LookAgain
        | Step::WriteTerm
        | Step::WriteAttached(_)
        | Step::WriteDetached
        | Step::WriteTornOff
        | Step::WriteLost
        | Step::DropFinalizer => None,
    }
}
