//! Workers. A worker takes a key, reconciles it, and adds it again for the next look.

use std::error::Error;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, debug, info_span, warn};

use super::{Key, Queue};
use crate::error::{ReconcileError, Retry};
use crate::metrics::WorkerMetrics;

/// When to look at a key again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// When an object changes on which the key depends.
    OnChange,
    /// After this time, or when something changes.
    After(Duration),
}

/// One controller's work on one key.
pub trait Reconciler: Send + Sync + 'static {
    /// Name for logs and metrics.
    const NAME: &'static str;

    /// Brings the object named by `key` one step further. It may be called at any time and any
    /// number of times; two calls for the same key never overlap.
    fn reconcile(
        &self,
        key: &Key,
        slot: &mut Slot,
    ) -> impl Future<Output = Result<Next, ReconcileError>> + Send;
}

/// A worker's place. The work gives it back during a long wait, so that stuck work does not stop other work.
pub struct Slot {
    places: Arc<Semaphore>,
    held: Option<OwnedSemaphorePermit>,
    /// Whether the work only waits now. Then it can be dropped without leaving half a step.
    waiting: watch::Sender<bool>,
}

impl Slot {
    /// A place that nobody shares.
    #[cfg(test)]
    pub(crate) fn alone() -> Self {
        Self {
            places: Arc::new(Semaphore::new(1)),
            held: None,
            waiting: watch::Sender::new(false),
        }
    }

    /// Waits for `future` without occupying a place. It must change nothing: it is dropped when the
    /// process stops.
    pub async fn released_while<T>(&mut self, future: impl Future<Output = T>) -> T {
        self.held = None;
        self.waiting.send_replace(true);
        let value = future.await;
        // The semaphore is never closed; without a place the work would merely be unbounded.
        self.held = self.places.clone().acquire_owned().await.ok();
        self.waiting.send_replace(false);
        value
    }
}

/// Runs `reconciler` on the keys of `queue` with `places` workers until `stop`. Work that has
/// begun is finished: half a step is what the design of the steps allows for, not what it aims at.
pub async fn run<R: Reconciler>(
    reconciler: Arc<R>,
    queue: Arc<Queue>,
    places: usize,
    metrics: WorkerMetrics,
    stop: CancellationToken,
) {
    let semaphore = Arc::new(Semaphore::new(places.max(1)));
    let tasks = TaskTracker::new();
    loop {
        // The key first: a place held while there is nothing to do would be missing to work that gave
        // its own back for a while. Cancel-safe: what is taken and lost is lost at the stop only.
        let (held, key) = tokio::select! {
            () = stop.cancelled() => break,
            taken = async {
                let key = queue.next().await;
                (semaphore.clone().acquire_owned().await.ok(), key)
            } => taken,
        };
        let (waiting, waits) = watch::channel(false);
        let slot = Slot {
            places: semaphore.clone(),
            held,
            waiting,
        };
        let span = info_span!("reconcile", controller = R::NAME, %key);
        let work = work(reconciler.clone(), queue.clone(), key, slot, metrics.clone());
        let drained = drained(stop.clone(), waits);
        tasks.spawn(
            async move {
                // Not cancel-safe, on purpose: see `drained` for what is dropped, and when.
                tokio::select! {
                    () = drained => {}
                    () = work => {}
                }
            }
            .instrument(span),
        );
    }
    tasks.close();
    tasks.wait().await;
}

/// Ends when work may be dropped: after the stop, as soon as it merely waits, or when it has had
/// the time that a cloud call and the write of its answer can take.
async fn drained(stop: CancellationToken, mut waits: watch::Receiver<bool>) {
    stop.cancelled().await;
    // The sender goes when the work is done, and then nobody listens to the result.
    let _ = tokio::time::timeout(DRAIN, waits.wait_for(|waiting| *waiting)).await;
}

/// How long work in flight may take after the stop was asked for: a cloud call has a timeout of
/// 10 s, and what it did must still be written down, or at least its intent replayed later.
pub const DRAIN: Duration = Duration::from_secs(12);

async fn work<R: Reconciler>(
    reconciler: Arc<R>,
    queue: Arc<Queue>,
    key: Key,
    mut slot: Slot,
    metrics: WorkerMetrics,
) {
    let timer = metrics.start();
    let result = reconciler.reconcile(&key, &mut slot).await;
    drop(slot);
    timer.finish(result.is_ok());
    match result {
        Ok(Next::OnChange) => queue.succeeded(&key),
        Ok(Next::After(delay)) => {
            queue.succeeded(&key);
            queue.add_after(key.clone(), delay);
        }
        Err(error) => requeue(&queue, &key, &error),
    }
    queue.done(&key);
}

fn requeue(queue: &Queue, key: &Key, error: &ReconcileError) {
    let (first, max) = match error.retry() {
        // The cache is about to change, or has: look again soon.
        Retry::Conflict => (Duration::from_millis(20), Duration::from_secs(1)),
        Retry::Transient => (Duration::from_millis(500), Duration::from_secs(30)),
        Retry::Waiting => (Duration::from_secs(1), Duration::from_secs(10)),
        Retry::Slow => (Duration::from_secs(5), Duration::from_secs(300)),
        Retry::Cloud(retry) => (retry.pace().first, retry.pace().most),
    };
    let delay = queue.add_after_failure(key.clone(), first, max);
    let cause: &(dyn Error + 'static) = error;
    match error.retry() {
        Retry::Conflict => debug!(
            error = cause,
            ?delay,
            "planned on an outdated state, planning again"
        ),
        Retry::Cloud(terway_cloud::Retry::Fenced) => {
            debug!(error = cause, ?delay, "waits for the lease to be renewed");
        }
        // An event tells the pod, once.
        Retry::Waiting => debug!(error = cause, ?delay, "waits for a vSwitch"),
        Retry::Transient | Retry::Slow | Retry::Cloud(_) => {
            warn!(error = cause, ?delay, "did not get further, trying again")
        }
    }
}
