//! Turns: few requests are under way at once, whoever sends them.

use std::sync::Arc;

use kube::Client;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Writes under way at once. 16 keep an API server busy. More would only wait there for one another, and keep the
/// API server from serving its watches.
pub(super) const AT_ONCE: usize = 16;

/// Hands out turns. The client for writes comes with a turn alone, so no write can forget its turn.
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
            // The semaphore is never closed; without a place the writes would merely be unbounded.
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
