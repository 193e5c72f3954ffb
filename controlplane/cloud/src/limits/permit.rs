//! A caller's way to its permit: a grant at once, or a place in the queue of a bucket.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::{Shared, Shut};
use crate::action::Action;

/// A token that was given to a caller.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grant {
    /// Whether this call is the one that finds out whether calls work again.
    pub(super) trial: bool,
}

/// The limiter's answer to a caller that wants a token.
pub(super) enum Turn {
    /// The caller has its token.
    Now(Grant),
    /// The caller waits in the queue of the bucket.
    Queued(QueuedCaller),
}

/// A caller in the queue. If the caller goes away between the grant and its wake-up, the token goes back to the bucket.
pub(super) struct QueuedCaller {
    receiver: oneshot::Receiver<Result<Grant, Shut>>,
    shared: Arc<Shared>,
    action: Action,
}

impl QueuedCaller {
    pub(super) fn new(
        receiver: oneshot::Receiver<Result<Grant, Shut>>,
        shared: Arc<Shared>,
        action: Action,
    ) -> Self {
        QueuedCaller {
            receiver,
            shared,
            action,
        }
    }

    /// Waits for the token.
    ///
    /// # Errors
    /// When the gate shuts and the caller does not want to wait for it to open.
    pub(super) async fn granted(mut self) -> Result<Grant, Shut> {
        // The bucket keeps the sender until it sends an answer, so the channel never closes without one.
        let answer = (&mut self.receiver).await;
        answer.unwrap_or(Ok(Grant { trial: false }))
    }
}

impl Drop for QueuedCaller {
    fn drop(&mut self) {
        self.receiver.close();
        if let Ok(Ok(grant)) = self.receiver.try_recv() {
            self.shared.give_back(self.action, grant.trial);
        }
    }
}

/// The right to send one call of one action. The call spends it. A permit that is dropped goes back to the bucket.
#[derive(Debug)]
#[must_use = "a permit is for one call; dropping it gives it back"]
pub struct Permit {
    pub(super) action: Action,
    pub(super) trial: bool,
    pub(super) waited: Duration,
    pub(super) shared: Option<Arc<Shared>>,
}

impl Permit {
    /// The action of the call.
    pub fn action(&self) -> Action {
        self.action
    }

    /// How long the caller waited for the permit.
    pub(crate) fn waited(&self) -> Duration {
        self.waited
    }

    /// Uses the permit up.
    pub(crate) fn spend(mut self) {
        self.shared = None;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.take() {
            shared.give_back(self.action, self.trial);
        }
    }
}
