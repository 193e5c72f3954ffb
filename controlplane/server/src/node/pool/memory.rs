//! What this process knows about the ENIs of nodes. The knowledge is lost with the process, on purpose.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;
use parking_lot::Mutex;
use terway_core::pool::Inventory;

use crate::runtime::Key;

/// What is known of one node.
#[derive(Debug, Clone, Default)]
pub struct NodeHistory {
    /// ENIs that the poller observes for this node.
    pub watched: BTreeSet<String>,
    /// ENIs that were handed to a NetworkInterface for release.
    pub handed: BTreeSet<String>,
    /// The list of the node's ENIs that no comparison has used yet.
    pub inventory: Option<Inventory>,
    /// When the last list that was compared was requested.
    pub compared: Option<Timestamp>,
    /// Since when the node lacks what the controllers need to manage it.
    pub unmanaged: Option<Timestamp>,
    /// A list of the node's ENIs is under way.
    pub listing: bool,
    /// A request for the node's vSwitches is under way.
    pub resolving: bool,
    /// Requests for the node's vSwitches, and lists of its ENIs, that failed in a row.
    pub unresolved: u32,
    pub unlisted: u32,
    /// When this process last sent a call that changes ENIs of the node.
    pub changed: Option<Timestamp>,
    /// When pods of the node last got addresses.
    pub bound: Option<Timestamp>,
    /// When the idle addresses of the node were last counted.
    pub adjusted: Option<Timestamp>,
}

/// Memories by node.
#[derive(Default)]
pub struct Pools {
    nodes: Mutex<HashMap<Key, NodeHistory>>,
}

impl Pools {
    /// What is known of a node now.
    pub fn of(&self, key: &Key) -> NodeHistory {
        self.nodes.lock().get(key).cloned().unwrap_or_default()
    }

    /// Changes what is known of a node.
    pub fn change<T>(&self, key: &Key, change: impl FnOnce(&mut NodeHistory) -> T) -> T {
        change(self.nodes.lock().entry(key.clone()).or_default())
    }

    /// The node is gone.
    pub fn forget(&self, key: &Key) {
        self.nodes.lock().remove(key);
    }
}
