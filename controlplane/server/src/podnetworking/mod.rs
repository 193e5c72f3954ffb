//! PodNetworkings: are their vSwitches and security groups known to the cloud, and which workloads
//! do they select without being able to serve them.

mod apply;
mod observe;
mod plan;
mod status;
#[cfg(test)]
mod tests;
mod workloads;

use std::sync::Arc;
use std::time::Duration;

use kube::{Client, ResourceExt};
use tokio_util::sync::CancellationToken;

use crate::config::controllers;
use crate::context::Context;
use crate::error::ReconcileError;
use crate::runtime::{Key, Next, Queue, Reconciler, Slot, worker};

pub use plan::{Findings, Idle, Plan, plan};

/// New pods that a Fixed PodNetworking may pass over are counted together: a rollout makes many.
const GATHER: Duration = Duration::from_secs(5);

/// The controller of PodNetworkings.
pub struct PodNetworkings {
    context: Arc<Context>,
    client: Client,
}

/// Runs the controller until `stop`.
pub async fn run(context: Arc<Context>, client: Client, stop: CancellationToken) {
    let queue = Arc::new(Queue::default());
    trigger(&context, &queue);
    let metrics = context.metrics.worker(PodNetworkings::NAME, 1);
    let controller = Arc::new(PodNetworkings { context, client });
    worker::run(controller, queue, 1, metrics, stop).await;
}

/// Puts keys into the queue: every PodNetworking that changes, and those that a new pod may concern.
fn trigger(context: &Context, queue: &Arc<Queue>) {
    let changed = queue.clone();
    context.caches.networkings.on_change(move |key, _, after| {
        if after.is_some() {
            changed.add(key.clone());
        }
    });
    let (networkings, gathered) = (context.caches.networkings.clone(), queue.clone());
    context.caches.pods.on_change(move |_, before, after| {
        let candidate = |pod: &Arc<_>| workloads::may_be_passed_over(pod);
        if before.is_some_and(candidate) != after.is_some_and(candidate) {
            let fixed = networkings
                .all()
                .into_iter()
                .filter(|networking| workloads::counts_workloads(networking));
            fixed.for_each(|networking| gathered.add_after(Key::cluster(&networking.name_any()), GATHER));
        }
    });
    for networking in context.caches.networkings.all() {
        queue.add(Key::cluster(&networking.name_any()));
    }
}

impl Reconciler for PodNetworkings {
    const NAME: &'static str = controllers::POD_NETWORKING;

    async fn reconcile(&self, key: &Key, slot: &mut Slot) -> Result<Next, ReconcileError> {
        let Some(networking) = self.context.caches.networkings.get(key) else {
            return Ok(Next::OnChange);
        };
        let findings = slot.released_while(self.observe(&networking)).await?;
        let plan = plan(&networking, &findings, jiff::Timestamp::now());
        self.apply(&networking, &findings, &plan).await?;
        Ok(plan.next)
    }
}
