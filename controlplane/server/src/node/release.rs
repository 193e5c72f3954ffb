//! A Node object on its way out. It goes when every ENI that it holds has another owner.

use std::time::Duration;

use jiff::Timestamp;
use terway_cloud::EniFilter;
use terway_core::conditions::Statement;
use terway_core::node::{Leaving, NodeFacts, Release, held_back as why_held_back, plan_release};
use terway_core::pod::PodFacts;
use terway_crds::names::{condition, finalizer, tag};

use super::{NodeController, status};
use crate::error::ReconcileError;
use crate::network_interface::hand_over;
use crate::objects::NodeRecord;
use crate::runtime::{Key, Next};

/// The Kubernetes node is not in the cache. Its Node object is deleted if no pod of it is left and the API server
/// confirms that the node is gone.
pub async fn node_gone(controller: &NodeController, record: &NodeRecord) -> Result<Next, ReconcileError> {
    if let Some(next) = held_back(controller, None, record).await? {
        return Ok(next);
    }
    let name = record.metadata.name.as_deref().unwrap_or_default();
    if controller.write.node_is_gone(name).await? {
        controller.write.delete_node_record(record).await?;
    }
    Ok(Next::OnChange)
}

/// Returns when to look again if the Node object has to stay for now, and writes the reason into its conditions.
pub async fn held_back(
    controller: &NodeController,
    node: Option<&NodeFacts>,
    record: &NodeRecord,
) -> Result<Option<Next>, ReconcileError> {
    let caches = &controller.caches;
    let name = record.metadata.name.as_deref().unwrap_or_default();
    let pods = caches.pods_of.of(name);
    let pods: Vec<_> = pods.iter().filter_map(|pod| caches.pods.get(pod)).collect();
    let pods: Vec<&PodFacts> = pods.iter().map(|pod| &**pod).collect();
    let runtime = caches.runtimes.get(&Key::cluster(name));
    let leaving = Leaving {
        record,
        node,
        pods: &pods,
        runtime: runtime.as_deref(),
        degradation: controller.degradation.now(),
        now: Timestamp::now(),
    };
    let Some(held) = why_held_back(&leaving) else {
        return Ok(None);
    };
    let statement = Statement {
        kind: condition::READY,
        holds: false,
        reason: held.reason,
        message: held.message,
    };
    status::say(controller, record, &[statement]).await?;
    Ok(Some(held.wake.map_or(Next::OnChange, Next::After)))
}

/// Hands every ENI to a NetworkInterface that is being deleted, then removes the finalizer. The NetworkInterfaces find
/// out whether the instance is gone with its ENIs. `changed` is when this process last sent a call for the node.
pub async fn release(
    controller: &NodeController,
    record: &NodeRecord,
    changed: Option<Timestamp>,
) -> Result<Next, ReconcileError> {
    let finalizers = record.metadata.finalizers.as_deref().unwrap_or_default();
    if !finalizers.iter().any(|f| f == finalizer::NODE) {
        return Ok(Next::OnChange);
    }
    let uid = record.metadata.uid.as_deref().unwrap_or_default();
    let known = controller.attempts.of_owner(uid);
    let quiet_since = changed.map_or(controller.term.since, |changed| {
        changed.max(controller.term.since)
    });
    let enis = match plan_release(
        record,
        &known,
        quiet_since,
        Timestamp::now(),
        &controller.settings.limits,
    ) {
        Release::Wait(time) => return Ok(Next::After(time)),
        Release::LookUpByTag(id) => {
            let filter = EniFilter::tags([(tag::INTENT, id.tag_value())]);
            controller
                .attempts
                .look_up(&controller.cloud, &id, &filter)
                .await?;
            return Ok(Next::After(Duration::from_millis(1)));
        }
        Release::HandOver(enis) => enis,
    };
    for id in enis {
        hand_over(&controller.caches, &controller.write, &id, None).await?;
    }
    controller
        .write
        .release_node_record(record, &[finalizer::NODE])
        .await?;
    controller.attempts.forget_all(uid);
    Ok(Next::OnChange)
}

#[cfg(test)]
mod tests;
