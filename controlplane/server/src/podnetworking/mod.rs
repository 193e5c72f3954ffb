//! The PodNetworking controller. It checks whether the cloud knows a PodNetworking's vSwitches and security groups, and
//! which workloads the PodNetworking selects and cannot serve.

mod apply;
mod observe;
#[cfg(test)]
mod tests;
mod workloads;

use std::sync::Arc;

use kube::Client;
use terway_core::podnetworking::plan;

use crate::config::controllers;
use crate::context::Context;
use crate::error::ReconcileError;
use crate::runtime::{Key, Next, Reconciler, Slot};

/// Reconciles PodNetworkings.
pub struct PodNetworkingController {
    context: Arc<Context>,
    /// Reads objects that no cache has: the labels of selected pods, and their owners.
    client: Client,
}

impl PodNetworkingController {
    /// A controller for this term.
    pub fn new(context: Arc<Context>, client: Client) -> Self {
        Self { context, client }
    }
}

impl Reconciler for PodNetworkingController {
    const NAME: &'static str = controllers::POD_NETWORKING;

    async fn reconcile(&self, key: &Key, slot: &mut Slot) -> Result<Next, ReconcileError> {
        let Some(networking) = self.context.caches.networkings.get(key) else {
            return Ok(Next::OnChange);
        };
        let findings = slot.released_while(self.observe(&networking)).await?;
        let plan = plan(&networking, &findings, jiff::Timestamp::now());
        self.apply(&networking, &findings, &plan).await?;
        Ok(plan.look_again.map_or(Next::OnChange, Next::After))
    }
}
