//! The observation of a node: the Kubernetes node and its Node object.

use std::sync::Arc;

use terway_core::node::NodeFacts;

use crate::context::Context;
use crate::objects::NodeRecord;
use crate::runtime::Key;

/// A Kubernetes node and the Node object of its name.
pub struct Seen {
    pub node: Option<Arc<NodeFacts>>,
    pub record: Option<Arc<NodeRecord>>,
}

/// Reads both from the caches.
pub fn observe(context: &Context, key: &Key) -> Seen {
    Seen {
        node: context.caches.nodes.get(key),
        record: context.caches.node_records.get(key),
    }
}
