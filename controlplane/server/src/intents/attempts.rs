//! The evidence of this process about attempts. It is lost with the process, on purpose.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use parking_lot::Mutex;
use terway_core::intent::{Evidence, IntentId};

use crate::objects::Caches;
use crate::runtime::Key;

/// Evidence of attempts: by the UID of the object that records the intent, then by the intent's index.
#[derive(Default)]
pub struct Attempts {
    known: Mutex<HashMap<String, BTreeMap<String, Evidence>>>,
    creating: Mutex<HashSet<Key>>,
}

/// While this guard lives, a record is being created.
pub struct Creating<'a> {
    attempts: &'a Attempts,
    key: Key,
}

impl Drop for Creating<'_> {
    fn drop(&mut self) {
        self.attempts.creating.lock().remove(&self.key);
    }
}

impl Attempts {
    /// Follows the PodENIs from now on. The evidence about a PodENI goes with it, whoever lets it go.
    pub fn follow(self: &Arc<Self>, caches: &Caches) {
        let attempts = self.clone();
        caches.pod_enis.on_change(move |_, before, after| {
            let uid = before.and_then(|record| record.metadata.uid.as_deref());
            let same = after.is_some_and(|record| record.metadata.uid.as_deref() == uid);
            uid.filter(|_| !same)
                .into_iter()
                .for_each(|uid| attempts.forget_all(uid));
        });
    }

    /// The evidence about an attempt. Only the last attempt of an intent has evidence.
    pub fn of(&self, id: &IntentId) -> Evidence {
        let known = self.known.lock();
        let found = known.get(&id.owner_uid).and_then(|owned| owned.get(&id.index));
        found
            .filter(|evidence| evidence.attempt == id.attempt)
            .cloned()
            .unwrap_or_else(|| Evidence::inherited(id.attempt))
    }

    /// The evidence about all intents of an object, by their index.
    pub fn of_owner(&self, uid: &str) -> BTreeMap<String, Evidence> {
        self.known.lock().get(uid).cloned().unwrap_or_default()
    }

    /// Changes the evidence about an attempt. The evidence about earlier attempts is dropped.
    pub(super) fn change<T>(&self, id: &IntentId, change: impl FnOnce(&mut Evidence) -> T) -> T {
        let mut known = self.known.lock();
        let owned = known.entry(id.owner_uid.clone()).or_default();
        let evidence = owned
            .entry(id.index.clone())
            .or_insert_with(|| Evidence::inherited(id.attempt));
        match evidence.attempt.cmp(&id.attempt) {
            Ordering::Less => *evidence = Evidence::inherited(id.attempt),
            Ordering::Equal => {}
            Ordering::Greater => return change(&mut Evidence::inherited(id.attempt)),
        }
        change(evidence)
    }

    /// Changes the evidence about all intents of an object.
    pub fn change_owned(&self, uid: &str, change: impl FnOnce(&mut BTreeMap<String, Evidence>)) {
        let mut known = self.known.lock();
        let owned = known.entry(uid.to_owned()).or_default();
        change(owned);
        if owned.is_empty() {
            known.remove(uid);
        }
    }

    /// Notes that this process has just recorded the attempt and has not sent it.
    pub fn written(&self, uid: &str, index: &str, attempt: i32) {
        self.change_owned(uid, |owned| {
            owned.insert(index.to_owned(), Evidence::fresh(attempt));
        });
    }

    /// Marks a call of an attempt as under way. Returns false if one is under way already.
    pub fn take(&self, id: &IntentId) -> bool {
        self.change(id, |evidence| !std::mem::replace(&mut evidence.in_flight, true))
    }

    /// Notes that no call of the attempt is under way any more, and that none was sent.
    pub fn give_back(&self, id: &IntentId) {
        self.change(id, |evidence| evidence.in_flight = false);
    }

    /// Whether a call of an object's intents is under way.
    pub fn is_busy(&self, uid: &str) -> bool {
        let known = self.known.lock();
        let mut owned = known.get(uid).into_iter().flat_map(BTreeMap::values);
        owned.any(|evidence| evidence.in_flight)
    }

    /// Drops the evidence about a resolved intent.
    pub fn forget(&self, uid: &str, index: &str) {
        self.change_owned(uid, |owned| {
            owned.remove(index);
        });
    }

    /// Drops the evidence about all intents of an object.
    pub fn forget_all(&self, uid: &str) {
        self.known.lock().remove(uid);
    }

    /// Notes that a record of this name is being created. The watch may show the record before the API server has
    /// answered, and only the answer tells whether this process has created the record.
    pub fn creating(&self, key: Key) -> Creating<'_> {
        self.creating.lock().insert(key.clone());
        Creating { attempts: self, key }
    }

    /// Whether a record of this name is being created, so that its creator is not known yet.
    pub fn is_being_created(&self, key: &Key) -> bool {
        self.creating.lock().contains(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(index: &str, attempt: i32) -> IntentId {
        IntentId {
            owner_uid: "u".into(),
            index: index.into(),
            attempt,
        }
    }

    #[test]
    fn of_an_attempt_that_this_process_has_not_written_it_is_only_known_that_it_may_have_been_sent() {
        let attempts = Attempts::default();
        assert_eq!(attempts.of(&id("0", 1)), Evidence::inherited(1));
        attempts.written("u", "0", 2);
        assert_eq!(attempts.of(&id("0", 2)), Evidence::fresh(2));
        assert_eq!(attempts.of(&id("0", 3)), Evidence::inherited(3));
        attempts.change(&id("0", 1), Evidence::sending);
        assert_eq!(
            attempts.of(&id("0", 2)),
            Evidence::fresh(2),
            "an old attempt changes nothing"
        );
        attempts.change(&id("0", 3), Evidence::sending);
        assert_eq!(attempts.of(&id("0", 2)), Evidence::inherited(2));
        attempts.forget("u", "0");
        assert_eq!(attempts.of(&id("0", 3)), Evidence::inherited(3));
    }

    #[test]
    fn one_call_of_an_attempt_is_made_at_a_time() {
        let attempts = Attempts::default();
        assert!(attempts.take(&id("a", 1)) && !attempts.take(&id("a", 1)));
        assert!(attempts.take(&id("b", 1)), "another intent");
        assert!(attempts.is_busy("u") && !attempts.is_busy("other"));
        attempts.give_back(&id("a", 1));
        assert!(attempts.take(&id("a", 1)));
        assert_eq!(attempts.of_owner("u").len(), 2);
        attempts.forget_all("u");
        assert!(!attempts.is_busy("u"));
        assert!(
            attempts.known.lock().is_empty(),
            "nothing is kept of an object that is gone"
        );
    }

    #[test]
    fn a_record_is_being_created_until_the_guard_goes() {
        let attempts = Attempts::default();
        let key = Key::namespaced("ns", "pod");
        let guard = attempts.creating(key.clone());
        assert!(attempts.is_being_created(&key));
        drop(guard);
        assert!(!attempts.is_being_created(&key));
    }
}
