//! What every controller has at hand.

use std::collections::BTreeMap;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use parking_lot::Mutex;
use terway_cloud::{Action, Cloud, CloudError, ErrorClass, Expect, Outcome, Permit, Priority};
use terway_core::cloud::EniObservation;
use terway_core::intent::{Answer, Evidence, Limits, Refusal};
use terway_core::pod::Settings;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;

use crate::backlog::Backlog;
use crate::config::{ControllerSwitch, Shared};
use crate::degradation::DegradationSwitch;
use crate::events::Events;
use crate::leadership::Term;
use crate::metrics::Metrics;
use crate::objects::{Caches, Writer};
use crate::runtime::{Key, Queue};
use crate::vswitches::VSwitches;

/// Queues of the controllers; triggers put keys in, workers take them out.
#[derive(Clone, Default)]
pub struct Queues {
    pub pods: Arc<Queue>,
    pub pod_enis: Arc<Queue>,
    pub interfaces: Arc<Queue>,
    pub nodes: Arc<Queue>,
}

/// Settings of the controllers, from the configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControllerSettings {
    pub pods: Settings,
    pub node_white_list: BTreeMap<String, String>,
    pub pod_workers: usize,
    pub pod_eni_workers: usize,
    pub interface_workers: usize,
    pub node_workers: usize,
    /// What the planners assume of the cloud's timing.
    pub limits: Limits,
    /// Shared ENIs, where they are served.
    pub shared: Option<Shared>,
    /// Time between two comparisons of cloud and cluster.
    pub sweep_period: std::time::Duration,
    /// Which controllers run.
    pub controllers: ControllerSwitch,
}

/// What this process knows about intents; lost with it, on purpose.
#[derive(Default)]
pub struct IntentMemory {
    known: Mutex<HashMap<(String, String), Evidence>>,
    creating: Mutex<HashSet<Key>>,
}

/// While it lives, a record is being created.
pub struct Creating<'a> {
    memory: &'a IntentMemory,
    key: Key,
}

impl Drop for Creating<'_> {
    fn drop(&mut self) {
        self.memory.creating.lock().remove(&self.key);
    }
}

impl IntentMemory {
    /// What is known of an attempt; nothing, if it is another one than was known.
    pub fn of(&self, uid: &str, index: &str, attempt: i32) -> Evidence {
        let known = self.known.lock();
        let found = known
            .get(&(uid.to_owned(), index.to_owned()))
            .filter(|e| e.attempt == attempt);
        found.cloned().unwrap_or_else(|| Evidence::inherited(attempt))
    }

    /// A record of this name is about to be created. The watch may show it before the answer comes, which alone tells
    /// whether this process has written it.
    pub fn creating(&self, key: Key) -> Creating<'_> {
        self.creating.lock().insert(key.clone());
        Creating { memory: self, key }
    }

    /// Whether it is not known yet who has written the record of this name.
    pub fn is_being_created(&self, key: &Key) -> bool {
        self.creating.lock().contains(key)
    }

    /// Notes what is known now.
    pub fn note(&self, uid: &str, index: &str, evidence: Evidence) {
        self.known
            .lock()
            .insert((uid.to_owned(), index.to_owned()), evidence);
    }

    /// The intent is resolved.
    pub fn forget(&self, uid: &str, index: &str) {
        self.known.lock().remove(&(uid.to_owned(), index.to_owned()));
    }

    /// Every intent of an object is resolved.
    pub fn forget_all(&self, uid: &str) {
        self.known.lock().retain(|(owner, _), _| owner != uid);
    }
}

/// Shared by the controllers of one term of leadership.
pub struct Context {
    pub caches: Caches,
    pub write: Writer,
    pub cloud: Cloud,
    pub events: Events,
    pub metrics: Metrics,
    pub queues: Queues,
    pub vswitches: Arc<VSwitches>,
    pub settings: ControllerSettings,
    pub intents: IntentMemory,
    pub backlog: Backlog,
    pub term: Term,
    pub limits: Limits,
    /// ENIs that this process made, until they are attached for the first time.
    pub made_here: Mutex<HashSet<String>>,
    /// Node whose trunk is on its way, by the trunk's id.
    pub trunks: Mutex<HashMap<String, Key>>,
    /// Calls that run beside the workers; the process waits for them at its end.
    pub background: TaskTracker,
    pub degradation: DegradationSwitch,
    /// Places of [`Grant`]s.
    pub calls: Arc<Semaphore>,
}

/// Mutating calls under way at once. Each has a connection of its own; this many are enough for
/// five hundred calls a second, and more would only cost memory.
pub const CALLS_AT_ONCE: usize = 128;

/// The right to make one mutating call now.
pub struct Grant {
    pub permit: Permit,
    _place: Option<OwnedSemaphorePermit>,
}

impl Context {
    /// What the poller saw last of an ENI, in the time of the planners.
    pub fn seen(&self, id: &str) -> Option<(EniObservation, Timestamp)> {
        let (observation, at) = self.cloud.watch().latest(id)?;
        Some((observation, to_timestamp(at)))
    }

    /// Waits for the right to make a call: first for its rate, then, for the time of the calls under
    /// way at most, for a place. Nodes that want the same get it in turn. Given back when it is dropped.
    pub async fn grant(&self, action: Action, priority: Priority, node: &str) -> Grant {
        let permit = self.cloud.permit_for(action, priority, node).await;
        // The semaphore is never closed; without a place a call would merely be unbounded.
        Grant {
            permit,
            _place: self.calls.clone().acquire_owned().await.ok(),
        }
    }

    /// A change of this ENI has just begun: the poller asks when it is typically done.
    pub fn expect(&self, id: &str, what: Expect) {
        self.cloud.watch().expect(id, what);
    }

    /// Nobody knows how far this ENI is: the poller asks now.
    pub fn look(&self, id: &str, what: Expect) {
        self.cloud.watch().look(id, what);
    }
}

/// A moment of the monotonic clock as a time of day.
fn to_timestamp(at: Instant) -> Timestamp {
    let age = at.elapsed();
    Timestamp::now().checked_sub(age).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// What the answer to a Create means for its intent; an error that says nothing about the intent
/// (it was not even sent) is given back.
///
/// # Errors
/// When the call was not sent.
pub fn answer(
    result: Result<terway_core::cloud::CloudEni, CloudError>,
) -> Result<(Answer, Option<CloudError>), CloudError> {
    match Outcome::from(result) {
        Outcome::Done(eni) => Ok((Answer::Created(Box::new(eni)), None)),
        Outcome::Unknown(error) => {
            let answer = match error.class {
                ErrorClass::TokenReused => Answer::TokenReused,
                _ => Answer::Unknown,
            };
            Ok((answer, Some(error)))
        }
        Outcome::NotDone(error) if error.was_not_sent() => Err(error),
        Outcome::NotDone(error) if error.class == ErrorClass::Throttled => {
            Ok((Answer::Throttled, Some(error)))
        }
        Outcome::NotDone(error) => {
            let refusal = Refusal {
                vswitch_exhausted: error.class == ErrorClass::Exhausted,
                code: error.code.clone(),
                message: error.message.clone(),
                request_id: error.request_id.clone().unwrap_or_default(),
            };
            Ok((Answer::Refused(refusal), Some(error)))
        }
    }
}
