//! A cache of the cloud's vSwitches. An exhausted vSwitch is blocked for a while.

mod choice;

pub use self::choice::seed;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use terway_cloud::{Cloud, CloudError};
use terway_core::cloud::VSwitch;
use terway_core::vswitch::Candidate;

struct Entry {
    vswitch: VSwitch,
    read_at: Instant,
    /// Number of addresses that were taken since the vSwitch was read.
    taken: i64,
    exhausted: bool,
}

/// How long the answer "no such vSwitch" counts. It is short, because somebody may be creating the vSwitch.
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

/// The pool of known vSwitches.
pub struct VSwitches {
    cloud: Cloud,
    /// How long an answer counts, and how long an exhausted vSwitch is blocked.
    life: Duration,
    size: usize,
    known: Mutex<HashMap<String, Entry>>,
    /// Ids that the cloud did not know, and the times of these answers.
    absent: Mutex<HashMap<String, Instant>>,
    /// Held while the cloud is asked, because a thousand pods of one PodNetworking ask for the same vSwitch.
    asking: tokio::sync::Mutex<()>,
}

impl VSwitches {
    /// A pool of at most `size` vSwitches, each of which counts for `life`.
    pub fn new(cloud: Cloud, life: Duration, size: usize) -> Self {
        let known = Mutex::new(HashMap::new());
        Self {
            cloud,
            life,
            size: size.max(1),
            known,
            absent: Mutex::default(),
            asking: tokio::sync::Mutex::new(()),
        }
    }

    /// These vSwitches in this order. Ids that the cloud does not know are missing.
    ///
    /// # Errors
    /// When the cloud cannot be asked.
    pub async fn resolve(&self, ids: &[String]) -> Result<Vec<VSwitch>, CloudError> {
        if !self.missing(ids).is_empty() {
            let _one = self.asking.lock().await;
            // Another task may have asked for the same vSwitches meanwhile.
            let missing = self.missing(ids);
            if !missing.is_empty() {
                let found = self.cloud.describe_vswitches(&missing).await?;
                self.note_absent(&missing, &found);
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
                cidrs: vswitch.cidrs,
                available,
            }
        };
        Ok(found.into_iter().map(candidate).collect())
    }

    /// The cached vSwitches, old or not. The cloud is not asked.
    pub fn remembered(&self, ids: &[String]) -> Remembered {
        let known = self.known.lock();
        let absent = self.absent.lock();
        let mut remembered = Remembered::default();
        for id in ids {
            match known.get(id) {
                Some(entry) => {
                    let old = entry.read_at.elapsed() >= self.life;
                    remembered.stale |= old;
                    remembered.candidates.push(Candidate {
                        id: id.clone(),
                        zone: entry.vswitch.zone_id.clone(),
                        cidrs: entry.vswitch.cidrs,
                        available: match entry.exhausted && !old {
                            true => 0,
                            false => entry.vswitch.available_ips - entry.taken,
                        },
                    });
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

    /// Notes that an address of this vSwitch was taken.
    pub fn taken(&self, id: &str) {
        self.used(id, 1);
    }

    /// Notes that `count` addresses of this vSwitch were taken, or given back if it is negative. A vSwitch that got
    /// addresses back is no longer exhausted.
    pub fn used(&self, id: &str, count: i64) {
        if let Some(entry) = self.known.lock().get_mut(id) {
            entry.taken += count;
            entry.exhausted &= count >= 0;
        }
    }

    fn note_absent(&self, asked: &[String], found: &[VSwitch]) {
        let mut absent = self.absent.lock();
        absent.retain(|_, at| at.elapsed() < 2 * ABSENT_LIFE);
        for id in asked {
            match found.iter().any(|vswitch| vswitch.id == *id) {
                true => absent.remove(id),
                false => absent.insert(id.clone(), Instant::now()),
            };
        }
    }

    /// Notes that this vSwitch has no free address. It is blocked for a while.
    pub fn exhausted(&self, id: &str) {
        if let Some(entry) = self.known.lock().get_mut(id) {
            entry.exhausted = true;
            entry.read_at = Instant::now();
        }
    }

    /// Drops these vSwitches from the cache, so that the next request asks the cloud.
    pub fn forget(&self, ids: &[String]) {
        let mut known = self.known.lock();
        for id in ids {
            known.remove(id);
        }
    }

    fn missing(&self, ids: &[String]) -> Vec<String> {
        let known = self.known.lock();
        let fresh = |id: &String| {
            known
                .get(id)
                .is_some_and(|entry| entry.read_at.elapsed() < self.life)
        };
        ids.iter().filter(|id| !fresh(id)).cloned().collect()
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

#[cfg(test)]
mod tests;
