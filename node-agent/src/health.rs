//! The agent's answers to probes and to Prometheus.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use futures::FutureExt;
use prometheus_client::registry::Registry;
use terway_process::pages::{self, Alive, Refresh};
use terway_process::readiness::Readiness;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

use crate::cluster::watches::Connection;
use crate::kernel::Kernel;
use crate::metrics::Metrics;

/// The datapath answers within milliseconds. A datapath that does not answer in this time hangs.
const DATAPATH_PATIENCE: Duration = Duration::from_secs(4);
/// How old an answer of the datapath may be that a page shows.
const FRESH: Duration = Duration::from_secs(1);

/// The datapath, once it has started.
type Started = Arc<OnceLock<Arc<dyn Kernel>>>;

/// What the pages show.
#[derive(Clone)]
pub struct Probes {
    /// What the agent waits for.
    pub readiness: Readiness,
    /// Whether the API server answers.
    pub connection: Connection,
    pub metrics: Metrics,
    /// The datapath, once it has started.
    pub kernel: Started,
    registry: Arc<Registry>,
    listing: Kept<()>,
    counting: Kept<()>,
}

impl Default for Probes {
    fn default() -> Self {
        let mut registry = Registry::default();
        terway_process::build::register(&mut registry);
        let probes = Self {
            readiness: Readiness::default(),
            connection: Connection::default(),
            metrics: Metrics::register(&mut registry),
            kernel: Started::default(),
            registry: Arc::new(registry),
            listing: Kept::default(),
            counting: Kept::default(),
        };
        let connection = probes.connection.clone();
        probes.readiness.check(move || lost(&connection));
        probes
    }
}

fn lost(connection: &Connection) -> Vec<String> {
    let lost = connection.lost_for();
    let words = |lost: Duration| format!("the API server, which has not answered for {} s", lost.as_secs());
    lost.map(words).into_iter().collect()
}

impl Probes {
    /// `/healthz`, `/readyz` and `/metrics`.
    pub fn all(&self) -> Router {
        let (kernel, listing) = (self.kernel.clone(), self.listing.clone());
        let alive = move || alive(kernel.clone(), listing.clone());
        pages::health(self.readiness.clone(), alive).merge(self.metrics())
    }

    /// `/metrics` alone.
    pub fn metrics(&self) -> Router {
        let (kernel, metrics, counting) = (self.kernel.clone(), self.metrics.clone(), self.counting.clone());
        let refresh: Refresh =
            Arc::new(move || count_packets(kernel.clone(), metrics.clone(), counting.clone()).boxed());
        pages::metrics(self.registry.clone(), Some(refresh))
    }
}

/// The agent is alive while the thread of the datapath answers. Errors of the kernel do not count: a restart of the
/// agent does not cure them.
async fn alive(kernel: Started, listing: Kept<()>) -> Alive {
    let Some(kernel) = kernel.get().cloned() else {
        return Ok("starting");
    };
    if kernel.ended().now_or_never().is_some() {
        return Err("the datapath has ended");
    }
    let answers = async move { drop(kernel.sandboxes().await) };
    match listing.get(answers).await {
        Some(()) => Ok("ok"),
        None => Err("the datapath does not answer"),
    }
}

/// Takes over the kernel's packet counters. When they cannot be read, the last ones stand: a scrape that fails as a
/// whole would hide the other metrics.
async fn count_packets(kernel: Started, metrics: Metrics, counting: Kept<()>) {
    let Some(kernel) = kernel.get().cloned() else {
        return;
    };
    // Counters that do not come in time are taken over when they come.
    let _in_time = counting
        .get(async move {
            if let Ok(counters) = kernel.packets().await {
                metrics.packets(&counters);
            }
        })
        .await;
}

/// An answer of the datapath that is asked for once a second at most. Whoever asks more often gets the last answer: ADD
/// and DEL wait for the same thread, and anybody on the node may ask for these pages.
#[derive(Clone)]
struct Kept<T>(Arc<Mutex<Option<(Instant, T)>>>);

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T: Clone + Send + 'static> Kept<T> {
    /// The last answer, or a new one by `ask`; `None` when it does not come in time.
    async fn get(&self, ask: impl Future<Output = T> + Send + 'static) -> Option<T> {
        let deadline = Instant::now() + DATAPATH_PATIENCE;
        let mut last = timeout_at(deadline, self.0.clone().lock_owned()).await.ok()?;
        if let Some((at, answer)) = &*last
            && at.elapsed() < FRESH
        {
            return Some(answer.clone());
        }
        // The question goes on when nobody waits for it any more. It keeps the lock, so no second question joins it.
        let asking = tokio::spawn(async move {
            let answer = ask.await;
            *last = Some((Instant::now(), answer.clone()));
            answer
        });
        timeout_at(deadline, asking).await.ok()?.ok()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use futures::future::join_all;

    use super::*;
    use crate::scripted::ScriptedKernel;

    async fn healthz(probes: &Probes) -> Alive {
        alive(probes.kernel.clone(), probes.listing.clone()).await
    }

    #[tokio::test]
    async fn the_agent_is_alive_until_the_datapath_has_ended() {
        let probes = Probes::default();
        assert_eq!(healthz(&probes).await, Ok("starting"));
        let kernel = Arc::<ScriptedKernel>::default();
        assert!(probes.kernel.set(kernel.clone()).is_ok());
        *kernel.blind.lock() = true;
        assert_eq!(healthz(&probes).await, Ok("ok"), "an error is an answer");
        kernel.ended.cancel();
        assert_eq!(healthz(&probes).await, Err("the datapath has ended"));
    }

    #[tokio::test(start_paused = true)]
    async fn many_visits_ask_the_datapath_once_a_second() {
        let probes = Probes::default();
        let kernel = Arc::<ScriptedKernel>::default();
        assert!(probes.kernel.set(kernel.clone()).is_ok());
        let scrape = || {
            let counting = probes.counting.clone();
            count_packets(probes.kernel.clone(), probes.metrics.clone(), counting)
        };
        for second in 1..=2 {
            join_all((0..100).map(|_| healthz(&probes))).await;
            join_all((0..100).map(|_| scrape())).await;
            let asked = [&kernel.listed, &kernel.counted].map(|count| count.load(Ordering::Relaxed));
            assert_eq!(asked, [second, second]);
            tokio::time::sleep(FRESH).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_datapath_that_hangs_is_asked_one_question() {
        let kept = Kept::default();
        let (answer, answered) = tokio::sync::oneshot::channel();
        assert_eq!(kept.get(async { answered.await.unwrap() }).await, None);
        let asked_again = Arc::<AtomicBool>::default();
        let second = asked_again.clone();
        let second = async move {
            second.store(true, Ordering::Relaxed);
            9
        };
        assert_eq!(kept.get(second).await, None);
        assert!(!asked_again.load(Ordering::Relaxed));
        answer.send(7).unwrap();
        assert_eq!(kept.get(async { 8 }).await, Some(7), "the answer that came late");
    }
}
