//! The observation of a node: the Kubernetes node and its Node object.

use std::sync::Arc;

use terway_core::node::NodeFacts;

use crate::objects::{Caches, NodeRecord};
use crate::runtime::Key;

/// A Kubernetes node and the Node object of its name.
pub struct ObservedNode {
    pub node: Option<Arc<NodeFacts>>,
    pub record: Option<Arc<NodeRecord>>,
}

/// Reads both from the caches.
pub fn observe(caches: &Caches, key: &Key) -> ObservedNode {
    ObservedNode {
        node: caches.nodes.get(key),
        record: caches.node_records.get(key),
    }
}
