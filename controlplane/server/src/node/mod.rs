//! The node controller: a Node object for each node, the ENIs of the node, and what the Kubernetes node publishes.

mod apply;
mod configure;
mod observe;
mod pool;
pub mod release;
mod status;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use terway_core::cloud::InstanceTypeLimits;
use terway_core::node::NodeFacts;

use crate::config::controllers;
use crate::context::Context;
use crate::error::ReconcileError;
use crate::objects::NodeRecord;
use crate::runtime::{Key, Next, Reconciler, Slot};
use crate::vswitches::Remembered;

use self::pool::Pools;

/// Reconciles nodes, by name.
pub struct NodeController {
    context: Arc<Context>,
    /// Limits by instance type. The lock is held while the cloud is asked, so that nodes of one type that join together
    /// cost one call.
    limits: tokio::sync::Mutex<HashMap<String, InstanceTypeLimits>>,
    /// What this process knows of the ENIs of nodes. Calls that run beside the workers write into it.
    pools: Arc<Pools>,
}

impl NodeController {
    /// A controller for this term.
    pub fn new(context: Arc<Context>) -> Self {
        Self {
            context,
            limits: tokio::sync::Mutex::default(),
            pools: Arc::default(),
        }
    }

    /// The remembered vSwitches. Old or unknown ones are asked for in the background, and the answer wakes the node.
    fn remembered_vswitches(&self, key: &Key, ids: &[String]) -> Remembered {
        let remembered = self.context.vswitches.remembered(ids);
        let resolving = || {
            self.pools
                .change(key, |memory| std::mem::replace(&mut memory.resolving, true))
        };
        if remembered.stale && !resolving() {
            let (context, pools) = (self.context.clone(), self.pools.clone());
            let (key, ids) = (key.clone(), ids.to_vec());
            self.context.background.spawn(async move {
                let answer = context.vswitches.resolve(&ids).await;
                pools.change(&key, |memory| memory.resolving = false);
                match answer {
                    Ok(_) => context.queues.nodes.add(key),
                    Err(error) => {
                        let delay = error.retry().pace().first;
                        tracing::warn!(
                            node = %key,
                            error = &error as &dyn std::error::Error,
                            "the node's vSwitches were not looked up"
                        );
                        context.queues.nodes.add_after(key, delay);
                    }
                }
            });
        }
        remembered
    }

    /// Serves a node whose limits are known.
    async fn serve(&self, key: &Key, node: &NodeFacts, record: &NodeRecord) -> Result<Next, ReconcileError> {
        let statements = match configure::configure(self, key, node, record).await? {
            configure::Configured::Settled(statements) => statements,
            configure::Configured::Wait(next) => return Ok(next),
        };
        if node.eni_only || record.spec.eni.is_none() {
            apply::publish(&self.context, node, record, None).await?;
            status::say(&self.context, record, &statements).await?;
            return Ok(Next::OnChange);
        }
        pool::reconcile(self, key, &statements).await
    }
}

impl Reconciler for NodeController {
    const NAME: &'static str = controllers::NODE;

    async fn reconcile(&self, key: &Key, slot: &mut Slot) -> Result<Next, ReconcileError> {
        let seen = observe::observe(&self.context, key);
        let white_list = &self.context.settings.node_white_list;
        match (&seen.node, &seen.record) {
            (None, None) => {
                self.pools.forget(key);
                Ok(Next::OnChange)
            }
            (_, Some(record)) if record.metadata.deletion_timestamp.is_some() => {
                if self
                    .context
                    .attempts
                    .is_busy(record.metadata.uid.as_deref().unwrap_or_default())
                {
                    // A call is under way. Its reply wakes the node and may name one more ENI to release.
                    return Ok(Next::After(Duration::from_secs(1)));
                }
                if let Some(next) = release::held_back(&self.context, seen.node.as_deref(), record).await? {
                    return Ok(next);
                }
                release::release(&self.context, record, self.pools.of(key).changed).await
            }
            (None, Some(record)) => release::node_gone(&self.context, record).await,
            (Some(node), _) if !node.is_managed(white_list) => Ok(Next::OnChange),
            (Some(node), None) => apply::create(self, key, node, slot).await,
            (Some(node), Some(record)) => {
                if let Some(next) = apply::describe(self, node, record, slot).await? {
                    return Ok(next);
                }
                self.serve(key, node, record).await
            }
        }
    }
}
