//! What is wrong with the agent's own work and does not stop it. `/readyz` shows it, and the node gets an event and the
//! log a line when it changes. (What others do to pods' networks is a [`Trouble`] of a round.)

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use terway_crds::names::event;
use tracing::{info, warn};

use crate::events::Announcer;
use crate::trouble::Trouble;

/// A part of the agent about which there can be a note, one at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Keys of the ConfigMap eni-config.
    Settings,
    /// The runtime's directory of CNI configurations.
    CniConfiguration,
    /// The kernel's objects.
    Datapath,
}

/// The present notes. Clones share them.
#[derive(Clone)]
pub struct Notes {
    present: Arc<Mutex<BTreeMap<Part, String>>>,
    events: Announcer,
    node: String,
}

impl Notes {
    /// Nothing is wrong yet on this node.
    pub fn new(node: &str, events: Announcer) -> Self {
        Self {
            present: Arc::default(),
            events,
            node: node.to_owned(),
        }
    }

    /// Says what is wrong with a part now; `None` when nothing is.
    pub fn set(&self, part: Part, now: Option<String>) {
        let before = match &now {
            Some(words) => self.present.lock().insert(part, words.clone()),
            None => self.present.lock().remove(&part),
        };
        if before == now {
            return;
        }
        match now {
            Some(words) => {
                warn!(?part, words, "something is wrong on this node");
                let trouble = Trouble {
                    reason: event::CONFIG_ERROR,
                    text: words,
                };
                self.events.announce_on_node(&self.node, &trouble);
            }
            None => info!(?part, "nothing is wrong here any more"),
        }
    }

    /// The sentences for `/readyz`.
    pub fn sentences(&self) -> Vec<String> {
        self.present.lock().values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    #[test]
    fn a_note_is_shown_while_it_lasts_and_told_when_it_changes() {
        let (announcer, mut queue) = Announcer::new(&Metrics::default());
        let notes = Notes::new("node1", announcer);
        for _ in 0..3 {
            notes.set(Part::Settings, Some("mtu is too large".to_owned()));
        }
        assert_eq!(notes.sentences(), ["mtu is too large"]);
        let told = queue.try_recv().unwrap();
        assert_eq!(
            (told.about.kind.as_deref(), told.about.name.as_deref()),
            (Some("Node"), Some("node1"))
        );
        assert_eq!(
            (told.news.reason, told.news.note.as_str()),
            ("ConfigError", "mtu is too large")
        );
        assert!(queue.try_recv().is_err(), "told once");
        notes.set(Part::Settings, None);
        assert_eq!(notes.sentences(), [""; 0]);
    }
}
