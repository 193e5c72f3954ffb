//! ENIs of pods from the decision to make one until its first attach. The PodENI controller hands them over here to the
//! NetworkInterface controller.
//!
//! The number of fresh ENIs is limited, so that creates never get far ahead of attaches; a new ENI waits for room. A
//! node has a share of the room, so that a node whose attaches hang leaves room for the others. No object records two
//! facts about a fresh ENI: that it has room, and that it has never been attached.
//!
//! An ENI stops being fresh when the objects show it; nobody has to report it. See [`FreshEnis::follow`].

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use parking_lot::Mutex;
use terway_core::conditions::failing_reason;
use terway_core::fairness::FairQueue;
use terway_core::network_interface::ENI_NOT_FOUND;
use terway_crds::names::condition;
use terway_crds::{NetworkInterface, Phase, PodEni};
use tokio::sync::oneshot;

use crate::objects::Caches;

/// Name of the intent to make one ENI: UID of its PodENI and index of the allocation.
pub fn intent_name(uid: &str, index: usize) -> String {
    format!("{uid}/{index}")
}

/// Fresh ENIs, by the name of their intent until they have an id. Nodes that wait for room are served in turn.
pub struct FreshEnis {
    limit: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Names of intents, and ids of ENIs, that have room; and their nodes.
    open: HashMap<String, String>,
    /// How many of them each node has.
    of_node: HashMap<String, usize>,
    waiting: FairQueue<Waiting>,
    /// Ids of ENIs that were never attached, because this process has just made the object that an attach needs.
    never_attached: HashSet<String>,
}

struct Waiting {
    name: String,
    node: String,
    entered: oneshot::Sender<()>,
}

impl FreshEnis {
    /// Room for `limit` ENIs at the same time.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit: limit.max(1),
            state: Mutex::default(),
        })
    }

    /// Follows the objects from now on. An intent keeps its room while its PodENI has the same attempt and no ENI id.
    /// An ENI keeps its room while its NetworkInterface exists and shows no outcome.
    pub fn follow(self: &Arc<Self>, caches: &Caches) {
        let fresh = self.clone();
        caches.pod_enis.on_change(move |_, before, after| {
            let open = |record: Option<&Arc<PodEni>>| record.map_or_else(BTreeSet::new, |r| open_intents(r));
            let still = open(after);
            let ended = open(before);
            for (name, _) in ended.difference(&still) {
                fresh.leave(name);
            }
        });
        let fresh = self.clone();
        caches.interfaces.on_change(move |key, _, after| match after {
            Some(interface) if is_unknown_to_cloud(interface) => fresh.leave(key.name()),
            Some(interface) if !is_attached_or_detached(interface) => {}
            _ => {
                fresh.object_was_there(key.name());
                fresh.leave(key.name());
            }
        });
    }

    /// Waits for room and takes it for this intent; at once if the intent has it already.
    pub async fn enter(&self, intent: &str, node: &str) {
        let entered = {
            let mut state = self.state.lock();
            if state.open.contains_key(intent) {
                return;
            }
            let (entered, waits) = oneshot::channel();
            let waiting = Waiting {
                name: intent.to_owned(),
                node: node.to_owned(),
                entered,
            };
            state.waiting.push(node, waiting);
            state.admit(self.limit);
            waits
        };
        // The sender is used before it is dropped, because only the queue holds it.
        let _ = entered.await;
    }

    /// Notes that the ENI of this intent has an id now. The ENI keeps the intent's room.
    pub fn made(&self, intent: &str, id: &str) {
        let mut state = self.state.lock();
        if let Some(node) = state.open.remove(intent) {
            state.open.insert(id.to_owned(), node);
        }
    }

    /// Notes that this process is about to write the first NetworkInterface of this ENI, so that the ENI was never
    /// attached. Call this before the write, because its answer wakes the controller that asks.
    pub fn object_is_made(&self, id: &str) {
        self.state.lock().never_attached.insert(id.to_owned());
    }

    /// Notes that there was a NetworkInterface of this ENI already, so that the ENI may be attached.
    pub fn object_was_there(&self, id: &str) {
        self.state.lock().never_attached.remove(id);
    }

    /// Whether the ENI was never attached, except by calls of this process.
    pub fn was_never_attached(&self, id: &str) -> bool {
        self.state.lock().never_attached.contains(id)
    }

    /// Notes that the cloud has accepted or refused an attach, so that the next ENI may be made. A refused attach is
    /// repeated, perhaps for as long as its pod lives, and other pods do not wait for that.
    pub fn attach_answered(&self, id: &str) {
        self.leave(id);
    }

    /// Notes that no ENI is made for this intent any more.
    pub fn given_up(&self, intent: &str) {
        self.leave(intent);
    }

    fn leave(&self, name: &str) {
        let mut state = self.state.lock();
        let Some(node) = state.open.remove(name) else {
            return;
        };
        if let Some(count) = state.of_node.get_mut(&node) {
            *count -= 1;
            if *count == 0 {
                state.of_node.remove(&node);
            }
        }
        state.admit(self.limit);
    }
}

/// The most room that one node may have: a tenth, but enough for the usual number of pods that start together.
fn most_of_node(limit: usize) -> usize {
    (limit / 10).max(8).min(limit)
}

impl State {
    fn admit(&mut self, limit: usize) {
        let most = most_of_node(limit);
        while self.open.len() < limit {
            let of_node = &self.of_node;
            let may = |node: &str| of_node.get(node).is_none_or(|count| *count < most);
            let Some(next) = self.waiting.pop_of(may) else {
                return;
            };
            // A waiter that has gone away takes no room.
            if next.entered.send(()).is_ok() {
                *self.of_node.entry(next.node.clone()).or_default() += 1;
                self.open.insert(next.name, next.node);
            }
        }
    }
}

/// The intents of a record that have no ENI yet, by name and attempt.
fn open_intents(record: &PodEni) -> BTreeSet<(String, i32)> {
    let uid = record.metadata.uid.as_deref().unwrap_or_default();
    let allocations = record.spec.allocations.iter().enumerate();
    allocations
        .filter(|(_, allocation)| allocation.eni.id.is_empty())
        .filter_map(|(index, allocation)| {
            Some((intent_name(uid, index), allocation.creation.as_ref()?.attempt))
        })
        .collect()
}

fn is_attached_or_detached(interface: &NetworkInterface) -> bool {
    let status = interface.status.as_ref();
    status.is_some_and(|status| matches!(status.phase, Phase::Bind | Phase::Unbind))
}

fn is_unknown_to_cloud(interface: &NetworkInterface) -> bool {
    let status = interface.status.as_ref();
    status.and_then(|status| failing_reason(&status.conditions, condition::READY)) == Some(ENI_NOT_FOUND)
}

#[cfg(test)]
mod tests;
