//! Rate permits: who may call the cloud next.
//!
//! Each action has its own bucket. Waiters are served by priority; within a priority, nodes are served in turn. A gate
//! lets only one call at a time through while calls cannot work. One driver task per limiter gives tokens to waiters. A
//! caller holds a `Permit`. A permit that is dropped without a call goes back to its bucket.

mod bucket;
mod permit;
mod quotas;

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

use self::bucket::Bucket;
pub use self::permit::Permit;
use self::permit::{Grant, QueuedCaller, Turn};
pub use self::quotas::{Priority, Quotas};
use crate::action::Action;
use crate::error::CloudError;
use crate::gate::{Admission, Gate, Trouble};
use crate::metrics::CloudMetrics;

/// A wait of this length is logged.
const LONG_WAIT: Duration = Duration::from_secs(5);

#[derive(Debug)]
struct Shared {
    buckets: [Mutex<Bucket<Waiter>>; Action::ALL.len()],
    gate: Mutex<Gate>,
    changed: Notify,
    /// The causes that keep calls from working.
    troubles: watch::Sender<Vec<Trouble>>,
    metrics: CloudMetrics,
}

/// What a caller does while the gate is shut for its call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WhileShut {
    /// The caller waits until the gate opens. Its intent is recorded, and nobody waits for an answer.
    Wait,
    /// The caller gets an error at once, because somebody waits for an answer.
    Leave,
}

/// The gate is shut: calls of this kind cannot work at present.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shut {
    pub(crate) reason: String,
}

/// A caller in the queue of a bucket.
#[derive(Debug)]
struct Waiter {
    sender: oneshot::Sender<Result<Grant, Shut>>,
    while_shut: WhileShut,
}

/// All buckets, and the task that serves their waiters. The task ends with the last handle.
#[derive(Debug, Clone)]
pub(crate) struct Limiter {
    shared: Arc<Shared>,
    _driver: Arc<DropGuard>,
}

impl Limiter {
    /// Starts the driver task. Call it on a tokio runtime.
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

    /// Waits until the gate is open and there is a token of this action. Owners (nodes) are served in turn.
    pub(crate) async fn permit(&self, action: Action, priority: Priority, owner: &str) -> Permit {
        loop {
            // `WhileShut::Wait` never returns an error.
            if let Ok(permit) = self.take(action, priority, owner, WhileShut::Wait).await {
                return permit;
            }
        }
    }

    /// Waits for a token of this action.
    ///
    /// # Errors
    /// With `WhileShut::Leave`, when the gate is shut or shuts while the caller waits.
    pub(crate) async fn take(
        &self,
        action: Action,
        priority: Priority,
        owner: &str,
        while_shut: WhileShut,
    ) -> Result<Permit, Shut> {
        let started = clock();
        let turn = self
            .shared
            .take_or_queue(action, priority, owner, while_shut, started)?;
        let grant = match turn {
            Turn::Now(grant) => grant,
            Turn::Queued(caller) => {
                self.shared.changed.notify_one();
                caller.granted().await?
            }
        };
        let waited = clock().saturating_duration_since(started);
        self.shared.metrics.waited(action, waited);
        if waited >= LONG_WAIT {
            tracing::debug!(%action, seconds = waited.as_secs(), "a call waited long for its rate permit");
        }
        Ok(Permit {
            action,
            trial: grant.trial,
            waited,
            shared: Some(self.shared.clone()),
        })
    }

    /// Why a call with this permit must not be sent now, if the gate is shut. A trial call is never held back.
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

    /// Notes the outcome of a call.
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

    /// The causes that keep calls from working.
    pub(crate) fn troubles(&self) -> watch::Receiver<Vec<Trouble>> {
        self.shared.troubles.subscribe()
    }

    /// Slows an action down after the cloud refused a call as too many.
    pub(crate) fn throttled(&self, action: Action) {
        self.shared.bucket(action).lock().throttled(clock());
    }
}

impl Shared {
    fn bucket(&self, action: Action) -> &Mutex<Bucket<Waiter>> {
        &self.buckets[action.index()]
    }

    /// Takes a token at once, or queues the caller. Every function locks the gate before a bucket.
    fn take_or_queue(
        self: &Arc<Self>,
        action: Action,
        priority: Priority,
        owner: &str,
        while_shut: WhileShut,
        now: Instant,
    ) -> Result<Turn, Shut> {
        let mut gate = self.gate.lock();
        let mut bucket = self.bucket(action).lock();
        match gate.admits(action, now) {
            Admission::Open if bucket.try_take(now) => return Ok(Turn::Now(Grant { trial: false })),
            Admission::OneTry if bucket.try_take(now) => {
                gate.trying(action, now);
                return Ok(Turn::Now(Grant { trial: true }));
            }
            Admission::ShutUntil(_) if while_shut == WhileShut::Leave => {
                let reason = gate.reason(action);
                return Err(Shut { reason });
            }
            Admission::Open | Admission::OneTry | Admission::ShutUntil(_) => {}
        }
        let (sender, receiver) = oneshot::channel();
        bucket.wait(priority, owner, now, Waiter { sender, while_shut });
        Ok(Turn::Queued(QueuedCaller::new(receiver, self.clone(), action)))
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

    /// Serves the waiters of one action. Returns when it has to be called again, if there are waiters.
    fn serve(&self, action: Action, now: Instant) -> Option<Instant> {
        let mut gate = self.gate.lock();
        let mut bucket = self.bucket(action).lock();
        let trial = match gate.admits(action, now) {
            Admission::Open => false,
            Admission::OneTry => true,
            Admission::ShutUntil(at) => {
                let reason = gate.reason(action);
                for waiter in bucket.dismiss(|waiter| waiter.while_shut == WhileShut::Leave) {
                    // An error means that the caller is gone.
                    let _ = waiter.sender.send(Err(Shut {
                        reason: reason.clone(),
                    }));
                }
                return bucket.next_grant().map(|grant| grant.max(at));
            }
        };
        let most = if trial { 1 } else { usize::MAX };
        let granted = bucket.grant(now, most, |waiter| {
            waiter.sender.send(Ok(Grant { trial })).is_ok()
        });
        if trial && granted > 0 {
            gate.trying(action, now);
            drop((bucket, gate));
            return self.serve(action, now);
        }
        bucket.next_grant()
    }
}

async fn drive(shared: Arc<Shared>, token: CancellationToken) {
    loop {
        let now = clock();
        let served = Action::ALL
            .into_iter()
            .filter_map(|action| shared.serve(action, now));
        // Without waiters the task waits for a change only.
        let until = served.min().unwrap_or(now + Duration::from_secs(3600));
        // Cancel safe: the three branches hold no state.
        tokio::select! {
            () = token.cancelled() => return,
            () = shared.changed.notified() => {}
            () = tokio::time::sleep_until(until.into()) => {}
        }
    }
}

/// The runtime's clock. Tests can stop it.
fn clock() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests;
