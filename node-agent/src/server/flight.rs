//! ADDs in flight: at most one for each container, and one for each pod.
//! A DEL cancels a running ADD of the same container and waits for its end, so that the ADD cannot make anything after
//! the DEL. An ADD for a new sandbox of a pod cancels a running ADD for an older sandbox in the same way, because the
//! runtime has given up the older one.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::cluster::PodKey;

/// The ADDs in flight.
#[derive(Clone, Default)]
pub struct Flights {
    by_container: Arc<Mutex<HashMap<String, Entry>>>,
    begun: Arc<AtomicU64>,
}

#[derive(Clone)]
struct Entry {
    pod: PodKey,
    // The order of arrival. A newer ADD ends older ones, and an older ADD never ends a newer one.
    number: u64,
    cancel: CancellationToken,
    // Cancelled when the flight ends.
    ended: CancellationToken,
}

/// An ADD for this container is running already.
#[derive(Debug, PartialEq, Eq)]
pub struct Busy;

/// One ADD. The ADD counts as running until this value is dropped.
pub struct Flight {
    flights: Flights,
    container_id: String,
    number: u64,
    cancel: CancellationToken,
    // Fields are dropped after `Drop::drop` has removed the entry, so a waiter that wakes up finds no entry any more.
    _ended: DropGuard,
}

impl Flights {
    /// Begins an ADD.
    pub fn begin(&self, container_id: &str, pod: &PodKey) -> Result<Flight, Busy> {
        let mut map = self.by_container.lock();
        if map.contains_key(container_id) {
            return Err(Busy);
        }
        let (cancel, ended) = (CancellationToken::new(), CancellationToken::new());
        let number = self.begun.fetch_add(1, Ordering::Relaxed);
        let entry = Entry {
            pod: pod.clone(),
            number,
            cancel: cancel.clone(),
            ended: ended.clone(),
        };
        map.insert(container_id.to_owned(), entry);
        Ok(Flight {
            flights: self.clone(),
            container_id: container_id.to_owned(),
            number,
            cancel,
            _ended: ended.drop_guard(),
        })
    }

    /// Cancels the ADD of a container, if one runs, and waits for its end.
    pub async fn end(&self, container_id: &str) {
        let entry = self.by_container.lock().get(container_id).cloned();
        if let Some(entry) = entry {
            entry.cancel.cancel();
            entry.ended.cancelled().await;
        }
    }

    /// Cancels every older ADD for the pod of this flight, and waits for their end.
    pub async fn supersede(&self, flight: &Flight, pod: &PodKey) {
        let others: Vec<Entry> = {
            let map = self.by_container.lock();
            let older = map
                .values()
                .filter(|entry| entry.number < flight.number && entry.pod == *pod);
            older.cloned().collect()
        };
        for other in &others {
            other.cancel.cancel();
        }
        for other in others {
            other.ended.cancelled().await;
        }
    }

    /// Whether an ADD for this container runs.
    pub fn contains(&self, container_id: &str) -> bool {
        self.by_container.lock().contains_key(container_id)
    }

    /// Whether an ADD for this container runs and has been told to end.
    #[cfg(test)]
    pub fn is_ending(&self, container_id: &str) -> bool {
        let map = self.by_container.lock();
        map.get(container_id)
            .is_some_and(|entry| entry.cancel.is_cancelled())
    }
}

impl Flight {
    /// Id of the container that this ADD is for.
    pub fn container_id(&self) -> &str {
        &self.container_id
    }

    /// Cancelled when the ADD must end and undo what it has made.
    pub fn cancelled(&self) -> &CancellationToken {
        &self.cancel
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.flights.by_container.lock().remove(&self.container_id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod() -> PodKey {
        PodKey::new("shop", "db-0")
    }

    #[tokio::test]
    async fn a_container_has_one_add_at_a_time() {
        let flights = Flights::default();
        let first = flights.begin("c1", &pod()).ok().unwrap();
        assert_eq!(flights.begin("c1", &pod()).err(), Some(Busy));
        drop(first);
        assert!(flights.begin("c1", &pod()).is_ok());
    }

    #[tokio::test]
    async fn ending_waits_for_the_add() {
        let flights = Flights::default();
        let flight = flights.begin("c1", &pod()).ok().unwrap();
        let ending = tokio::spawn({
            let flights = flights.clone();
            async move { flights.end("c1").await }
        });
        flight.cancelled().cancelled().await;
        assert!(!ending.is_finished());
        drop(flight);
        ending.await.unwrap();
        flights.end("c1").await;
    }

    #[tokio::test]
    async fn a_newer_sandbox_ends_the_older_ones_of_its_pod_only() {
        let flights = Flights::default();
        let old = flights.begin("c1", &pod()).ok().unwrap();
        let other = flights.begin("c2", &PodKey::new("shop", "db-1")).ok().unwrap();
        let new = flights.begin("c3", &pod()).ok().unwrap();
        let cancel = old.cancelled().clone();
        let superseding = async {
            flights.supersede(&new, &pod()).await;
        };
        let ending = async {
            cancel.cancelled().await;
            drop(old);
        };
        tokio::join!(superseding, ending);
        assert!(!other.cancelled().is_cancelled() && !new.cancelled().is_cancelled());
    }
}
