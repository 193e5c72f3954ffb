//! Turns: a limit of the writes that are under way at once.

use std::sync::Arc;

use kube::Client;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Number of writes at once. 16 writes keep an API server busy. More would wait for each other there, and would delay
/// the watches (measured, docs/figures.md).
pub(super) const AT_ONCE: usize = 16;

/// Gives turns. Only a turn has the client for writes, so no write can forget its turn.
#[derive(Clone)]
pub(super) struct Turns {
    client: Client,
    places: Arc<Semaphore>,
}

/// The right to send one write now.
pub struct Turn {
    client: Client,
    _place: Option<OwnedSemaphorePermit>,
}

impl Turns {
    pub(super) fn new(client: Client) -> Self {
        Self {
            client,
            places: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// Waits for the right to send one write.
    pub(super) async fn next(&self) -> Turn {
        Turn {
            client: self.client.clone(),
            // The semaphore is never closed. Without a place the number of writes would have no limit.
            _place: self.places.clone().acquire_owned().await.ok(),
        }
    }

    /// The client for reads, which need no turn.
    pub(super) fn for_reading(&self) -> Client {
        self.client.clone()
    }
}

impl Turn {
    /// The client for this turn's write.
    pub(super) fn client(&self) -> Client {
        self.client.clone()
    }
}
