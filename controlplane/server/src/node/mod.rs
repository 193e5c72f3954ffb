//! The node controller: a Node object for each node, the ENIs of the node, and what the Kubernetes node publishes.

mod apply;
mod configure;
mod observe;
mod pool;
pub mod release;
mod status;
mod suspects;
#[cfg(test)]
mod tests;

pub use self::suspects::Suspects;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use terway_cloud::Cloud;
use terway_core::cloud::InstanceTypeLimits;
use terway_core::intent::elapsed;
use terway_core::news::News;
use terway_core::node::{NodeFacts, is_on_instance_of, ready_again};
use terway_crds::names::{action, event};
use tokio_util::task::TaskTracker;

use crate::config::controllers;
use crate::context::{Calls, Context, ControllerSettings};
use crate::degradation::DegradationSwitch;
use crate::error::ReconcileError;
use crate::events::{Events, node_reference, planned};
use crate::intents::Attempts;
use crate::leadership::Term;
use crate::objects::{Caches, NodeRecord, Writer};
use crate::runtime::{Key, Next, Queue, Reconciler, Slot, growing};
use crate::vswitches::{Remembered, VSwitches};

use self::pool::Pools;

/// Time that a node has to name its instance and region.
const UNMANAGED: Duration = Duration::from_secs(30);

/// Reconciles nodes, by name. Clones share everything: calls to the cloud run beside the workers, each with a clone.
#[derive(Clone)]
pub struct NodeController {
    caches: Caches,
    write: Writer,
    cloud: Cloud,
    calls: Calls,
    vswitches: Arc<VSwitches>,
    attempts: Arc<Attempts>,
    events: Events,
    /// The controller's own queue.
    queue: Arc<Queue>,
    /// Nodes whose ENIs are being attached, by the ENI's id.
    attaching: Arc<Mutex<HashMap<String, Key>>>,
    /// Nodes whose record something contradicted.
    suspects: Arc<Suspects>,
    background: TaskTracker,
    degradation: DegradationSwitch,
    settings: Arc<ControllerSettings>,
    term: Term,
    /// Limits by instance type. The lock is held while the cloud is asked, so that nodes of one type that join together
    /// cost one call.
    instance_types: Arc<tokio::sync::Mutex<HashMap<String, InstanceTypeLimits>>>,
    /// What this process knows of the ENIs of nodes.
    pools: Arc<Pools>,
}

impl NodeController {
    /// A controller for this term.
    pub fn new(context: &Context) -> Self {
        Self {
            caches: context.caches.clone(),
            write: context.write.clone(),
            cloud: context.cloud.clone(),
            calls: context.calls.clone(),
            vswitches: context.vswitches.clone(),
            attempts: context.attempts.clone(),
            events: context.events.clone(),
            queue: context.queues.nodes.clone(),
            attaching: context.attaching.clone(),
            suspects: context.suspects.clone(),
            background: context.background.clone(),
            degradation: context.degradation.clone(),
            settings: Arc::new(context.settings.clone()),
            term: context.term.clone(),
            instance_types: Arc::default(),
            pools: Arc::default(),
        }
    }

    /// The remembered vSwitches. Old or unknown ones are asked for in the background, and the answer wakes the node.
    fn remembered_vswitches(&self, key: &Key, ids: &[String]) -> Remembered {
        let remembered = self.vswitches.remembered(ids);
        let resolving = || {
            self.pools
                .change(key, |memory| std::mem::replace(&mut memory.resolving, true))
        };
        if remembered.stale && !resolving() {
            let (vswitches, pools, queue) = (self.vswitches.clone(), self.pools.clone(), self.queue.clone());
            let (key, ids) = (key.clone(), ids.to_vec());
            self.background.spawn(async move {
                let answer = vswitches.resolve(&ids).await;
                let failures = pools.change(&key, |memory| {
                    memory.resolving = false;
                    memory.unresolved = answer.as_ref().map_or(memory.unresolved.saturating_add(1), |_| 0);
                    memory.unresolved
                });
                match answer {
                    Ok(_) => queue.add(key),
                    Err(error) => {
                        let pace = error.retry().pace();
                        let delay = growing(&key, failures, pace.first, pace.most);
                        tracing::warn!(
                            node = %key,
                            error = &error as &dyn std::error::Error,
                            "the node's vSwitches were not looked up"
                        );
                        queue.add_after(key, delay);
                    }
                }
            });
        }
        remembered
    }

