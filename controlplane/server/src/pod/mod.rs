//! The pod controller: a record for each pod that needs ENIs of its own, and its end.

mod apply;
mod networks;
mod observe;

use std::sync::Arc;

pub use apply::{candidates, seed};
pub use networks::networks_of;
use terway_core::pod::plan;

use crate::config::controllers;
use crate::context::Context;
use crate::error::ReconcileError;
use crate::runtime::{Key, Next, Reconciler, Slot};

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
        let seen = observe::observe(&self.context.caches, key);
        let action = plan(seen.pod.as_deref(), seen.record.as_deref(), seen.node.as_deref());
        apply::apply(&self.context, &seen, action, slot).await
    }
}
