//! Watches that note in a value of the benchmark when the API server showed something.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::bail;
use futures::StreamExt;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Watches until it is dropped.
pub struct Observer<S> {
    seen: Arc<Mutex<S>>,
    tell: watch::Sender<()>,
    changed: watch::Receiver<()>,
    stop: CancellationToken,
    _guard: DropGuard,
}

/// The progress that the error of a wait names.
pub trait Progress {
    /// The progress so far, in words.
    fn progress(&self) -> String;
}

impl<S: Default + Progress + Send + 'static> Observer<S> {
    /// An observer that watches nothing yet.
    pub fn new() -> Self {
        let (tell, changed) = watch::channel(());
        let stop = CancellationToken::new();
        Observer {
            seen: Arc::default(),
            tell,
            changed,
            _guard: stop.clone().drop_guard(),
            stop,
        }
    }

    /// Watches every object of a kind.
    #[must_use]
    pub fn watching<K>(
        self,
        client: &Client,
        take: impl Fn(&mut S, watcher::Event<K>) + Send + 'static,
    ) -> Self
    where
        K: kube::Resource + Clone + serde::de::DeserializeOwned + std::fmt::Debug + Send + 'static,
        K::DynamicType: Default + Clone,
    {
        let (seen, tell, stop) = (self.seen.clone(), self.tell.clone(), self.stop.clone());
        let mut events = watcher(Api::<K>::all(client.clone()), watcher::Config::default())
            .default_backoff()
            .boxed();
        tokio::spawn(async move {
            // Cancel-safe: an event that was not taken is lost with the whole watch.
            while let Some(Some(event)) = stop.run_until_cancelled(events.next()).await {
                // The watch begins anew by itself after an error.
                if let Ok(event) = event {
                    take(&mut seen.lock(), event);
                    let _ = tell.send(());
                }
            }
        });
        self
    }

    /// The value, for tasks that look at it themselves.
    pub fn seen(&self) -> Arc<Mutex<S>> {
        self.seen.clone()
    }

    /// Looks at the value.
    pub fn look<R>(&self, use_it: impl FnOnce(&mut S) -> R) -> R {
        use_it(&mut self.seen.lock())
    }

    /// Waits until `done` holds of the value. `check` may end the wait with an error.
    pub async fn wait(
        &mut self,
        what: &str,
        patience: Duration,
        mut check: impl FnMut() -> anyhow::Result<()>,
        done: impl Fn(&S) -> bool,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + patience;
        loop {
            {
                let seen = self.seen.lock();
                if done(&seen) {
                    return Ok(());
                }
                if Instant::now() > deadline {
                    bail!("{what}: not within {patience:?}; {}", seen.progress());
                }
            }
            check()?;
            // The pause bounds how late a dead process is noticed.
            let _ = tokio::time::timeout(Duration::from_secs(1), self.changed.changed()).await;
        }
    }
}

impl<S: Default + Progress + Send + 'static> Default for Observer<S> {
    fn default() -> Self {
        Self::new()
    }
}
