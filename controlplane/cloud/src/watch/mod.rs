//! The poller: many callers wait for many ENIs, few calls tell them all.
//!
//! `Schedule` decides when to ask for whom; the task here only keeps the clock, sends and passes news on.

mod credit;
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

use self::schedule::Schedule;
use crate::error::CloudError;
use crate::limits::Priority;
use crate::requests::EniFilter;
use crate::transport::Transport;

/// What somebody waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Expect {
    /// Attached: status InUse.
    Attached,
    /// Detached or just created: status Available.
    Free,
    /// Deleted: absent from a complete answer.
    Gone,
}

#[derive(Default)]
struct Shared {
    schedule: Mutex<Schedule>,
    listeners: Mutex<Vec<mpsc::UnboundedSender<String>>>,
    changed: Notify,
}

/// A handle of the poller; its task ends with the last handle.
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

    /// Waits for this ENI: call it right after the call that begins the change was accepted; the time until
    /// the first question counts from here. Saying it again changes nothing, also after it was met; `forget`
    /// first to wait anew. Saying something else replaces it. Polling stops by itself when it is met.
    pub fn expect(&self, eni_id: &str, what: Expect) {
        self.shared.schedule.lock().expect(eni_id, what, clock());
        self.shared.changed.notify_one();
    }

    /// Like `expect`, for an ENI of which nobody knows how far it is (after a restart, before the first
    /// call): it is asked for at once. A later `expect` of the same tells that the change begins only then.
    pub fn look(&self, eni_id: &str, what: Expect) {
        self.shared.schedule.lock().look(eni_id, what, clock());
        self.shared.changed.notify_one();
    }

    /// Nobody waits for this ENI any more, and what was seen of it is dropped.
    pub fn forget(&self, eni_id: &str) {
        self.shared.schedule.lock().forget(eni_id);
        self.shared.changed.notify_one();
    }

    /// What was seen last since the ENI is waited for, and when.
    pub fn latest(&self, eni_id: &str) -> Option<(EniObservation, Instant)> {
        self.shared.schedule.lock().latest(eni_id)
    }

    /// ENIs that somebody waits for at the moment.
    pub fn waiting(&self) -> usize {
        self.shared.schedule.lock().waiting()
    }

    /// Ids of ENIs whose observation changed, from now on. Each listener gets each id; progress that tells
    /// nothing new (still attaching) is left out.
    pub fn changed(&self) -> impl Stream<Item = String> + Send + use<> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.shared.listeners.lock().push(sender);
        UnboundedReceiverStream::new(receiver)
    }
}

impl Shared {
    fn tell(&self, ids: &[String]) {
        // A listener that is gone fails to take the first id and is dropped.
        self.listeners
            .lock()
            .retain(|listener| ids.iter().all(|id| listener.send(id.clone()).is_ok()));
    }
}

struct Answer {
    ids: Vec<String>,
    sent: Instant,
    result: Result<Vec<CloudEni>, CloudError>,
}

async fn poll(shared: Arc<Shared>, transport: Arc<Transport>, token: CancellationToken) {
    let mut calls: JoinSet<Answer> = JoinSet::new();
    loop {
        let next = shared.schedule.lock().next_poll(clock());
        // Every branch may be dropped: a finished call stays in the set, a wake-up is stored.
        tokio::select! {
            () = token.cancelled() => return,
            () = shared.changed.notified() => {}
            Some(joined) = calls.join_next() => match joined {
                Ok(answer) => settle(&shared, answer),
                // A call that panicked would leave its ENIs unasked for ever; losing the poller is worse
                // still, so the panic goes on to whoever watches this process.
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

async fn ask(transport: Arc<Transport>, ids: Vec<String>) -> Answer {
    let filter = EniFilter::ids(ids.iter().cloned());
    let sent = clock();
    let result = transport.describe_enis(&filter, Priority::Attach).await;
    Answer { ids, sent, result }
}

fn settle(shared: &Shared, answer: Answer) {
    let Answer { ids, sent, result } = answer;
    match result {
        Ok(enis) => {
            let mut found: HashMap<String, CloudEni> =
                enis.into_iter().map(|eni| (eni.id.clone(), eni)).collect();
            // The answer is complete, so what is not in it does not exist.
            let seen = ids
                .into_iter()
                .map(|id| match found.remove(&id) {
                    Some(eni) => (id, EniObservation::Present(Box::new(eni))),
                    None => (id, EniObservation::Absent),
                })
                .collect();
            let news = shared.schedule.lock().answered(seen, sent, clock());
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

/// The runtime's clock, which tests can stop.
fn clock() -> Instant {
    tokio::time::Instant::now().into_std()
}
