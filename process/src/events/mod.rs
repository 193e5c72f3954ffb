//! Events: what a person reads in `kubectl describe`.
//!
//! Callers hand [`EventContent`] to a bounded queue and go on: an event is worth less than the work that it tells of. A
//! [`Writer`] creates the event objects. kube's `Recorder` is not used: it waits for the API server inside the
//! caller, and it takes two events of one reason with different notes for one.

mod repeats;
mod writer;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use tokio::sync::mpsc;
use tokio::time::Instant;

use self::repeats::{Repeats, Verdict};
pub use self::writer::Writer;

/// The longest note, in bytes, that the API server accepts (`NoteLengthLimit` in Kubernetes'
/// `pkg/apis/core/validation/events.go`).
const MAX_NOTE: usize = 1000;

/// Whether an event tells of something good or bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Severity {
    Normal,
    Warning,
}

impl Severity {
    fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

/// The content of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventContent {
    pub severity: Severity,
    /// A reason of `terway_crds::names::event`.
    pub reason: &'static str,
    /// An action of `terway_crds::names::action`.
    pub action: &'static str,
    /// The sentence for a person; cut at [`MAX_NOTE`] bytes.
    pub note: String,
}

/// Which events are written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Events that may wait for the API server. Further ones are dropped and counted.
    pub queue: usize,
    /// What becomes of an event that was told before.
    pub repeated: Repeated,
    /// How many events may be told at once and over time; `None` sets no bound.
    pub rate: Option<Rate>,
}

/// What becomes of an event that was told before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeated {
    /// The same reason with the same note on the same object is told once. It is told again after it was silent for
    /// this long.
    UntilSilent(Duration),
    /// The same reason on the same object is told at most once in `same` with the same note, and at most once in
    /// `other` with another note: an event names the present cause.
    AtMostEvery { same: Duration, other: Duration },
}

/// A bucket of events.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Events at once.
    pub burst: f64,
    /// Further events per second.
    pub per_second: f64,
}

/// An event on its way to the API server.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    pub about: ObjectReference,
    pub related: Option<ObjectReference>,
    pub news: EventContent,
    at: Timestamp,
    /// The same for events that repeat one another; `None` when repetitions are not written.
    repeats: Option<u64>,
}

/// Takes events. Clones share queue and limits.
#[derive(Clone)]
pub struct Events {
    queue: mpsc::Sender<Told>,
    repeated: Repeated,
    repeats: Arc<Mutex<Repeats>>,
    dropped: Counter,
}

/// The end of the queue, for a [`Writer`].
pub type Queue = mpsc::Receiver<Told>;

impl Events {
    /// A queue and its end. `dropped` counts events that were not told because too many were.
    #[must_use]
    pub fn new(limits: Limits, dropped: Counter) -> (Self, Queue) {
        let (queue, end) = mpsc::channel(limits.queue);
        let events = Self {
            queue,
            repeated: limits.repeated,
            repeats: Arc::new(Mutex::new(Repeats::new(limits, Instant::now().into_std()))),
            dropped,
        };
        (events, end)
    }

    /// Tells `news` about an object, unless the limits are against it. Never waits.
    pub fn tell(&self, about: ObjectReference, related: Option<ObjectReference>, news: EventContent) {
        let (subject, whole) = causes(&about, &news);
        let of = match self.repeated {
            Repeated::UntilSilent(_) => whole,
            Repeated::AtMostEvery { .. } => subject,
        };
        match self.repeats.lock().judge(of, whole, Instant::now().into_std()) {
            Verdict::Tell => {}
            Verdict::Repeated => return,
            Verdict::TooMany => {
                self.dropped.inc();
                return;
            }
        }
        let told = Told {
            about,
            related,
            news,
            at: Timestamp::now(),
            repeats: matches!(self.repeated, Repeated::AtMostEvery { .. }).then_some(whole),
        };
        if self.queue.try_send(told).is_err() {
            self.dropped.inc();
        }
    }
}

/// What an event is about and its reason; and both of them with the note.
fn causes(about: &ObjectReference, news: &EventContent) -> (u64, u64) {
    let mut hasher = DefaultHasher::new();
    (&about.uid, &about.namespace, &about.name, news.reason).hash(&mut hasher);
    let subject = hasher.finish();
    news.note.hash(&mut hasher);
    (subject, hasher.finish())
}

#[cfg(test)]
mod tests;
