//! The node controller: a Node object for each node, its trunk ENI, and what the Kubernetes node
//! says about it.

mod apply;
mod observe;
pub mod release;
mod status;
mod trunk;

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::Mutex;
use terway_core::cloud::{CloudEni, InstanceTypeLimits};

use crate::context::Context;
use crate::error::ReconcileError;
use crate::runtime::{Key, Next, Reconciler, Slot};

/// What this process learned about a node; lost with it, on purpose.
#[derive(Debug, Clone, Default)]
struct Memory {
    trunks: Option<Vec<CloudEni>>,
    attach_sent: Option<Timestamp>,
}

/// Reconciles nodes, by name.
pub struct NodeController {
    context: Arc<Context>,
    memory: Mutex<HashMap<Key, Memory>>,
    /// Held while the cloud is asked: nodes of one type that come together ask once.
    limits: tokio::sync::Mutex<HashMap<String, InstanceTypeLimits>>,
}

impl NodeController {
    /// A controller for this term.
    pub fn new(context: Arc<Context>) -> Self {
        Self {
            context,
            memory: Mutex::default(),
            limits: tokio::sync::Mutex::default(),
        }
    }

    fn memory_of(&self, key: &Key) -> Memory {
        self.memory.lock().get(key).cloned().unwrap_or_default()
    }

    fn remember(&self, key: &Key, change: impl FnOnce(&mut Memory)) {
        change(self.memory.lock().entry(key.clone()).or_default());
    }
}

impl Reconciler for NodeController {
    const NAME: &'static str = "node";

    async fn reconcile(&self, key: &Key, slot: &mut Slot) -> Result<Next, ReconcileError> {
        let seen = observe::observe(&self.context, key);
        let white_list = &self.context.settings.node_white_list;
        match (&seen.node, &seen.record) {
            (None, None) => {
                self.memory.lock().remove(key);
                Ok(Next::OnChange)
            }
            (_, Some(record)) if record.metadata.deletion_timestamp.is_some() => {
                self.memory.lock().remove(key);
                release::release(&self.context, record).await
            }
            (None, Some(record)) => release::node_gone(&self.context, record).await,
            (Some(node), _) if !node.is_managed(white_list) => Ok(Next::OnChange),
            (Some(node), None) => apply::create(&self.context, node).await,
            (Some(node), Some(record)) => {
                if let Some(next) = apply::describe(self, node, record, slot).await? {
                    return Ok(next);
                }
                apply::publish(&self.context, node, record).await?;
                trunk::reconcile(self, key, slot).await
            }
        }
    }
}
