//! Create never outruns attach: a limit on ENIs that exist and are not being attached yet.

use std::collections::HashSet;

use parking_lot::Mutex;
use terway_core::fairness::FairQueue;
use tokio::sync::oneshot;

/// Counts ENIs from the moment their creation is decided until their attach was accepted. Nodes that wait
/// for room get it in turn.
pub struct Backlog {
    limit: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    open: HashSet<String>,
    waiting: FairQueue<Waiting>,
}

struct Waiting {
    name: String,
    entered: oneshot::Sender<()>,
}

impl Backlog {
    /// At most `limit` at a time.
    pub fn new(limit: usize) -> Self {
        Self {
            limit: limit.max(1),
            state: Mutex::default(),
        }
    }

    /// Waits for room and takes it under this name; at once if the name has it already.
    pub async fn enter(&self, name: &str, node: &str) {
        let entered = {
            let mut state = self.state.lock();
            if state.open.contains(name) {
                return;
            }
            if state.open.len() < self.limit && state.waiting.is_empty() {
                state.open.insert(name.to_owned());
                return;
            }
            let (entered, waits) = oneshot::channel();
            let name = name.to_owned();
            state.waiting.push(node, Waiting { name, entered });
            // Those before may have gone away while there was room.
            state.admit(self.limit);
            waits
        };
        // The sender is used before it is dropped: only a place in the queue holds it.
        let _ = entered.await;
    }

    /// The same ENI has another name now.
    pub fn rename(&self, from: &str, to: &str) {
        let mut state = self.state.lock();
        if state.open.remove(from) {
            state.open.insert(to.to_owned());
        }
    }

    /// The ENI is being attached, or is not going to be.
    pub fn leave(&self, name: &str) {
        let mut state = self.state.lock();
        if state.open.remove(name) {
            state.admit(self.limit);
        }
    }
}

impl State {
    fn admit(&mut self, limit: usize) {
        while self.open.len() < limit {
            let Some(next) = self.waiting.pop() else { return };
            // Whoever has gone away takes no room.
            if next.entered.send(()).is_ok() {
                self.open.insert(next.name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::time::Duration;

    const SOON: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn room_is_limited_and_given_back() {
        let backlog = Arc::new(Backlog::new(1));
        backlog.enter("a", "node").await;
        backlog.enter("a", "node").await;
        let waiting = backlog.clone();
        let second = tokio::spawn(async move { waiting.enter("b", "node").await });
        tokio::task::yield_now().await;
        assert!(!second.is_finished());
        backlog.rename("a", "eni-1");
        backlog.leave("a");
        tokio::task::yield_now().await;
        assert!(!second.is_finished());
        backlog.leave("eni-1");
        tokio::time::timeout(SOON, second).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_node_with_a_thousand_pods_does_not_keep_another_waiting() {
        let backlog = Arc::new(Backlog::new(1));
        backlog.enter("first", "greedy").await;
        let (done, mut order) = tokio::sync::mpsc::unbounded_channel();
        for number in 0..1_001 {
            let node = if number < 1_000 { "greedy" } else { "modest" };
            let (backlog, done) = (backlog.clone(), done.clone());
            tokio::spawn(async move {
                let name = format!("{node}/{number}");
                backlog.enter(&name, node).await;
                let _ = done.send(name);
            });
        }
        while backlog.state.lock().waiting.firsts().count() < 2 {
            tokio::task::yield_now().await;
        }
        backlog.leave("first");
        let first = order.recv().await.unwrap();
        backlog.leave(&first);
        assert!(order.recv().await.unwrap().starts_with("modest"), "{first}");
    }

    #[tokio::test]
    async fn who_goes_away_while_waiting_takes_no_room() {
        let backlog = Backlog::new(1);
        backlog.enter("a", "node").await;
        let gone = tokio::time::timeout(Duration::from_millis(1), backlog.enter("b", "node"));
        assert!(gone.await.is_err());
        backlog.leave("a");
        tokio::time::timeout(SOON, backlog.enter("c", "node"))
            .await
            .unwrap();
    }
}
