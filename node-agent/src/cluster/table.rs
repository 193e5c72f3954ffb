//! The objects of one watch, as views by key.

use std::collections::BTreeMap;

use kube::runtime::watcher::Event;

use super::PodKey;

/// Views by namespace and name.
///
/// A repeated list replaces the content when the list is complete, not object by object: nobody sees a half-filled
/// table and takes a pod for gone.
pub struct Table<V> {
    items: BTreeMap<PodKey, V>,
    listing: BTreeMap<PodKey, V>,
    synced: bool,
}

impl<V> Default for Table<V> {
    fn default() -> Self {
        Table {
            items: BTreeMap::new(),
            listing: BTreeMap::new(),
            synced: false,
        }
    }
}

impl<V: PartialEq> Table<V> {
    /// Takes one event of the watch. Tells whether the visible content has changed: most updates of a pod change
    /// nothing that is kept here, and need to wake nobody.
    pub fn apply(&mut self, event: Event<(PodKey, V)>) -> bool {
        match event {
            Event::Init => {
                self.listing.clear();
                false
            }
            Event::InitApply((key, view)) => {
                self.listing.insert(key, view);
                false
            }
            Event::InitDone => {
                let before = std::mem::replace(&mut self.items, std::mem::take(&mut self.listing));
                let first = !std::mem::replace(&mut self.synced, true);
                first || before != self.items
            }
            Event::Apply((key, view)) => {
                if self.items.get(&key) == Some(&view) {
                    return false;
                }
                self.items.insert(key, view);
                true
            }
            Event::Delete((key, _)) => self.items.remove(&key).is_some(),
        }
    }

    /// Whether the first list has arrived.
    pub fn synced(&self) -> bool {
        self.synced
    }

    /// The view of one object.
    pub fn get(&self, key: &PodKey) -> Option<&V> {
        self.items.get(key)
    }

    /// All keys.
    pub fn keys(&self) -> impl Iterator<Item = &PodKey> {
        self.items.keys()
    }

    /// All views, by key.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.items.values()
    }
}
