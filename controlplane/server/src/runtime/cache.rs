//! A read cache of one kind. A watch and the answers of our own writes keep it up to date.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use super::Key;

/// How long a deletion is remembered, so that the late answer of an earlier write does not bring the object back. This
/// is far longer than any request of this process can take.
const TOMBSTONE_AGE: Duration = Duration::from_secs(120);
/// Time between two searches for old tombstones. A search visits all of them, and deletions come by the thousand.
const TOMBSTONE_SWEEP: Duration = Duration::from_secs(15);

/// The properties of an object that the cache needs.
pub trait Cached: Send + Sync + 'static {
    /// The key of the object.
    fn key(&self) -> Key;
    /// The resourceVersion as a number; 0 if it is not a number. API servers use etcd revisions, which may be compared
    /// as numbers (KEP-5504, Kubernetes 1.35).
    fn version(&self) -> u64;
}

type Listener<T> = Box<dyn Fn(&Key, Option<&Arc<T>>, Option<&Arc<T>>) + Send + Sync>;

struct State<T> {
    objects: HashMap<Key, Arc<T>>,
    tombstones: HashMap<Key, (u64, Instant)>,
    /// When old tombstones were last dropped.
    swept: Instant,
    /// Keys that the running list must not remove. This process has written them since the list began (the list may be
    /// older than the write), or the list has them in an unreadable form.
    kept: HashSet<Key>,
    /// Objects with an unreadable version. There are few, if any.
    unreadable: HashMap<Key, u64>,
    listing: bool,
    /// When the last list began.
    list_began: Instant,
}

impl<T: Cached> State<T> {
    /// Whether a list has an older form of an object than the cache, although nothing can have changed the cache since
    /// the list began, apart from this process. The lists of watches are read from the quorum, so the API server's
    /// storage went back: it was restored from a backup.
    fn went_back(&self, object: &T) -> bool {
        let (key, version) = (object.key(), object.version());
        let known = self.objects.get(&key).map_or(0, |known| known.version());
        let buried = self.tombstones.get(&key);
        let buried = buried
            .filter(|(_, at)| *at < self.list_began)
            .map_or(0, |(version, _)| *version);
        version != 0 && version < known.max(buried) && !self.kept.contains(&key)
    }
}

/// All objects of one kind, by key.
pub struct Cache<T> {
    state: RwLock<State<T>>,
    listeners: Mutex<Vec<Listener<T>>>,
    synced: watch::Sender<bool>,
    /// Number of changes. A wait for a change of the cache watches it.
    changes: watch::Sender<u64>,
}

impl<T: Cached> Default for Cache<T> {
    fn default() -> Self {
        Self {
            state: RwLock::new(State {
                objects: HashMap::new(),
                tombstones: HashMap::new(),
                swept: Instant::now(),
                kept: HashSet::new(),
                unreadable: HashMap::new(),
                listing: false,
                list_began: Instant::now(),
            }),
            listeners: Mutex::new(Vec::new()),
            synced: watch::Sender::new(false),
            changes: watch::Sender::new(0),
        }
    }
}

impl<T: Cached> Cache<T> {
    /// The object, if it is known.
    pub fn get(&self, key: &Key) -> Option<Arc<T>> {
        self.state.read().objects.get(key).cloned()
    }

    /// Every object, in no particular order.
    pub fn all(&self) -> Vec<Arc<T>> {
        self.state.read().objects.values().cloned().collect()
    }

    /// Number of objects.
    pub fn len(&self) -> usize {
        self.state.read().objects.len()
    }

    /// Whether the cache is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Calls `listener(key, before, after)` at every change from now on. The listener runs in the watch, so it must be
    /// quick; it puts keys into queues.
    pub fn on_change(
        &self,
        listener: impl Fn(&Key, Option<&Arc<T>>, Option<&Arc<T>>) + Send + Sync + 'static,
    ) {
        self.listeners.lock().push(Box::new(listener));
    }

