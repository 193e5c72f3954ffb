//! An index of objects, for example of pods by node. Events come for every pod of the cluster, so a search through all
//! pods for each event would be too slow.

use std::collections::{BTreeSet, HashMap};

use parking_lot::Mutex;

use crate::runtime::Key;

/// Keys of objects, by a name that each object has.
#[derive(Default)]
pub struct KeyIndex {
    known: Mutex<HashMap<String, BTreeSet<Key>>>,
}

impl KeyIndex {
    /// Notes that an object has moved from the name `before` to the name `after`. An object with an empty name is not
    /// in the index.
    pub fn moved(&self, key: &Key, before: &str, after: &str) {
        if before == after {
            return;
        }
        let mut known = self.known.lock();
        if let Some(keys) = known.get_mut(before) {
            keys.remove(key);
            if keys.is_empty() {
                known.remove(before);
            }
        }
        if !after.is_empty() {
            known.entry(after.to_owned()).or_default().insert(key.clone());
        }
    }

    /// The objects with this name.
    pub fn of(&self, name: &str) -> Vec<Key> {
        let known = self.known.lock();
        known
            .get(name)
            .map(|keys| keys.iter().cloned().collect())
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_where_it_was_last_seen() {
        let pods = KeyIndex::default();
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
