//! The PodNetworking controller. It checks whether the cloud knows a PodNetworking's vSwitches and security groups, and
//! which workloads the PodNetworking selects and cannot serve.

mod apply;
mod observe;
mod selected;
#[cfg(test)]
mod tests;
mod workloads;

use std::sync::Arc;

use kube::Client;
use terway_cloud::Cloud;
use terway_core::podnetworking::plan;

use crate::config::controllers;
use crate::context::Context;
use crate::error::ReconcileError;
use crate::events::Events;
use crate::objects::{Caches, Writer};
use crate::runtime::{Key, Next, Reconciler, Slot};
use crate::vswitches::VSwitches;

/// Reconciles PodNetworkings.
pub struct PodNetworkingController {
    caches: Caches,
    write: Writer,
    cloud: Cloud,
    vswitches: Arc<VSwitches>,
    events: Events,
    /// Reads objects that no cache has: the labels of selected pods, and their owners.
    client: Client,
}

impl PodNetworkingController {
    /// A controller for this term.
    pub fn new(context: &Context, client: Client) -> Self {
        Self {
            caches: context.caches.clone(),
            write: context.write.clone(),
            cloud: context.cloud.clone(),
            vswitches: context.vswitches.clone(),
            events: context.events.clone(),
            client,
        }
    }
}

impl Reconciler for PodNetworkingController {
    const NAME: &'static str = controllers::POD_NETWORKING;

    async fn reconcile(&self, key: &Key, slot: &mut Slot) -> Result<Next, ReconcileError> {
        let Some(networking) = self.caches.networkings.get(key) else {
            self.caches.unserved.forget(key);
            return Ok(Next::OnChange);
        };
        let findings = slot.released_while(self.observe(&networking)).await?;
        let plan = plan(&networking, &findings, jiff::Timestamp::now());
        self.apply(&networking, &findings, &plan).await?;
        Ok(plan.look_again.map_or(Next::OnChange, Next::After))
    }
}