    /// Waits until a first complete list has arrived.
    pub async fn wait_synced(&self) {
        let mut synced = self.synced.subscribe();
        // The sender lives in `self`, so this cannot fail while `self` is borrowed.
        let _ = synced.wait_for(|done| *done).await;
    }

    /// Whether a first complete list has arrived.
    pub fn is_synced(&self) -> bool {
        *self.synced.borrow()
    }

    /// A receiver that wakes at every change.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Stores an object from the watch or from the answer of a write. An older version is ignored.
    pub fn apply(&self, object: T, own_write: bool) -> Arc<T> {
        let key = object.key();
        let object = Arc::new(object);
        let before = {
            let mut state = self.state.write();
            if own_write && state.listing {
                state.kept.insert(key.clone());
            }
            let known = state.objects.get(&key).map_or(0, |o| o.version());
            let buried = state.tombstones.get(&key).map_or(0, |(version, _)| *version);
            if object.version() != 0 && object.version() <= known.max(buried) {
                return object;
            }
            state.objects.insert(key.clone(), object.clone())
        };
        self.notify(&key, before.as_ref(), Some(&object));
        object
    }

    /// Notes a deletion. `version` is the resourceVersion of the deletion.
    pub fn remove(&self, key: &Key, version: u64) {
        let before = {
            let mut state = self.state.write();
            let known = state.objects.get(key).map_or(0, |o| o.version());
            if version != 0 && known > version {
                return;
            }
            let now = Instant::now();
            if state.tombstones.len() > 1024 && now - state.swept >= TOMBSTONE_SWEEP {
                state.swept = now;
                state.tombstones.retain(|_, (_, at)| now - *at < TOMBSTONE_AGE);
            }
            state.unreadable.remove(key);
            state.tombstones.insert(key.clone(), (version.max(known), now));
            state.objects.remove(key)
        };
        if before.is_some() {
            self.notify(key, before.as_ref(), None);
        }
    }

    /// Whether the cache has all changes of the object up to `version`.
    pub fn has_reached(&self, key: &Key, version: u64) -> bool {
        let state = self.state.read();
        let held = state.objects.get(key).map_or(0, |object| object.version());
        let gone = state.tombstones.get(key).map_or(0, |(gone, _)| *gone);
        let unreadable = state.unreadable.get(key).copied().unwrap_or(0);
        held.max(gone).max(unreadable) >= version
    }

    /// Notes that a list begins.
    pub fn begin_list(&self) {
        let mut state = self.state.write();
        state.listing = true;
        state.list_began = Instant::now();
        state.kept.clear();
    }

    /// Notes that the object exists at `version` in an unreadable form. The last readable form stays.
    pub fn mark_unreadable(&self, key: Key, version: u64) {
        let mut state = self.state.write();
        state.kept.insert(key.clone());
        state.unreadable.insert(key, version);
        drop(state);
        self.changes.send_modify(|n| *n += 1);
    }

    /// Stores a complete list. Objects that are not in the list are gone.
    pub fn end_list(&self, listed: Vec<T>) {
        let mut keep: HashSet<Key> = HashSet::with_capacity(listed.len());
        for object in listed {
            let key = object.key();
            if self.state.read().went_back(&object) {
                tracing::warn!(%key, "the API server has an older form of this object: it went back in time");
                let mut state = self.state.write();
                state.tombstones.remove(&key);
                let before = state.objects.remove(&key);
                drop(state);
                if before.is_some() {
                    self.notify(&key, before.as_ref(), None);
                }
            }
            keep.insert(key);
            self.apply(object, false);
        }
        let gone: Vec<(Key, u64)> = {
            let mut state = self.state.write();
            state.listing = false;
            let kept = std::mem::take(&mut state.kept);
            state
                .objects
                .iter()
                .filter(|(key, _)| !keep.contains(*key) && !kept.contains(*key))
                .map(|(key, object)| (key.clone(), object.version()))
                .collect()
        };
        for (key, version) in gone {
            self.remove(&key, version);
        }
        self.synced.send_replace(true);
        self.changes.send_modify(|n| *n += 1);
    }

