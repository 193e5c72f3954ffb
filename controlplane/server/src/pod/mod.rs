//! The pod controller: it creates a record for each pod that needs ENIs of its own, and ends the record.

mod apply;
mod observe;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use terway_core::pod::{Action, Settings, plan};
use terway_process::TRACED;
use tracing::{Instrument, Span, debug_span};

use crate::config::controllers;
use crate::context::Context;
use crate::error::ReconcileError;
use crate::events::Events;
use crate::intents::Attempts;
use crate::metrics::Metrics;
use crate::objects::{Caches, Writer};
use crate::runtime::{Key, Next, Queue, Reconciler, Slot};
use crate::trace;
use crate::vswitches::VSwitches;

/// Reconciles a pod (by namespace and name) with the PodENI of its name.
pub struct PodController {
    caches: Caches,
    write: Writer,
    vswitches: Arc<VSwitches>,
    attempts: Arc<Attempts>,
    /// Queue of the PodENI controller.
    records: Arc<Queue>,
    settings: Settings,
    events: Events,
    metrics: Metrics,
}

impl PodController {
    /// A controller for this term.
    pub fn new(context: &Context) -> Self {
        Self {
            caches: context.caches.clone(),
            write: context.write.clone(),
            vswitches: context.vswitches.clone(),
            attempts: context.attempts.clone(),
            records: context.queues.pod_enis.clone(),
            settings: context.settings.pods.clone(),
            events: context.events.clone(),
            metrics: context.metrics.clone(),
        }
    }
}

impl Reconciler for PodController {
    const NAME: &'static str = controllers::POD;

    async fn reconcile(&self, key: &Key, slot: &mut Slot) -> Result<Next, ReconcileError> {
        let observed = observe::observe(&self.caches, key);
        let plan = plan(
            observed.pod.as_deref(),
            observed.record.as_deref(),
            observed.node.as_deref(),
            jiff::Timestamp::now(),
        );
        let span = match (&observed.pod, &plan.action) {
            (Some(pod), Action::Create) => {
                trace::of_pod(debug_span!(target: TRACED, "create PodENI", pod = %key), &pod.uid)
            }
            _ => Span::none(),
        };
        apply::apply(self, &observed, plan, slot).instrument(span).await
    }
}
