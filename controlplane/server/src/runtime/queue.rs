//! A queue of keys. A key is in the queue at most once, and never with two workers. A key can be added for a later
//! time.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Key;

#[derive(Default)]
struct State {
    ready: VecDeque<Key>,
    /// Keys in `ready`, and active keys that were added again.
    dirty: HashSet<Key>,
    active: HashSet<Key>,
    later: BinaryHeap<Reverse<(Instant, Key)>>,
    /// The earliest entry of `later` of each key. Other entries of the key are outdated.
    due: HashMap<Key, Instant>,
    failures: HashMap<Key, u32>,
}

/// The longest delay. A key that is to be looked at later than this is looked at once a day. Texts that users write can
/// ask for more time than a clock can count.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// The queue of one controller.
#[derive(Default)]
pub struct Queue {
    state: Mutex<State>,
    wake: Notify,
}

impl Queue {
    /// Adds a key. If a worker works on it now, it is worked on once more.
    pub fn add(&self, key: Key) {
        let mut state = self.state.lock();
        push(&mut state, key);
        drop(state);
        self.wake.notify_one();
    }

    /// Adds a key for a time not later than `delay` from now.
    pub fn add_after(&self, key: Key, delay: Duration) {
        let at = Instant::now() + delay.min(LONGEST);
        let mut state = self.state.lock();
        if state.due.get(&key).is_some_and(|known| *known <= at) {
            return;
        }
        state.due.insert(key.clone(), at);
        state.later.push(Reverse((at, key)));
        drop(state);
        self.wake.notify_one();
    }

    /// Adds a key after a failure. The delay grows with each failure in a row, from `first` up to `max`. Returns the
    /// delay.
    pub fn add_after_failure(&self, key: Key, first: Duration, max: Duration) -> Duration {
        let failures = {
            let mut state = self.state.lock();
            let count = state.failures.entry(key.clone()).or_insert(0);
            *count = count.saturating_add(1);
            *count
        };
        let delay = growing(&key, failures, first, max);
        self.add_after(key, delay);
        delay
    }

    /// Notes that the last work on `key` succeeded.
    pub fn succeeded(&self, key: &Key) {
        self.state.lock().failures.remove(key);
    }

    /// Takes the next key, which is active until [`Queue::done`]. Cancel safe: there is no await between taking and
    /// returning a key.
    pub async fn next(&self) -> Key {
        loop {
            let wait = {
                let mut state = self.state.lock();
                let wait = promote(&mut state, Instant::now());
                if let Some(key) = state.ready.pop_front() {
                    state.dirty.remove(&key);
                    state.active.insert(key.clone());
                    let more = !state.ready.is_empty();
                    drop(state);
                    if more {
                        self.wake.notify_one();
                    }
                    return key;
                }
                wait
            };
            match wait {
                Some(wait) => {
                    let _ = tokio::time::timeout(wait, self.wake.notified()).await;
                }
                None => self.wake.notified().await,
            }
        }
    }

    /// Notes that the worker has finished with `key`.
    pub fn done(&self, key: &Key) {
        let mut state = self.state.lock();
        state.active.remove(key);
        if state.dirty.contains(key) {
            state.ready.push_back(key.clone());
            drop(state);
            self.wake.notify_one();
        }
    }

    /// Number of keys that wait for a worker or for their time.
    pub fn depth(&self) -> usize {
        let state = self.state.lock();
        state.ready.len() + state.due.len()
    }
}

fn push(state: &mut State, key: Key) {
    if state.dirty.insert(key.clone()) && !state.active.contains(&key) {
        state.ready.push_back(key);
    }
}

/// Moves due keys to `ready`. Returns the time until the next key is due.
fn promote(state: &mut State, now: Instant) -> Option<Duration> {
    while let Some(Reverse((at, _))) = state.later.peek() {
        if *at > now {
            return Some(*at - now);
        }
        if let Some(Reverse((at, key))) = state.later.pop()
            && state.due.get(&key) == Some(&at)
        {
            state.due.remove(&key);
            push(state, key);
        }
    }
    None
}

/// The delay after so many failures in a row: `first`, doubled with each failure, up to `max`. The random share keeps
/// those that failed together from coming back together.
pub fn growing(of: &impl Hash, failures: u32, first: Duration, max: Duration) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let delay = first.saturating_mul(1 << doublings).min(max);
    delay.mul_f64(0.8 + 0.4 * spread(of, failures))
}

/// A number in 0..1 that differs between keys and attempts.
fn spread(of: &impl Hash, attempt: u32) -> f64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    attempt.hash(&mut hasher);
    (hasher.finish() % 1000) as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        Key::cluster(name)
    }

    #[tokio::test]
    async fn a_key_is_handed_out_once_however_often_it_is_added() {
        let queue = Queue::default();
        queue.add(key("a"));
        queue.add(key("a"));
        assert_eq!(queue.next().await, key("a"));
        assert_eq!(queue.depth(), 0);
    }

    #[tokio::test]
    async fn a_key_added_while_active_comes_back_after_done_and_not_before() {
        let queue = Queue::default();
        queue.add(key("a"));
        let taken = queue.next().await;
        queue.add(key("a"));
        queue.add(key("b"));
        assert_eq!(queue.next().await, key("b"));
        queue.done(&taken);
        assert_eq!(queue.next().await, key("a"));
    }

    #[tokio::test]
    async fn the_earlier_of_two_times_counts() {
        let queue = Queue::default();
        queue.add_after(key("a"), Duration::from_secs(3600));
        queue.add_after(key("a"), Duration::from_millis(1));
        assert_eq!(queue.next().await, key("a"));
    }

    #[tokio::test]
    async fn a_delay_that_no_clock_can_count_waits_and_keeps_nobody_up() {
        let queue = Queue::default();
        queue.add_after(key("a"), Duration::MAX);
        queue.add_after(key("b"), Duration::from_secs(u64::MAX / 2));
        assert_eq!(queue.depth(), 2);
        queue.add(key("c"));
        assert_eq!(queue.next().await, key("c"));
        let state = queue.state.lock();
        let latest = Instant::now() + LONGEST;
        assert!(state.due.values().all(|at| *at <= latest));
    }

    #[test]
    fn the_delay_grows_with_failures_and_has_a_limit() {
        let queue = Queue::default();
        let (first, max) = (Duration::from_millis(100), Duration::from_secs(2));
        let one = queue.add_after_failure(key("a"), first, max);
        let mut last = one;
        for _ in 0..40 {
            last = queue.add_after_failure(key("a"), first, max);
        }
        assert!(one <= Duration::from_millis(120));
        assert!(last >= Duration::from_millis(1600) && last <= Duration::from_millis(2400));
        queue.succeeded(&key("a"));
        assert!(queue.add_after_failure(key("a"), first, max) <= Duration::from_millis(120));
    }
}
