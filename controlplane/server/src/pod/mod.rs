//! The pod controller: it creates a record for each pod that needs ENIs of its own, and ends the record.

mod apply;
mod observe;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use terway_core::pod::{Action, plan};
use terway_process::TRACED;
use tracing::{Instrument, Span, debug_span};

use crate::config::controllers;
use crate::context::Context;
use crate::error::ReconcileError;
use crate::runtime::{Key, Next, Reconciler, Slot};
use crate::trace;

/// Reconciles a pod (by namespace and name) with the PodENI of its name.
pub struct PodController {
    context: Arc<Context>,
}

impl PodController {
    /// A controller for this term.
    pub fn new(context: Arc<Context>) -> Self {
        Self { context }
    }
}

impl Reconciler for PodController {
    const NAME: &'static str = controllers::POD;

    async fn reconcile(&self, key: &Key, slot: &mut Slot) -> Result<Next, ReconcileError> {
        let observed = observe::observe(&self.context.caches, key);
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
        apply::apply(&self.context, &observed, plan, slot)
            .instrument(span)
            .await
    }
}
