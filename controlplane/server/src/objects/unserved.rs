//! Pods that a PodNetworking selects and that have no network of it, because no webhook saw them or because the
//! PodNetworking was not Ready then.

use std::collections::{BTreeMap, HashMap};

use parking_lot::Mutex;

use crate::runtime::Key;

/// The pods of each PodNetworking, with their UIDs.
#[derive(Default)]
pub struct Unserved {
    known: Mutex<HashMap<Key, Selected>>,
}

#[derive(Default)]
struct Selected {
    /// The generation of the PodNetworking for which all pods were compared. Later pods come by the watch.
    compared: Option<i64>,
    pods: BTreeMap<Key, String>,
}

impl Unserved {
    /// Adds a pod.
    pub fn add(&self, networking: &Key, pod: &Key, uid: &str) {
        let mut known = self.known.lock();
        let selected = known.entry(networking.clone()).or_default();
        selected.pods.insert(pod.clone(), uid.to_owned());
    }

    /// Adds the pods that a comparison of all pods has found. `compared`: the generation of the PodNetworking, which
    /// was Ready then.
    pub fn found(&self, networking: &Key, compared: Option<i64>, pods: BTreeMap<Key, String>) {
        let mut known = self.known.lock();
        let selected = known.entry(networking.clone()).or_default();
        selected.compared = compared;
        selected.pods.extend(pods);
    }

    /// Whether all pods were compared with this generation.
    pub fn was_compared(&self, networking: &Key, generation: i64) -> bool {
        let known = self.known.lock();
        known.get(networking).and_then(|selected| selected.compared) == Some(generation)
    }

    /// Drops what is known of a PodNetworking.
    pub fn forget(&self, networking: &Key) {
        self.known.lock().remove(networking);
    }

    /// Drops a pod. Returns the PodNetworkings that had it.
    pub fn remove(&self, pod: &Key) -> Vec<Key> {
        let mut had = Vec::new();
        for (networking, selected) in self.known.lock().iter_mut() {
            if selected.pods.remove(pod).is_some() {
                had.push(networking.clone());
            }
        }
        had
    }

    /// The pods of a PodNetworking, with their UIDs.
    pub fn of(&self, networking: &Key) -> BTreeMap<Key, String> {
        let known = self.known.lock();
        known
            .get(networking)
            .map(|selected| selected.pods.clone())
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_known_until_it_goes_and_a_comparison_adds_to_what_the_watch_brought() {
        let unserved = Unserved::default();
        let (db, web) = (Key::cluster("db"), Key::cluster("web"));
        let pod = |name: &str| Key::namespaced("shop", name);
        unserved.add(&db, &pod("a"), "uid-a");
        assert!(!unserved.was_compared(&db, 1));
        unserved.found(&db, Some(1), [(pod("b"), "uid-b".to_owned())].into());
        assert!(unserved.was_compared(&db, 1) && !unserved.was_compared(&db, 2));
        assert_eq!(unserved.of(&db).len(), 2);
        unserved.add(&web, &pod("a"), "uid-a");
        let mut had = unserved.remove(&pod("a"));
        had.sort();
        assert_eq!(had, [db.clone(), web.clone()]);
        assert_eq!(unserved.remove(&pod("a")), []);
        unserved.forget(&db);
        assert!(unserved.of(&db).is_empty() && !unserved.was_compared(&db, 1));
    }
}