    fn notify(&self, key: &Key, before: Option<&Arc<T>>, after: Option<&Arc<T>>) {
        for listener in self.listeners.lock().iter() {
            listener(key, before, after);
        }
        self.changes.send_modify(|n| *n += 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Thing(&'static str, u64);
    impl Cached for Thing {
        fn key(&self) -> Key {
            Key::cluster(self.0)
        }
        fn version(&self) -> u64 {
            self.1
        }
    }

    fn version(cache: &Cache<Thing>, name: &str) -> Option<u64> {
        cache.get(&Key::cluster(name)).map(|t| t.1)
    }

    #[test]
    fn an_older_watch_event_does_not_undo_our_own_write() {
        let cache = Cache::default();
        cache.apply(Thing("a", 5), true);
        cache.apply(Thing("a", 4), false);
        assert_eq!(version(&cache, "a"), Some(5));
    }

    #[test]
    fn the_late_answer_of_a_write_does_not_bring_a_deleted_object_back() {
        let cache = Cache::default();
        cache.apply(Thing("a", 5), false);
        cache.remove(&Key::cluster("a"), 7);
        cache.apply(Thing("a", 6), true);
        assert_eq!(version(&cache, "a"), None);
        cache.apply(Thing("a", 8), false);
        assert_eq!(version(&cache, "a"), Some(8));
    }

    #[test]
    fn a_list_removes_what_it_does_not_hold_but_not_what_was_written_meanwhile() {
        let cache = Cache::default();
        cache.apply(Thing("old", 1), false);
        cache.begin_list();
        cache.apply(Thing("new", 9), true);
        cache.end_list(vec![Thing("listed", 3)]);
        assert_eq!(version(&cache, "old"), None);
        assert_eq!(version(&cache, "new"), Some(9));
        assert_eq!(version(&cache, "listed"), Some(3));
        assert!(cache.is_synced());
    }

    #[test]
    fn an_api_server_that_went_back_in_time_is_believed() {
        let cache = Cache::default();
        cache.apply(Thing("changed", 50), false);
        cache.apply(Thing("deleted", 60), false);
        cache.remove(&Key::cluster("deleted"), 61);
        cache.apply(Thing("made", 70), false);
        // The storage is that of version 40 again.
        cache.begin_list();
        cache.end_list(vec![Thing("changed", 30), Thing("deleted", 35)]);
        assert_eq!(version(&cache, "changed"), Some(30));
        assert_eq!(version(&cache, "deleted"), Some(35));
        assert_eq!(version(&cache, "made"), None);
        // Changes after that count from there.
        cache.apply(Thing("changed", 41), false);
        assert_eq!(version(&cache, "changed"), Some(41));
    }

    #[test]
    fn a_list_that_is_older_than_what_this_process_did_meanwhile_is_not_a_way_back() {
        let cache = Cache::default();
        cache.apply(Thing("written", 5), false);
        cache.apply(Thing("deleted", 5), false);
        cache.begin_list();
        cache.apply(Thing("written", 9), true);
        cache.remove(&Key::cluster("deleted"), 10);
        cache.end_list(vec![Thing("written", 5), Thing("deleted", 5)]);
        assert_eq!(version(&cache, "written"), Some(9));
        assert_eq!(version(&cache, "deleted"), None);
    }

    #[test]
    fn listeners_see_before_and_after() {
        let cache = Cache::default();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = seen.clone();
        cache.on_change(move |_, before: Option<&Arc<Thing>>, after| {
            log.lock().push((before.map(|t| t.1), after.map(|t| t.1)));
        });
        cache.apply(Thing("a", 1), false);
        cache.apply(Thing("a", 2), false);
        cache.apply(Thing("a", 2), false);
        cache.remove(&Key::cluster("a"), 3);
        assert_eq!(
            *seen.lock(),
            vec![(None, Some(1)), (Some(1), Some(2)), (Some(2), None)]
        );
    }
}
