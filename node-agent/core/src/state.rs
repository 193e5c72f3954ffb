//! The part of the kernel's network state that the datapath is about. What should be and what is are both a [`State`],
//! so that a plan is their difference.

use std::collections::BTreeMap;

use crate::object::{Focus, Key, Listed, Object};

/// Kernel objects by their keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State(BTreeMap<Key, Object>);

impl State {
    /// Adds an object, in the place of one with the same key.
    pub fn put<K: Listed>(&mut self, key: K, value: K::Value) {
        self.insert(key.with(value));
    }

    /// Adds an object, in the place of one with the same key.
    pub fn insert(&mut self, object: Object) {
        self.0.insert(object.key(), object);
    }

    /// Takes an object away.
    pub fn remove(&mut self, key: &Key) -> Option<Object> {
        self.0.remove(key)
    }

    pub fn get(&self, key: &Key) -> Option<&Object> {
        self.0.get(key)
    }

    /// The value of an object.
    pub fn value_of<K: Listed>(&self, key: K) -> Option<&K::Value> {
        let (_, value) = K::of(self.0.get(&key.key())?)?;
        Some(value)
    }

    pub fn has(&self, key: &Key) -> bool {
        self.0.contains_key(key)
    }

    /// All objects, in the order of their kinds.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&Key, &Object)> {
        self.0.iter()
    }

    /// The objects of one kind.
    pub fn of<K: Listed>(&self) -> impl Iterator<Item = (&K, &K::Value)> {
        self.0.values().filter_map(K::of)
    }

    /// Keeps the objects that a condition holds for.
    pub fn retain(&mut self, mut holds: impl FnMut(&Key, &Object) -> bool) {
        self.0.retain(|key, object| holds(key, object));
    }

    /// What is left when the pods of the focus do not count: a plan made from it leaves their objects as they are, and
    /// what they may have in common with others too, unless `wanted` has it.
    pub fn sparing(mut self, focus: &Focus, wanted: &State) -> State {
        self.retain(|key, object| {
            let subject = object.subject();
            wanted.has(key) || !(focus.has(&subject) || subject.common)
        });
        self
    }

    /// What is left when only the pods of the focus count, and what `wanted` has as well: a plan made from it leaves
    /// all other pods alone.
    pub fn narrowed(mut self, focus: &Focus, wanted: &State) -> State {
        self.retain(|key, object| wanted.has(key) || focus.has(&object.subject()));
        self
    }
}
