//! An index of pods by node. A node is reconciled for every pod that comes or goes, so a search through all pods of the
//! cluster would be too slow.

use std::collections::{BTreeSet, HashMap};

use parking_lot::Mutex;

use crate::runtime::Key;

/// Keys of pods by the name of their node.
#[derive(Default)]
pub struct PodsOfNodes {
    known: Mutex<HashMap<String, BTreeSet<Key>>>,
}

impl PodsOfNodes {
    /// Notes that a pod has moved from node `before` to node `after`. An empty name is no node.
    pub fn moved(&self, key: &Key, before: &str, after: &str) {
        if before == after {
            return;
        }
        let mut known = self.known.lock();
        if let Some(pods) = known.get_mut(before) {
            pods.remove(key);
            if pods.is_empty() {
                known.remove(before);
            }
        }
        if !after.is_empty() {
            known.entry(after.to_owned()).or_default().insert(key.clone());
        }
    }

    /// The pods of a node.
    pub fn of(&self, node: &str) -> Vec<Key> {
        let known = self.known.lock();
        known
            .get(node)
            .map(|pods| pods.iter().cloned().collect())
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_where_it_was_last_seen() {
        let pods = PodsOfNodes::default();
        let key = Key::namespaced("ns", "a");
        pods.moved(&key, "", "");
        pods.moved(&key, "", "node1");
        assert_eq!(pods.of("node1").len(), 1);
        pods.moved(&key, "node1", "node2");
        assert!(pods.of("node1").is_empty());
        pods.moved(&key, "node2", "");
        assert!(pods.of("node2").is_empty());
    }
}
