//! Rate permits: who may call the cloud next.
//!
//! Each action has a bucket of its own, whose waiters are served by priority and, within one, in turn of
//! their nodes; and a gate, which lets only one call at a time through while calls cannot work. A driver
//! task per limiter hands tokens to waiters; callers hold a `Permit`, which goes back to its bucket when it
//! is dropped without a call.

mod bucket;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

use self::bucket::Bucket;
use crate::action::Action;
use crate::error::CloudError;
use crate::gate::{Admission, Gate, Trouble};
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
    buckets: [Mutex<Bucket<Waiter>>; Action::ALL.len()],
    gate: Mutex<Gate>,
    changed: Notify,
    /// What keeps calls from working, for whoever wants to tell of it.
    troubles: watch::Sender<Vec<Trouble>>,
    metrics: CloudMetrics,
}

/// What a caller does while calls like his cannot work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WhileShut {
    /// Wait: what it is about is written down, and nobody needs an answer.
    Wait,
    /// Go away: somebody wants to know.
    Leave,
}

/// Calls of this kind cannot work at the moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shut {
    pub(crate) reason: String,
}

/// Somebody in a queue.
#[derive(Debug)]
struct Waiter {
    sender: oneshot::Sender<Result<Granted, Shut>>,
    while_shut: WhileShut,
}

/// What is handed to a waiter.
#[derive(Debug, Clone, Copy)]
struct Granted {
    /// The one call that finds out whether the way is open again.
    trial: bool,
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
            gate: Mutex::default(),
            changed: Notify::new(),
            troubles: watch::Sender::default(),
            metrics,
        });
        let token = CancellationToken::new();
        tokio::spawn(drive(shared.clone(), token.clone()));
        Limiter {
            shared,
            _driver: Arc::new(token.drop_guard()),
        }
    }

    /// Waits for a token of this action, in turn with the other owners (nodes) that want one, and until
    /// calls like it can work.
    pub(crate) async fn permit(&self, action: Action, priority: Priority, owner: &str) -> Permit {
        loop {
            // Whoever waits while shut is never sent away.
            if let Ok(permit) = self.take(action, priority, owner, WhileShut::Wait).await {
                return permit;
            }
        }
    }

    /// Waits for a token of this action.
    pub(crate) async fn take(
        &self,
        action: Action,
        priority: Priority,
        owner: &str,
        while_shut: WhileShut,
    ) -> Result<Permit, Shut> {
        let started = clock();
        let granted = match self
            .shared
            .take_or_queue(action, priority, owner, while_shut, started)?
        {
            Ok(granted) => granted,
            Err(receiver) => {
                self.shared.changed.notify_one();
                let mut place = Place {
                    receiver,
                    shared: self.shared.clone(),
                    action,
                };
                // The sender lives in the bucket until it is used, so this ends only with an answer.
                (&mut place.receiver)
                    .await
                    .unwrap_or(Ok(Granted { trial: false }))?
            }
        };
        let waited = clock().saturating_duration_since(started);
        self.shared.metrics.waited(action, waited);
        if waited >= LONG_WAIT {
            tracing::debug!(%action, seconds = waited.as_secs(), "a call waited long for its rate permit");
        }
        Ok(Permit {
            action,
            trial: granted.trial,
            waited,
            shared: Some(self.shared.clone()),
        })
    }

    /// Why a call of this action must not be sent now. One that finds out whether it may is never held.
    pub(crate) fn shut(&self, permit: &Permit) -> Option<Shut> {
        let gate = self.shared.gate.lock();
        match gate.admits(permit.action, clock()) {
            Admission::Open => None,
            Admission::OneTry | Admission::ShutUntil(_) if permit.trial => None,
            Admission::OneTry | Admission::ShutUntil(_) => Some(Shut {
                reason: gate.reason(permit.action),
            }),
        }
    }

    /// Takes in the outcome of a call.
    pub(crate) fn note(&self, action: Action, error: Option<&CloudError>) {
        let mut gate = self.shared.gate.lock();
        let changed = gate.note(action, error, clock());
        if changed {
            self.shared.troubles.send_replace(gate.troubles());
        }
        drop(gate);
        if changed || error.is_some() {
            self.shared.changed.notify_one();
        }
    }

    /// What keeps calls from working.
    pub(crate) fn troubles(&self) -> watch::Receiver<Vec<Trouble>> {
        self.shared.troubles.subscribe()
    }

    /// Slows an action down after the cloud refused it as too many.
    pub(crate) fn throttled(&self, action: Action) {
        self.shared.bucket(action).lock().throttled(clock());
    }
}