    /// Tells why a node is not managed, if the reason lasts. A node that joins gets its instance and labels one after
    /// the other.
    fn tell_unmanaged(&self, key: &Key, node: &NodeFacts) -> Next {
        let why = node.why_unmanaged(&self.settings.node_white_list);
        let now = Timestamp::now();
        let since = self.pools.change(key, |memory| {
            let since = why.is_some().then(|| *memory.unmanaged.get_or_insert(now));
            memory.unmanaged = since;
            since
        });
        let (Some(why), Some(since)) = (why, since) else {
            return Next::OnChange;
        };
        let left = UNMANAGED.saturating_sub(elapsed(since, now));
        if !left.is_zero() {
            return Next::After(left);
        }
        let news = News::bad(event::CONFIG_ERROR, action::CONFIG, why);
        self.events.tell(node_reference(node), None, planned(news));
        Next::OnChange
    }

    /// Lets a deleted Node object go, or serves its node with it while pods use the node's ENIs.
    async fn let_go(
        &self,
        key: &Key,
        node: Option<&NodeFacts>,
        record: &NodeRecord,
    ) -> Result<Next, ReconcileError> {
        let Some(next) = release::held_back(self, node, record).await? else {
            let uid = record.metadata.uid.as_deref().unwrap_or_default();
            if self.attempts.is_busy(uid) {
                // A call is under way. Its reply wakes the node and may name one more ENI to release.
                return Ok(Next::After(Duration::from_secs(1)));
            }
            return release::release(self, record, self.pools.of(key).changed).await;
        };
        let node = node.filter(|node| node.is_managed(&self.settings.node_white_list));
        let Some(node) = node.filter(|node| is_on_instance_of(record, node)) else {
            return Ok(next);
        };
        // The write of the condition has changed the object.
        let Some(record) = self.caches.node_records.get(key) else {
            return Ok(Next::OnChange);
        };
        let served = self.serve(key, node, &record).await?;
        Ok(match (served, next) {
            (Next::After(one), Next::After(other)) => Next::After(one.min(other)),
            (Next::OnChange, other) | (other, Next::OnChange) => other,
        })
    }

    /// Serves a node whose limits are known.
    async fn serve(&self, key: &Key, node: &NodeFacts, record: &NodeRecord) -> Result<Next, ReconcileError> {
        let mut statements = match configure::configure(self, key, node, record).await? {
            configure::Configured::Settled(statements) => statements,
            configure::Configured::Wait(next) => return Ok(next),
        };
        statements.extend(ready_again(record));
        if node.eni_only || record.spec.eni.is_none() {
            apply::publish(self, node, record, None).await?;
            status::say(self, record, &statements).await?;
            return Ok(Next::OnChange);
        }
        pool::reconcile(self, key, &statements).await
    }
}

impl Reconciler for NodeController {
    const NAME: &'static str = controllers::NODE;

    async fn reconcile(&self, key: &Key, slot: &mut Slot) -> Result<Next, ReconcileError> {
        let seen = observe::observe(&self.caches, key);
        let white_list = &self.settings.node_white_list;
        match (&seen.node, &seen.record) {
            (None, None) => {
                self.pools.forget(key);
                self.suspects.forget(key);
                Ok(Next::OnChange)
            }
            (_, Some(record)) if record.metadata.deletion_timestamp.is_some() => {
                self.let_go(key, seen.node.as_deref(), record).await
            }
            (None, Some(record)) => release::node_gone(self, record).await,
            (Some(node), _) if !node.is_managed(white_list) => Ok(self.tell_unmanaged(key, node)),
            (Some(node), None) => {
                self.pools.change(key, |memory| memory.unmanaged = None);
                apply::create(self, key, node, slot).await
            }
            (Some(node), Some(record)) if !is_on_instance_of(record, node) => {
                tracing::info!(
                    node = %key,
                    before = record.spec.node_metadata.instance_id,
                    now = node.instance_id,
                    "the node is on another instance and gets another Node object"
                );
                self.write.delete_node_record(record).await?;
                // The write wakes this controller.
                Ok(Next::OnChange)
            }
            (Some(_), Some(record)) if record.metadata.owner_references.is_some() => {
                self.write.disown_node_record(record).await?;
                Ok(Next::OnChange)
            }
            (Some(node), Some(record)) => {
                if let Some(next) = apply::describe(self, node, record, slot).await? {
                    return Ok(next);
                }
                self.serve(key, node, record).await
            }
        }
    }
}
