//! Nodes whose record something contradicted: the cloud did not know an ENI of theirs, or listed it otherwise. Their
//! ENIs are listed and compared soon.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::Mutex;

use crate::runtime::{Key, Queue};

/// When the record of each node was last contradicted.
#[derive(Default)]
pub struct Suspects(Mutex<HashMap<Key, Timestamp>>);

impl Suspects {
    /// Notes a contradiction about a node, and wakes the node.
    pub fn note(&self, node: &Key, queue: &Arc<Queue>) {
        self.0.lock().insert(node.clone(), Timestamp::now());
        queue.add(node.clone());
    }

    /// When the record of a node was last contradicted; `None` if a later list was compared.
    pub fn of(&self, node: &Key) -> Option<Timestamp> {
        self.0.lock().get(node).copied()
    }

    /// Notes that a list which was requested at `asked` was compared.
    pub fn compared(&self, node: &Key, asked: Timestamp) {
        let mut noted = self.0.lock();
        if noted.get(node).is_some_and(|at| *at < asked) {
            noted.remove(node);
        }
    }

    /// The node is gone.
    pub fn forget(&self, node: &Key) {
        self.0.lock().remove(node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contradiction_stands_until_a_later_list_is_compared() {
        let (suspects, queue) = (Suspects::default(), Arc::new(Queue::default()));
        let node = Key::cluster("n1");
        let before = Timestamp::now();
        suspects.note(&node, &queue);
        assert_eq!(queue.depth(), 1);
        let at = suspects.of(&node).unwrap();
        suspects.compared(&node, before);
        assert_eq!(suspects.of(&node), Some(at));
        suspects.compared(&node, at + std::time::Duration::from_millis(1));
        assert_eq!(suspects.of(&node), None);
        suspects.note(&node, &queue);
        suspects.forget(&node);
        assert_eq!(suspects.of(&node), None);
    }
}
