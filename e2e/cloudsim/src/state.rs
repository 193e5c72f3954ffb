//! The state that the parts of a running simulator share.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::Notify;

use crate::api::credentials::KeyRing;
use crate::api::quota::QuotaTable;
use crate::call_log::CallLog;
use crate::clock::Clock;
use crate::fault::{Effects, Fault, FaultTable};
use crate::gate::Gates;
use crate::model::{Cloud, LookBack};
use crate::world::{ActionTiming, Staleness, World, WorldError};

/// Shared state. A task takes one lock at a time, with one exception: the call log is written under the lock of the
/// cloud, so that the order of the log is the order of the acts.
pub struct State {
    pub clock: Clock,
    pub cloud: Mutex<Cloud>,
    pub keys: Mutex<KeyRing>,
    pub quotas: Mutex<QuotaTable>,
    pub faults: Mutex<FaultTable>,
    pub gates: Gates,
    pub log: CallLog,
    pub region: String,
    pub verify_signatures: bool,
    /// Notified when an asynchronous action was accepted or has completed.
    pub changed: Notify,
    staleness: Staleness,
    timing: Mutex<BTreeMap<String, ActionTiming>>,
    random: Mutex<StdRng>,
}

/// Why the state could not be made.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    #[error("the world does not fit together")]
    World(#[from] WorldError),
    #[error("cannot create the call log")]
    CallLog(#[source] io::Error),
}

impl State {
    /// The state at the start of a world.
    pub fn new(
        world: &World,
        seed: u64,
        record_changes: bool,
        call_log: Option<&Path>,
    ) -> Result<State, StateError> {
        let clock = Clock::start(world.clock);
        let mut cloud = Cloud::new(world, seed, record_changes, clock.now())?;
        let faults = FaultTable::new(&world.faults);
        let kept = longest_look_back(&world.staleness, &faults);
        cloud.keep_history(kept);
        Ok(State {
            clock,
            cloud: Mutex::new(cloud),
            keys: Mutex::new(KeyRing::new(world, seed)),
            quotas: Mutex::new(QuotaTable::new(&world.quotas)),
            faults: Mutex::new(faults),
            gates: Gates::default(),
            log: CallLog::new(call_log).map_err(StateError::CallLog)?,
            region: world.region.clone(),
            verify_signatures: world.rules.verify_signatures,
            changed: Notify::new(),
            staleness: world.staleness,
            timing: Mutex::new(world.latency.clone()),
            // The seed differs from those of ids and keys, so that the random streams are independent.
            random: Mutex::new(StdRng::seed_from_u64(seed ^ 0x4c41_5445)),
        })
    }

    /// Draws how long an action takes to answer, and then to complete.
    pub fn draw_timing(&self, action: &str) -> (Duration, Duration) {
        let timing = {
            let table = self.timing.lock();
            table
                .get(action)
                .or_else(|| table.get("default"))
                .copied()
                .unwrap_or_default()
        };
        let mut random = self.random.lock();
        (
            timing.answer.sample(&mut *random),
            timing.done.sample(&mut *random),
        )
    }

    /// Replaces the latencies.
    pub fn set_timing(&self, timing: BTreeMap<String, ActionTiming>) {
        *self.timing.lock() = timing;
    }

    /// The effects of the faults in force on a call.
    pub fn judge(&self, call: u64, action: &str, enis: &[&str]) -> Effects {
        self.faults
            .lock()
            .judge(call, action, enis, &mut self.random.lock())
    }

    /// Puts a fault in force and returns its id.
    pub fn add_fault(&self, fault: Fault) -> u64 {
        let (id, kept) = {
            let mut faults = self.faults.lock();
            (faults.add(fault), longest_look_back(&self.staleness, &faults))
        };
        self.cloud.lock().keep_history(kept);
        id
    }

    /// Which earlier moment a read shows, if not the present.
    pub fn look_back(&self, effects: &Effects, now: Timestamp) -> LookBack {
        let injected = effects.stale.0;
        let enis = self.staleness.network_interfaces;
        let lag = match enis.longest().is_zero() {
            true => Duration::ZERO,
            false => enis.sample(&mut *self.random.lock()),
        };
        let at = |lag: Duration| (!lag.is_zero()).then(|| now.saturating_sub(lag).unwrap_or(now));
        LookBack {
            enis: at(lag.max(injected)),
            space: at(self.staleness.available_addresses.0.max(injected)),
        }
    }

    /// Which earlier moment the metadata service shows, if not the present.
    pub fn metadata_look_back(&self, now: Timestamp) -> LookBack {
        let lag = self.staleness.metadata.0;
        LookBack {
            enis: (!lag.is_zero()).then(|| now.saturating_sub(lag).unwrap_or(now)),
            space: None,
        }
    }

    /// Lets the cloud's time pass at once.
    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
        self.changed.notify_one();
    }

    /// Called when the last call ends. Virtual time jumps on until nothing is pending.
    pub fn rest(&self) {
        if !self.clock.alone() {
            return;
        }
        let mut cloud = self.cloud.lock();
        while let Some(at) = cloud.next_due() {
            self.clock.jump_to(at);
            cloud.advance(at);
        }
        drop(cloud);
        self.changed.notify_one();
    }

    /// A request id in the form of the real ones.
    pub fn request_id(&self) -> String {
        let id = uuid::Builder::from_random_bytes(self.random.lock().random()).into_uuid();
        id.hyphenated().to_string().to_uppercase()
    }

    /// Gives the cloud of this moment to `use_it`, after all due transitions have completed.
    pub fn with_cloud<R>(&self, use_it: impl FnOnce(&mut Cloud, Timestamp) -> R) -> R {
        let mut cloud = self.cloud.lock();
        let now = self.clock.now();
        cloud.advance(now);
        let result = use_it(&mut cloud, now);
        cloud.record_space(now);
        result
    }
}

fn longest_look_back(staleness: &Staleness, faults: &FaultTable) -> Duration {
    let world = staleness
        .network_interfaces
        .longest()
        .max(staleness.available_addresses.0)
        .max(staleness.metadata.0);
    world.max(faults.longest_stale().0)
}