impl Shared {
    fn bucket(&self, action: Action) -> &Mutex<Bucket<Waiter>> {
        &self.buckets[action.index()]
    }

    /// A token at once, or a place in the queue. The gate is locked before any bucket, here and everywhere.
    fn take_or_queue(
        &self,
        action: Action,
        priority: Priority,
        owner: &str,
        while_shut: WhileShut,
        now: Instant,
    ) -> Result<Result<Granted, oneshot::Receiver<Result<Granted, Shut>>>, Shut> {
        let mut gate = self.gate.lock();
        let mut bucket = self.bucket(action).lock();
        match gate.admits(action, now) {
            Admission::Open if bucket.try_take(now) => return Ok(Ok(Granted { trial: false })),
            Admission::OneTry if bucket.try_take(now) => {
                gate.trying(action, now);
                return Ok(Ok(Granted { trial: true }));
            }
            Admission::ShutUntil(_) if while_shut == WhileShut::Leave => {
                let reason = gate.reason(action);
                return Err(Shut { reason });
            }
            Admission::Open | Admission::OneTry | Admission::ShutUntil(_) => {}
        }
        let (sender, receiver) = oneshot::channel();
        bucket.wait(priority, owner, now, Waiter { sender, while_shut });
        Ok(Err(receiver))
    }

    fn give_back(&self, action: Action, trial: bool) {
        let mut gate = self.gate.lock();
        if trial {
            gate.not_tried(action, clock());
        }
        self.bucket(action).lock().give_back();
        drop(gate);
        self.changed.notify_one();
    }

    /// Serves the waiters of one action; tells when that is worth doing again.
    fn serve(&self, action: Action, now: Instant) -> Option<Instant> {
        let mut gate = self.gate.lock();
        let mut bucket = self.bucket(action).lock();
        let trial = match gate.admits(action, now) {
            Admission::Open => false,
            Admission::OneTry => true,
            Admission::ShutUntil(at) => {
                let reason = gate.reason(action);
                for waiter in bucket.dismiss(|waiter| waiter.while_shut == WhileShut::Leave) {
                    // Whoever is gone does not want to know.
                    let _ = waiter.sender.send(Err(Shut {
                        reason: reason.clone(),
                    }));
                }
                return bucket.next_grant().map(|grant| grant.max(at));
            }
        };
        let most = if trial { 1 } else { usize::MAX };
        let granted = bucket.grant(now, most, |waiter| {
            waiter.sender.send(Ok(Granted { trial })).is_ok()
        });
        if trial && granted > 0 {
            gate.trying(action, now);
            drop((bucket, gate));
            return self.serve(action, now);
        }
        bucket.next_grant()
    }
}

/// A place in the queue. When the caller goes away between the grant and its wake-up, the token returns.
struct Place {
    receiver: oneshot::Receiver<Result<Granted, Shut>>,
    shared: Arc<Shared>,
    action: Action,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.receiver.close();
        if let Ok(Ok(granted)) = self.receiver.try_recv() {
            self.shared.give_back(self.action, granted.trial);
        }
    }
}

/// The right to send one call of one action. Spent by the call; returned to the bucket when dropped.
#[derive(Debug)]
#[must_use = "a permit is for one call; dropping it gives it back"]
pub struct Permit {
    action: Action,
    trial: bool,
    waited: Duration,
    shared: Option<Arc<Shared>>,
}

impl Permit {
    /// The action it was taken for.
    pub fn action(&self) -> Action {
        self.action
    }

    /// How long it took to get.
    pub(crate) fn waited(&self) -> Duration {
        self.waited
    }

    /// Uses the token up.
    pub(crate) fn spend(mut self) {
        self.shared = None;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.take() {
            shared.give_back(self.action, self.trial);
        }
    }
}

async fn drive(shared: Arc<Shared>, token: CancellationToken) {
    loop {
        let now = clock();
        let served = Action::ALL
            .into_iter()
            .filter_map(|action| shared.serve(action, now));
        // Without a waiter there is nothing to wait for but news.
        let until = served.min().unwrap_or(now + Duration::from_secs(3600));
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
