//! The poller. Many callers wait for many ENIs; few calls serve them all.
//!
//! `Schedule` decides when to ask for which ENI. The task of this module keeps the clock, sends calls and passes on
//! news.

mod credit;
mod expect;
mod parts;
mod queue;
mod schedule;
mod typical;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use futures::Stream;
use parking_lot::Mutex;
use terway_core::cloud::{CloudEni, EniObservation};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_util::sync::{CancellationToken, DropGuard};

pub use self::expect::Expect;
use self::parts::Answers;
use self::schedule::Schedule;
use crate::error::CloudError;
use crate::limits::Priority;
use crate::requests::EniFilter;
use crate::transport::Transport;

#[derive(Default)]
struct Shared {
    schedule: Mutex<Schedule>,
    listeners: Mutex<Vec<mpsc::UnboundedSender<String>>>,
    changed: Notify,
}

/// A handle of the poller. The poller's task ends with the last handle.
#[derive(Clone)]
pub struct EniWatch {
    shared: Arc<Shared>,
    _task: Arc<DropGuard>,
}

impl EniWatch {
    pub(crate) fn start(transport: Arc<Transport>) -> Self {
        let shared = Arc::new(Shared::default());
        let token = CancellationToken::new();
        tokio::spawn(poll(shared.clone(), transport, token.clone()));
        EniWatch {
            shared,
            _task: Arc::new(token.drop_guard()),
        }
    }

    /// Waits for a change of this ENI. Call it right after the cloud accepted the call that begins the change; the time
    /// until the first look counts from here. A repetition changes nothing, also when the change is done; call `forget`
    /// first to wait again. Another `what` replaces the earlier one. Polling stops when the change is done.
    pub fn expect(&self, eni_id: &str, what: Expect) {
        self.shared.schedule.lock().expect(eni_id, what, clock());
        self.shared.changed.notify_one();
    }

    /// As `expect`, for an ENI whose progress is unknown, for example after a restart. The ENI is asked for at once. A
    /// later `expect` with the same `what` means that the change begins only then.
    pub fn look(&self, eni_id: &str, what: Expect) {
        self.shared.schedule.lock().look(eni_id, what, clock());
        self.shared.changed.notify_one();
    }

    /// Ends the wait for this ENI and drops its last observation.
    pub fn forget(&self, eni_id: &str) {
        self.shared.schedule.lock().forget(eni_id);
        self.shared.changed.notify_one();
    }

    /// The last observation of this ENI since the wait began, and its time.
    pub fn latest(&self, eni_id: &str) -> Option<(EniObservation, Instant)> {
        self.shared.schedule.lock().latest(eni_id)
    }

    /// Number of ENIs that somebody waits for.
    pub fn waiting(&self) -> usize {
        self.shared.schedule.lock().waiting()
    }

    /// The ids of ENIs whose observation changes from now on. Each listener gets each id. An expected intermediate
    /// status (for example Attaching) is no change.
    pub fn changed(&self) -> impl Stream<Item = String> + Send + use<> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.shared.listeners.lock().push(sender);
        UnboundedReceiverStream::new(receiver)
    }
}

impl Shared {
    fn tell(&self, ids: &[String]) {
        // A listener that is gone cannot receive, and is dropped.
        self.listeners
            .lock()
            .retain(|listener| ids.iter().all(|id| listener.send(id.clone()).is_ok()));
    }
}

struct PollResult {
    ids: Vec<String>,
    sent: Instant,
    result: Result<Answers, CloudError>,
}

async fn poll(shared: Arc<Shared>, transport: Arc<Transport>, token: CancellationToken) {
    let mut calls: JoinSet<PollResult> = JoinSet::new();
    loop {
        let next = shared.schedule.lock().next_poll(clock());
        // Cancel safe: a finished call stays in the set, and `Notify` stores a wake-up.
        tokio::select! {
            () = token.cancelled() => return,
            () = shared.changed.notified() => {}
            Some(joined) = calls.join_next() => match joined {
                Ok(answer) => deliver(&shared, answer),
                // The ENIs of a call that panicked would never be asked for again. The panic goes on, because a poller
                // that silently loses ENIs would be worse than no poller.
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            },
            () = sleep_until(next) => {
                let ids = shared.schedule.lock().take_batch(clock());
                if !ids.is_empty() {
                    calls.spawn(ask(transport.clone(), ids));
                }
            }
        }
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

async fn ask(transport: Arc<Transport>, ids: Vec<String>) -> PollResult {
    let sent = clock();
    let describe = |ids: Vec<String>| {
        let transport = transport.clone();
        async move {
            let filter = EniFilter::ids(ids);
            transport.describe_enis(&filter, Priority::Attach).await
        }
    };
    let result = parts::ask(ids.clone(), describe).await;
    PollResult { ids, sent, result }
}

fn deliver(shared: &Shared, answer: PollResult) {
    let PollResult { ids, sent, result } = answer;
    match result {
        Ok(answers) => {
            let enis = answers.enis.into_iter();
            let mut found: HashMap<String, CloudEni> = enis.map(|eni| (eni.id.clone(), eni)).collect();
            // The answer is complete, so an ENI that is not in it does not exist.
            let seen = answers
                .answered
                .into_iter()
                .map(|id| match found.remove(&id) {
                    Some(eni) => (id, EniObservation::Present(Box::new(eni))),
                    None => (id, EniObservation::Absent),
                })
                .collect();
            let mut schedule = shared.schedule.lock();
            schedule.refused(&answers.refused, clock());
            let news = schedule.answered(seen, sent, clock());
            drop(schedule);
            shared.tell(&news);
        }
        Err(error) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "ENIs not polled, trying again"
            );
            shared.schedule.lock().failed(ids, clock());
        }
    }
}

/// The runtime's clock. Tests can stop it.
fn clock() -> Instant {
    tokio::time::Instant::now().into_std()
}
