//! Rate permits: who may call the cloud next.
//!
//! Each action has a bucket of its own. A driver task per limiter hands tokens to waiters; callers hold a
//! `Permit`, which goes back to its bucket when it is dropped without a call.

mod bucket;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};

use self::bucket::Bucket;
use crate::action::Action;
use crate::metrics::CloudMetrics;

/// A wait this long is worth a line in the log.
const LONG_WAIT: Duration = Duration::from_secs(5);

/// Who is served first when an action's quota is short. Giving back and finishing what was begun come
/// before beginning more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    Release,
    Attach,
    Create,
    Fill,
    Read,
}

impl Priority {
    pub(crate) const ALL: [Priority; 5] = [
        Priority::Release,
        Priority::Attach,
        Priority::Create,
        Priority::Fill,
        Priority::Read,
    ];

    fn index(self) -> usize {
        self as usize
    }
}

/// Calls a minute for every action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quotas([u32; Action::ALL.len()]);

impl Default for Quotas {
    fn default() -> Self {
        Quotas(Action::ALL.map(Action::default_per_minute))
    }
}

impl Quotas {
    /// The defaults with the entries of a `rateLimit` map laid over them. Names of actions that this
    /// product does not call are passed over: the map is upstream's and may list more.
    pub fn with_overrides(overrides: &BTreeMap<String, u32>) -> Self {
        let mut quotas = Quotas::default();
        for (name, per_minute) in overrides {
            if let Some(action) = Action::from_name(name) {
                quotas.0[action.index()] = *per_minute;
            }
        }
        quotas
    }

    /// Calls a minute for this action.
    pub fn per_minute(&self, action: Action) -> u32 {
        self.0[action.index()]
    }
}

#[derive(Debug)]
struct Shared {
    buckets: [Mutex<Bucket<oneshot::Sender<()>>>; Action::ALL.len()],
    changed: Notify,
    metrics: CloudMetrics,
}

/// All buckets and the task that serves their waiters; the task ends with the last handle.
#[derive(Debug, Clone)]
pub(crate) struct Limiter {
    shared: Arc<Shared>,
    _driver: Arc<DropGuard>,
}

impl Limiter {
    /// Starts the driver task; needs a runtime.
    pub(crate) fn start(quotas: &Quotas, metrics: CloudMetrics) -> Self {
        let now = clock();
        let shared = Arc::new(Shared {
            buckets: Action::ALL.map(|action| Mutex::new(Bucket::new(quotas.per_minute(action), now))),
            changed: Notify::new(),
            metrics,
        });
        let token = CancellationToken::new();
        tokio::spawn(drive(shared.clone(), token.clone()));
        Limiter {
            shared,
            _driver: Arc::new(token.drop_guard()),
        }
    }

    /// Waits for a token of this action.
    pub(crate) async fn permit(&self, action: Action, priority: Priority) -> Permit {
        let started = clock();
        let waiter = {
            let mut bucket = self.shared.bucket(action).lock();
            if bucket.try_take(started) {
                None
            } else {
                let (sender, receiver) = oneshot::channel();
                bucket.wait(priority, started, sender);
                Some(Waiter {
                    receiver,
                    shared: self.shared.clone(),
                    action,
                })
            }
        };
        if let Some(mut waiter) = waiter {
            self.shared.changed.notify_one();
            // The sender lives in the bucket until it is used, so this ends only with a grant.
            let _ = (&mut waiter.receiver).await;
        }
        let waited = clock().saturating_duration_since(started);
        self.shared.metrics.waited(action, waited);
        if waited >= LONG_WAIT {
            tracing::info!(%action, seconds = waited.as_secs(), "a call waited long for its rate permit");
        }
        Permit {
            action,
            shared: Some(self.shared.clone()),
        }
    }

    /// Slows an action down after the cloud refused it as too many.
    pub(crate) fn throttled(&self, action: Action) {
        self.shared.bucket(action).lock().throttled(clock());
    }
}

impl Shared {
    fn bucket(&self, action: Action) -> &Mutex<Bucket<oneshot::Sender<()>>> {
        &self.buckets[action.index()]
    }

    fn give_back(&self, action: Action) {
        self.bucket(action).lock().give_back();
        self.changed.notify_one();
    }
}

/// A place in the queue. When the caller goes away between the grant and its wake-up, the token returns.
struct Waiter {
    receiver: oneshot::Receiver<()>,
    shared: Arc<Shared>,
    action: Action,
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.receiver.close();
        if self.receiver.try_recv().is_ok() {
            self.shared.give_back(self.action);
        }
    }
}

/// The right to send one call of one action. Spent by the call; returned to the bucket when dropped.
#[derive(Debug)]
#[must_use = "a permit is for one call; dropping it gives it back"]
pub struct Permit {
    action: Action,
    shared: Option<Arc<Shared>>,
}

impl Permit {
    /// The action it was taken for.
    pub fn action(&self) -> Action {
        self.action
    }

    /// Uses the token up.
    pub(crate) fn spend(mut self) {
        self.shared = None;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.take() {
            shared.give_back(self.action);
        }
    }
}

async fn drive(shared: Arc<Shared>, token: CancellationToken) {
    loop {
        let now = clock();
        let mut next: Option<Instant> = None;
        for bucket in &shared.buckets {
            let mut bucket = bucket.lock();
            bucket.grant(now, |waiter| waiter.send(()).is_ok());
            next = [next, bucket.next_grant()].into_iter().flatten().min();
        }
        // Without a waiter there is nothing to wait for but news.
        let until = next.unwrap_or(now + Duration::from_secs(3600));
        // All three may be dropped at any time: they hold no state of their own.
        tokio::select! {
            () = token.cancelled() => return,
            () = shared.changed.notified() => {}
            () = tokio::time::sleep_until(until.into()) => {}
        }
    }
}

/// The runtime's clock, which tests can stop.
fn clock() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests;
