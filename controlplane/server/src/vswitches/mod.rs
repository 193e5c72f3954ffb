//! A cache of the cloud's vSwitches. A vSwitch without free addresses is read again soon, because pods may wait for it.

mod choice;
mod entry;

pub use self::choice::seed;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use terway_cloud::{Cloud, CloudError};
use terway_core::cloud::VSwitch;
use terway_core::vswitch::Candidate;

use self::entry::{Entry, Lives};

/// After this time the vSwitches of a node are looked for again that the cloud did not know.
const ABSENT_LIFE: Duration = Duration::from_secs(60);

/// The vSwitches that are known without asking the cloud.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    pub candidates: Vec<Candidate>,
    pub vswitches: Vec<VSwitch>,
    /// Whether the cloud was asked for every vSwitch. Then missing ones do not exist.
    pub complete: bool,
    /// Whether some vSwitches should be read again.
    pub stale: bool,
}

impl Default for Remembered {
    fn default() -> Self {
        Self {
            candidates: Vec::new(),
            vswitches: Vec::new(),
            complete: true,
            stale: false,
        }
    }
}

/// Every vSwitch that was asked for, by id.
pub struct VSwitches {
    cloud: Cloud,
    lives: Lives,
    size: usize,
    known: Mutex<HashMap<String, Entry>>,
    /// Ids that the cloud does not know, and the times of these answers.
    absent: Mutex<HashMap<String, Instant>>,
    /// Held while the cloud is asked, because a thousand pods of one PodNetworking ask for the same vSwitch.
    asking: tokio::sync::Mutex<()>,
}

impl VSwitches {
    /// A pool of at most `size` vSwitches, each of which counts for `life`.
    pub fn new(cloud: Cloud, life: Duration, size: usize) -> Self {
        Self {
            cloud,
            lives: Lives::of(life),
            size: size.max(1),
            known: Mutex::default(),
            absent: Mutex::default(),
            asking: tokio::sync::Mutex::new(()),
        }
    }

    /// These vSwitches in this order. Ids that the cloud does not know are missing.
    ///
    /// # Errors
    /// When the cloud cannot be asked.
    pub async fn resolve(&self, ids: &[String]) -> Result<Vec<VSwitch>, CloudError> {
        self.read(ids).await?;
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
        self.read(ids).await?;
        let (known, now) = (self.known.lock(), Instant::now());
        Ok(ids
            .iter()
            .filter_map(|id| known.get(id))
            .map(|entry| entry.candidate(now))
            .collect())
    }

    /// The cached vSwitches, old or not. The cloud is not asked.
    pub fn remembered(&self, ids: &[String]) -> Remembered {
        let (known, absent, now) = (self.known.lock(), self.absent.lock(), Instant::now());
        let mut remembered = Remembered::default();
        for id in ids {
            match known.get(id) {
                Some(entry) => {
                    remembered.stale |= !entry.is_fresh(now, &self.lives);
                    remembered.candidates.push(entry.candidate(now));
                    remembered.vswitches.push(entry.vswitch.clone());
                }
                None => {
                    remembered.complete &= absent.contains_key(id);
                    let asked = absent.get(id).map(Instant::elapsed);
                    remembered.stale |= asked.is_none_or(|asked| asked >= ABSENT_LIFE);
                }
            }
        }
        remembered
    }

    /// Notes that `count` addresses of this vSwitch were taken, or given back if it is negative.
    pub fn used(&self, id: &str, count: i64) {
        if let Some(entry) = self.known.lock().get_mut(id) {
            entry.used(count);
        }
    }

    /// Notes that this vSwitch refused an address because it has none.
    pub fn exhausted(&self, id: &str) {
        if let Some(entry) = self.known.lock().get_mut(id) {
            entry.refused(Instant::now());
        }
    }

    /// Whether this vSwitch has no free address, as far as is known without asking the cloud.
    pub fn is_full(&self, id: &str) -> bool {
        let (known, now) = (self.known.lock(), Instant::now());
        known.get(id).is_some_and(|entry| entry.available(now) == 0)
    }

    /// Asks the cloud for those of the vSwitches whose last answer is too old.
    async fn read(&self, ids: &[String]) -> Result<(), CloudError> {
        if self.due(ids).is_empty() {
            return Ok(());
        }
        let _one = self.asking.lock().await;
        // Another task may have asked for the same vSwitches meanwhile.
        let due = self.due(ids);
        if due.is_empty() {
            return Ok(());
        }
        let found = self.cloud.describe_vswitches(&due).await?;
        self.remember(&due, found);
        Ok(())
    }

    fn due(&self, ids: &[String]) -> Vec<String> {
        let (known, absent, now) = (self.known.lock(), self.absent.lock(), Instant::now());
        let fresh = |id: &String| match known.get(id) {
            Some(entry) => entry.is_fresh(now, &self.lives),
            None => absent
                .get(id)
                .is_some_and(|asked| asked.elapsed() < self.lives.absent),
        };
        ids.iter().filter(|id| !fresh(id)).cloned().collect()
    }

    /// Notes a complete answer of the cloud to the question for `asked`.
    fn remember(&self, asked: &[String], found: Vec<VSwitch>) {
        let (mut known, mut absent, now) = (self.known.lock(), self.absent.lock(), Instant::now());
        absent.retain(|_, at| at.elapsed() < 2 * ABSENT_LIFE);
        for id in asked {
            match found.iter().any(|vswitch| vswitch.id == *id) {
                true => absent.remove(id),
                false => {
                    // The vSwitch was deleted. Nobody chooses it any more.
                    known.remove(id);
                    absent.insert(id.clone(), now)
                }
            };
        }
        for vswitch in found {
            if let Some(entry) = known.get_mut(&vswitch.id) {
                entry.read(vswitch, now);
                continue;
            }
            if known.len() >= self.size {
                let oldest = known
                    .iter()
                    .min_by_key(|(_, entry)| entry.read_at)
                    .map(|(id, _)| id.clone());
                oldest.and_then(|id| known.remove(&id));
            }
            known.insert(vswitch.id.clone(), Entry::new(vswitch, now));
        }
    }
}

#[cfg(test)]
mod tests;
