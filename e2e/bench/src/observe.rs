//! What the API server tells of PodENIs and NetworkInterfaces, and when.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::bail;
use futures::{Stream, StreamExt};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use parking_lot::Mutex;
use terway_crds::{NetworkInterface, Phase, PodEni};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Times of what was seen.
#[derive(Debug, Default)]
pub struct Seen {
    /// PodENI (named as its pod) to the time its phase was first seen as Bind.
    pub bound: HashMap<String, Instant>,
    /// NetworkInterfaces there are.
    pub interfaces: HashSet<String>,
    /// When the last NetworkInterface went.
    pub last_gone: Option<Instant>,
}

/// Watches until it is dropped.
pub struct Observer {
    seen: Arc<Mutex<Seen>>,
    changed: watch::Receiver<()>,
    _stop: DropGuard,
}

impl Observer {
    /// Starts watching.
    pub fn start(client: &Client) -> Self {
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let (tell, changed) = watch::channel(());
        let stop = CancellationToken::new();
        let pod_enis = watcher(Api::<PodEni>::all(client.clone()), watcher::Config::default());
        let interfaces = watcher(
            Api::<NetworkInterface>::all(client.clone()),
            watcher::Config::default(),
        );
        let (on_pod_eni, on_interface) = (seen.clone(), seen.clone());
        spawn(&stop, pod_enis, tell.clone(), move |event| {
            pod_eni(&mut on_pod_eni.lock(), event)
        });
        spawn(&stop, interfaces, tell, move |event| {
            interface(&mut on_interface.lock(), event)
        });
        Observer {
            seen,
            changed,
            _stop: stop.drop_guard(),
        }
    }

    /// What was seen so far.
    pub fn look<R>(&self, use_it: impl FnOnce(&mut Seen) -> R) -> R {
        use_it(&mut self.seen.lock())
    }

    /// Waits until `done` says so of what was seen; `check` may end the wait with an error meanwhile.
    pub async fn wait(
        &mut self,
        what: &str,
        patience: Duration,
        mut check: impl FnMut() -> anyhow::Result<()>,
        done: impl Fn(&Seen) -> bool,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + patience;
        loop {
            {
                let seen = self.seen.lock();
                if done(&seen) {
                    return Ok(());
                }
                if Instant::now() > deadline {
                    let (bound, interfaces) = (seen.bound.len(), seen.interfaces.len());
                    bail!("{what}: not within {patience:?}; {bound} bound, {interfaces} NetworkInterfaces");
                }
            }
            check()?;
            // The pause bounds how late a dead process is noticed.
            let _ = tokio::time::timeout(Duration::from_secs(1), self.changed.changed()).await;
        }
    }
}

fn spawn<K>(
    stop: &CancellationToken,
    events: impl Stream<Item = watcher::Result<watcher::Event<K>>> + Send + 'static,
    tell: watch::Sender<()>,
    mut take: impl FnMut(watcher::Event<K>) + Send + 'static,
) where
    K: Clone + Send + 'static,
{
    let mut events = events.default_backoff().boxed();
    let stop = stop.clone();
    tokio::spawn(async move {
        // Both may be dropped: an event that was not taken is lost with the whole watch.
        while let Some(Some(event)) = stop.run_until_cancelled(events.next()).await {
            // The watch begins anew by itself after an error.
            if let Ok(event) = event {
                take(event);
                let _ = tell.send(());
            }
        }
    });
}

fn pod_eni(seen: &mut Seen, event: watcher::Event<PodEni>) {
    if let watcher::Event::Apply(object) | watcher::Event::InitApply(object) = event
        && object
            .status
            .as_ref()
            .is_some_and(|status| status.phase == Phase::Bind)
    {
        seen.bound.entry(object.name_any()).or_insert_with(Instant::now);
    }
}

fn interface(seen: &mut Seen, event: watcher::Event<NetworkInterface>) {
    match event {
        watcher::Event::Init => seen.interfaces.clear(),
        watcher::Event::InitApply(object) | watcher::Event::Apply(object) => {
            seen.interfaces.insert(object.name_any());
        }
        watcher::Event::Delete(object) => {
            seen.interfaces.remove(&object.name_any());
            seen.last_gone = Some(Instant::now());
        }
        watcher::Event::InitDone => {}
    }
}
