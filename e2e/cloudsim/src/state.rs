//! Everything the parts of a running simulator share.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::Notify;

use crate::api::credentials::KeyRing;
use crate::api::quota::QuotaTable;
use crate::call_log::CallLog;
use crate::clock::Clock;
use crate::fault::{FaultTable, Verdict};
use crate::model::Cloud;
use crate::world::{ActionTiming, World, WorldError};

/// Shared state. Locks are taken one at a time, but for the call log, which is written
/// under the lock of the cloud so that its order is the order of the acts.
pub struct State {
    pub clock: Clock,
    pub cloud: Mutex<Cloud>,
    pub keys: Mutex<KeyRing>,
    pub quotas: Mutex<QuotaTable>,
    pub faults: Mutex<FaultTable>,
    pub log: CallLog,
    pub region: String,
    pub verify_signatures: bool,
    /// Rung when something asynchronous was accepted or done.
    pub changed: Notify,
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
        let clock = Clock::start();
        Ok(State {
            clock,
            cloud: Mutex::new(Cloud::new(world, seed, record_changes, clock.now())?),
            keys: Mutex::new(KeyRing::new(world, seed)),
            quotas: Mutex::new(QuotaTable::new(&world.quotas)),
            faults: Mutex::new(FaultTable::new(&world.faults)),
            log: CallLog::new(call_log).map_err(StateError::CallLog)?,
            region: world.region.clone(),
            verify_signatures: world.rules.verify_signatures,
            changed: Notify::new(),
            timing: Mutex::new(world.latency.clone()),
            // Another stream than those of ids and keys.
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

    /// What befalls a call by the faults in force.
    pub fn judge(&self, action: &str, enis: &[&str]) -> Verdict {
        self.faults.lock().judge(action, enis, &mut self.random.lock())
    }

    /// A request id in the form of the real ones.
    pub fn request_id(&self) -> String {
        let id = uuid::Builder::from_random_bytes(self.random.lock().random()).into_uuid();
        id.hyphenated().to_string().to_uppercase()
    }

    /// The cloud as it is at this moment: what is due has happened.
    pub fn with_cloud<R>(&self, use_it: impl FnOnce(&mut Cloud, Timestamp) -> R) -> R {
        let mut cloud = self.cloud.lock();
        let now = self.clock.now();
        cloud.advance(now);
        use_it(&mut cloud, now)
    }
}
