//! What a process still waits for before it is ready, by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

type Check = Arc<dyn Fn() -> Vec<String> + Send + Sync>;

/// Everything that keeps the process from being ready. Clones share it.
#[derive(Clone, Default)]
pub struct Readiness(Arc<Mutex<Composed>>);

#[derive(Default)]
struct Composed {
    next_guard: u64,
    guards: BTreeMap<u64, &'static str>,
    checks: Vec<Check>,
    notes: Vec<Check>,
}

/// The process waits for something by name. Drop the guard when the wait is over.
#[must_use = "a guard that is dropped at once waits for nothing"]
pub struct Pending {
    readiness: Readiness,
    guard: u64,
}

impl Readiness {
    /// Adds `name` to what the process waits for, until the guard is dropped.
    pub fn pending(&self, name: &'static str) -> Pending {
        let mut composed = self.0.lock();
        let guard = composed.next_guard;
        composed.next_guard += 1;
        composed.guards.insert(guard, name);
        Pending {
            readiness: self.clone(),
            guard,
        }
    }

    /// Adds a check that names what the process waits for at the moment of a question. Such a check can withdraw
    /// readiness that was there before.
    pub fn check(&self, names: impl Fn() -> Vec<String> + Send + Sync + 'static) {
        self.0.lock().checks.push(Arc::new(names));
    }

    /// Adds a check that tells what is wrong without making the process unready.
    pub fn note(&self, sentences: impl Fn() -> Vec<String> + Send + Sync + 'static) {
        self.0.lock().notes.push(Arc::new(sentences));
    }

    /// What the process waits for now: guards in the order in which they were made, then checks.
    #[must_use]
    pub fn waits(&self) -> Vec<String> {
        let composed = self.0.lock();
        let mut waits: Vec<String> = composed.guards.values().map(|name| (*name).to_owned()).collect();
        let checks = composed.checks.clone();
        // A check may look at something that drops a guard.
        drop(composed);
        waits.extend(checks.iter().flat_map(|check| check()));
        waits
    }

    /// What is wrong now and no reason to be unready.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let notes = self.0.lock().notes.clone();
        notes.iter().flat_map(|note| note()).collect()
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.readiness.0.lock().guards.remove(&self.guard);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn guards_are_listed_until_they_are_dropped_also_two_of_one_name() {
        let readiness = Readiness::default();
        let first = readiness.pending("the lists");
        let second = readiness.pending("the lists");
        let third = readiness.pending("the datapath");
        assert_eq!(readiness.waits(), ["the lists", "the lists", "the datapath"]);
        drop(first);
        drop(third);
        assert_eq!(readiness.waits(), ["the lists"]);
        drop(second);
        assert!(readiness.waits().is_empty());
    }

    #[test]
    fn a_check_withdraws_readiness_and_gives_it_back() {
        let readiness = Readiness::default();
        let lost = Arc::new(AtomicBool::new(false));
        let seen = lost.clone();
        readiness.check(move || match seen.load(Ordering::Relaxed) {
            true => vec!["the API server".to_owned()],
            false => Vec::new(),
        });
        assert!(readiness.waits().is_empty());
        lost.store(true, Ordering::Relaxed);
        assert_eq!(readiness.waits(), ["the API server"]);
        lost.store(false, Ordering::Relaxed);
        assert!(readiness.waits().is_empty());
    }
}
