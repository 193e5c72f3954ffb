//! vSwitches as the cloud describes them, remembered for a while, and blocked while exhausted.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use terway_cloud::{Cloud, CloudError};
use terway_core::cloud::VSwitch;
use terway_core::vswitch::Candidate;

struct Entry {
    vswitch: VSwitch,
    read_at: Instant,
    /// Addresses taken since it was read.
    taken: i64,
    exhausted: bool,
}

/// The pool of known vSwitches.
pub struct VSwitches {
    cloud: Cloud,
    /// How long an answer is believed, and an exhausted vSwitch left alone.
    life: Duration,
    size: usize,
    known: Mutex<HashMap<String, Entry>>,
    /// One question at a time: a thousand pods of one PodNetworking ask for the same vSwitch.
    asking: tokio::sync::Mutex<()>,
}

impl VSwitches {
    /// A pool of at most `size` vSwitches, each believed for `life`.
    pub fn new(cloud: Cloud, life: Duration, size: usize) -> Self {
        let known = Mutex::new(HashMap::new());
        Self {
            cloud,
            life,
            size: size.max(1),
            known,
            asking: tokio::sync::Mutex::new(()),
        }
    }

    /// These vSwitches in this order; ids that the cloud does not know are missing.
    ///
    /// # Errors
    /// When the cloud cannot be asked.
    pub async fn resolve(&self, ids: &[String]) -> Result<Vec<VSwitch>, CloudError> {
        if !self.missing(ids).is_empty() {
            let _one = self.asking.lock().await;
            // Somebody may have asked for the same while we waited.
            let missing = self.missing(ids);
            if !missing.is_empty() {
                let found = self.cloud.describe_vswitches(&missing).await?;
                self.remember(found);
            }
        }
        let known = self.known.lock();
        Ok(ids
            .iter()
            .filter_map(|id| known.get(id))
            .map(|entry| entry.vswitch.clone())
            .collect())
    }

    /// These vSwitches as candidates of a choice, in this order.
    ///
    /// # Errors
    /// When the cloud cannot be asked.
    pub async fn candidates(&self, ids: &[String]) -> Result<Vec<Candidate>, CloudError> {
        let found = self.resolve(ids).await?;
        let known = self.known.lock();
        let candidate = |vswitch: VSwitch| {
            let entry = known.get(&vswitch.id);
            let available = match entry {
                Some(entry) if entry.exhausted => 0,
                Some(entry) => vswitch.available_ips - entry.taken,
                None => vswitch.available_ips,
            };
            Candidate {
                id: vswitch.id,
                zone: vswitch.zone_id,
                cidr: vswitch.cidr,
                available,
            }
        };
        Ok(found.into_iter().map(candidate).collect())
    }

    /// An address of this vSwitch was taken.
    pub fn taken(&self, id: &str) {
        if let Some(entry) = self.known.lock().get_mut(id) {
            entry.taken += 1;
        }
    }

    /// The cloud said that this vSwitch has no address left: nobody asks it again for a while.
    pub fn exhausted(&self, id: &str) {
        if let Some(entry) = self.known.lock().get_mut(id) {
            entry.exhausted = true;
            entry.read_at = Instant::now();
        }
    }

    /// Forgets these vSwitches, so that the next question goes to the cloud.
    pub fn forget(&self, ids: &[String]) {
        let mut known = self.known.lock();
        for id in ids {
            known.remove(id);
        }
    }

    fn missing(&self, ids: &[String]) -> Vec<String> {
        let mut known = self.known.lock();
        known.retain(|_, entry| entry.read_at.elapsed() < self.life);
        ids.iter()
            .filter(|id| !known.contains_key(*id))
            .cloned()
            .collect()
    }

    fn remember(&self, found: Vec<VSwitch>) {
        let mut known = self.known.lock();
        for vswitch in found {
            if known.len() >= self.size {
                let oldest = known
                    .iter()
                    .min_by_key(|(_, entry)| entry.read_at)
                    .map(|(id, _)| id.clone());
                oldest.and_then(|id| known.remove(&id));
            }
            let entry = Entry {
                read_at: Instant::now(),
                taken: 0,
                exhausted: false,
                vswitch,
            };
            known.insert(entry.vswitch.id.clone(), entry);
        }
    }
}
