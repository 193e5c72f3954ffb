//! A Node object on its way out. It goes when every ENI that it holds has another owner.

use std::time::Duration;

use jiff::Timestamp;
use terway_cloud::EniFilter;
use terway_core::conditions::Statement;
use terway_core::node::{Leaving, NodeFacts, Release, held_back as why_held_back, plan_release};
use terway_core::pod::PodFacts;
use terway_crds::names::{condition, finalizer, tag};

use super::status;
use crate::context::Context;
use crate::error::ReconcileError;
use crate::network_interface::hand_over;
use crate::objects::NodeRecord;
use crate::runtime::{Key, Next};

/// The Kubernetes node is not in the cache. Its Node object is deleted if the API server confirms that the node is
/// gone.
pub async fn node_gone(context: &Context, record: &NodeRecord) -> Result<Next, ReconcileError> {
    let name = record.metadata.name.as_deref().unwrap_or_default();
    if context.write.node_is_gone(name).await? {
        context.write.delete_node_record(record).await?;
    }
    Ok(Next::OnChange)
}

/// Returns when to look again if the Node object has to stay for now, and writes the reason into its conditions.
pub async fn held_back(
    context: &Context,
    node: Option<&NodeFacts>,
    record: &NodeRecord,
) -> Result<Option<Next>, ReconcileError> {
    let caches = &context.caches;
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
        degradation: context.degradation.now(),
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
    status::say(context, record, &[statement]).await?;
    Ok(Some(held.wake.map_or(Next::OnChange, Next::After)))
}

/// Hands every ENI to a NetworkInterface that is being deleted, then removes the finalizer. The NetworkInterfaces find
/// out whether the instance is gone with its ENIs. `changed` is when this process last sent a call for the node.
pub async fn release(
    context: &Context,
    record: &NodeRecord,
    changed: Option<Timestamp>,
) -> Result<Next, ReconcileError> {
    let finalizers = record.metadata.finalizers.as_deref().unwrap_or_default();
    if !finalizers.iter().any(|f| f == finalizer::NODE) {
        return Ok(Next::OnChange);
    }
    let uid = record.metadata.uid.as_deref().unwrap_or_default();
    let known = context.attempts.of_owner(uid);
    let quiet_since = changed.map_or(context.term.since, |changed| changed.max(context.term.since));
    let enis = match plan_release(record, &known, quiet_since, Timestamp::now(), &context.limits) {
        Release::Wait(time) => return Ok(Next::After(time)),
        Release::LookUpByTag(id) => {
            let filter = EniFilter::tags([(tag::INTENT, id.tag_value())]);
            context.attempts.look_up(&context.cloud, &id, &filter).await?;
            return Ok(Next::After(Duration::from_millis(1)));
        }
        Release::HandOver(enis) => enis,
    };
    for id in enis {
        hand_over(&context.caches, &context.write, &id, None).await?;
    }
    context
        .write
        .release_node_record(record, &[finalizer::NODE])
        .await?;
    context.attempts.forget_all(uid);
    Ok(Next::OnChange)
}
