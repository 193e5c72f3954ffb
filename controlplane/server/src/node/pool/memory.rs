//! What this process learned about the shared ENIs of nodes; lost with it, on purpose.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;
use parking_lot::Mutex;
use terway_core::pool::Inventory;

use crate::runtime::Key;

/// What is known of one node.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    /// ENIs that the poller looks at for it.
    pub watched: BTreeSet<String>,
    /// ENIs that were given to a NetworkInterface to be released.
    pub handed: BTreeSet<String>,
    pub inventory: Option<Inventory>,
    /// Its ENIs are being listed now.
    pub listing: bool,
    /// Its vSwitches are being asked for now.
    pub resolving: bool,
    /// When this process last changed something of it in the cloud.
    pub changed: Option<Timestamp>,
    /// When its pods were last given addresses.
    pub bound: Option<Timestamp>,
    /// When its idle addresses were last looked at.
    pub adjusted: Option<Timestamp>,
}

/// Memories by node.
#[derive(Default)]
pub struct Pools {
    nodes: Mutex<HashMap<Key, Memory>>,
}

impl Pools {
    /// What is known of a node now.
    pub fn of(&self, key: &Key) -> Memory {
        self.nodes.lock().get(key).cloned().unwrap_or_default()
    }

    /// Changes what is known of a node.
    pub fn change<T>(&self, key: &Key, change: impl FnOnce(&mut Memory) -> T) -> T {
        change(self.nodes.lock().entry(key.clone()).or_default())
    }

    /// The node is gone.
    pub fn forget(&self, key: &Key) {
        self.nodes.lock().remove(key);
    }
}
