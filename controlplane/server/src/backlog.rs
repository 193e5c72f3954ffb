//! Create never outruns attach: a limit on ENIs that exist and are not being attached yet.

use std::collections::HashSet;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Counts ENIs from the moment their creation is decided until their attach was accepted.
pub struct Backlog {
    limit: usize,
    open: Mutex<HashSet<String>>,
    freed: Notify,
}

impl Backlog {
    /// At most `limit` at a time.
    pub fn new(limit: usize) -> Self {
        Self {
            limit: limit.max(1),
            open: Mutex::default(),
            freed: Notify::new(),
        }
    }

    /// Waits for room and takes it under this name; at once if the name has it already.
    pub async fn enter(&self, name: &str) {
        loop {
            // Register before looking, or a wake-up in between would be lost.
            let freed = self.freed.notified();
            {
                let mut open = self.open.lock();
                if open.contains(name) {
                    return;
                }
                if open.len() < self.limit {
                    open.insert(name.to_owned());
                    return;
                }
            }
            freed.await;
        }
    }

    /// The same ENI has another name now.
    pub fn rename(&self, from: &str, to: &str) {
        let mut open = self.open.lock();
        if open.remove(from) {
            open.insert(to.to_owned());
        }
    }

    /// The ENI is being attached, or is not going to be.
    pub fn leave(&self, name: &str) {
        if self.open.lock().remove(name) {
            self.freed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::time::Duration;

    #[tokio::test]
    async fn room_is_limited_and_given_back() {
        let backlog = Arc::new(Backlog::new(1));
        backlog.enter("a").await;
        backlog.enter("a").await;
        let waiting = backlog.clone();
        let second = tokio::spawn(async move { waiting.enter("b").await });
        tokio::task::yield_now().await;
        assert!(!second.is_finished());
        backlog.rename("a", "eni-1");
        backlog.leave("a");
        tokio::task::yield_now().await;
        assert!(!second.is_finished());
        backlog.leave("eni-1");
        tokio::time::timeout(Duration::from_secs(5), second)
            .await
            .unwrap()
            .unwrap();
    }
}
