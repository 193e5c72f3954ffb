//! The parts that the controllers of one term share.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use parking_lot::Mutex;
use terway_cloud::{Action, Cloud, Permit, Priority};
use terway_core::cloud::EniObservation;
use terway_core::intent::Limits;
use terway_core::pod::Settings;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;

use crate::config::{ControllerSwitch, Shared};
use crate::degradation::DegradationSwitch;
use crate::events::Events;
use crate::fresh_enis::FreshEnis;
use crate::intents::Attempts;
use crate::leadership::Term;
use crate::metrics::Metrics;
use crate::node::Suspects;
use crate::objects::{Caches, Writer};
use crate::runtime::{Key, Queue};
use crate::vswitches::VSwitches;

/// The queues of the controllers. Triggers add keys, workers take them.
#[derive(Clone, Default)]
pub struct Queues {
    pub pods: Arc<Queue>,
    pub pod_enis: Arc<Queue>,
    pub interfaces: Arc<Queue>,
    pub nodes: Arc<Queue>,
    pub networkings: Arc<Queue>,
}

/// Settings of the controllers, from the configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControllerSettings {
    pub pods: Settings,
    pub node_white_list: BTreeMap<String, String>,
    pub pod_workers: usize,
    pub pod_eni_workers: usize,
    pub interface_workers: usize,
    /// The times that planners assume of the cloud.
    pub limits: Limits,
    /// Shared ENIs of nodes.
    pub shared: Shared,
    /// Time between two comparisons of cloud and cluster.
    pub sweep_period: std::time::Duration,
    /// Which controllers run.
    pub controllers: ControllerSwitch,
}

/// The parts of one term of leadership. Each controller takes those that it uses.
pub struct Context {
    pub caches: Caches,
    pub write: Writer,
    pub cloud: Cloud,
    pub events: Events,
    pub metrics: Metrics,
    pub queues: Queues,
    pub vswitches: Arc<VSwitches>,
    pub settings: ControllerSettings,
    pub attempts: Arc<Attempts>,
    /// New ENIs, which the PodENI controller hands over to the NetworkInterface controller.
    pub fresh: Arc<FreshEnis>,
    pub term: Term,
    pub limits: Limits,
    /// Nodes whose ENIs are being attached, by the ENI's id.
    pub attaching: Arc<Mutex<HashMap<String, Key>>>,
    /// Nodes whose record something contradicted.
    pub suspects: Arc<Suspects>,
    /// Calls that run beside the workers. The process waits for them at its end.
    pub background: TaskTracker,
    pub degradation: DegradationSwitch,
    pub calls: Calls,
}

/// Number of mutating calls at once that release or attach ENIs, and of those that make ENIs or give them addresses.
/// Each call has a connection of its own. These numbers are enough for five hundred calls a second; more would only
/// cost memory.
const CALLS_AT_ONCE: usize = 64;

/// The places of calls under way. Calls that release and attach ENIs have places of their own, because a call that
/// makes an ENI may hold its place for long: until a worker is free, and for as long as the cloud takes.
#[derive(Clone)]
struct CallPlaces {
    first: Arc<Semaphore>,
    others: Arc<Semaphore>,
}

impl Default for CallPlaces {
    fn default() -> Self {
        let places = || Arc::new(Semaphore::new(CALLS_AT_ONCE));
        Self {
            first: places(),
            others: places(),
        }
    }
}

impl CallPlaces {
    fn of(&self, priority: Priority) -> Arc<Semaphore> {
        let places = match priority {
            Priority::Release | Priority::Attach => &self.first,
            Priority::Create | Priority::Fill | Priority::Read => &self.others,
        };
        places.clone()
    }
}

/// The right to send one mutating call now.
pub struct Grant {
    pub permit: Permit,
    _place: Option<OwnedSemaphorePermit>,
}

/// Sends mutating calls within the limits of their rates and of their number.
#[derive(Clone)]
pub struct Calls {
    cloud: Cloud,
    places: CallPlaces,
}

impl Calls {
    /// Calls of this client.
    pub fn new(cloud: Cloud) -> Self {
        Self {
            cloud,
            places: CallPlaces::default(),
        }
    }

    /// Waits for the right to send a call: first for its rate permit, then for a place among the calls under way. Nodes
    /// are served in turn. A grant that is dropped is given back.
    pub async fn grant(&self, action: Action, priority: Priority, node: &str) -> Grant {
        let permit = self.cloud.permit_for(action, priority, node).await;
        // The semaphore is never closed. Without a place the number of calls would have no limit.
        Grant {
            permit,
            _place: self.places.of(priority).acquire_owned().await.ok(),
        }
    }
}

/// The poller's last observation of an ENI, with its time as a time stamp.
pub fn seen(cloud: &Cloud, id: &str) -> Option<(EniObservation, Timestamp)> {
    let (observation, at) = cloud.watch().latest(id)?;
    Some((observation, to_timestamp(at)))
}

/// A moment of the monotonic clock as a time stamp.
fn to_timestamp(at: Instant) -> Timestamp {
    let age = at.elapsed();
    Timestamp::now().checked_sub(age).unwrap_or(Timestamp::UNIX_EPOCH)
}
