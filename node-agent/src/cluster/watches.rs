//! The four watches. The API server limits each of them to objects of this node.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::api::PartialObjectMeta;
use kube::core::DeserializeGuard;
use kube::runtime::watcher;
use kube::{Api, Client, Resource};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use terway_crds::names::label;
use terway_crds::{NodeRuntime, PodEni, TerwayNode};
use terway_process::WatchPauses;
use tracing::{info, warn};

use super::{Cluster, ClusterView, NodeView, PodEniView, PodKey, PodView, Table};

/// How long the API server may fail before the agent is not ready any more. Pods keep their network without the API
/// server.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether the watches reach the API server.
#[derive(Clone, Default)]
pub struct Connection {
    // The first and the latest failure of the current series.
    failing: Arc<Mutex<Option<(Instant, Instant)>>>,
}

impl Connection {
    fn failed(&self) {
        let now = Instant::now();
        let mut failing = self.failing.lock();
        *failing = match *failing {
            // While the API server is away, a failure repeats every few seconds (WatchPauses). A gap of PATIENCE
            // therefore ends a series.
            Some((since, last)) if now.duration_since(last) < PATIENCE => Some((since, now)),
            _ => Some((now, now)),
        };
    }

    fn succeeded(&self) {
        *self.failing.lock() = None;
    }

    /// For how long the API server has not been reached; `None` for less than a minute.
    pub fn lost_for(&self) -> Option<Duration> {
        let (since, last) = (*self.failing.lock())?;
        let lost = since.elapsed();
        (last.elapsed() < PATIENCE && lost > PATIENCE).then_some(lost)
    }
}

/// A watch as a future. The future ends only when it is dropped.
pub type Watch = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The watches of a node.
pub fn all(
    client: &Client,
    node: &str,
    cluster: &Cluster,
    connection: &Connection,
) -> Vec<(&'static str, Watch)> {
    let feed = |name| Feed {
        name,
        cluster: cluster.clone(),
        connection: connection.clone(),
    };
    let pods = Api::<PartialObjectMeta<Pod>>::all(client.clone());
    let pod_enis = Api::<DeserializeGuard<PodEni>>::all(client.clone());
    let nodes = Api::<DeserializeGuard<TerwayNode>>::all(client.clone());
    let runtimes = Api::<NodeRuntime>::all(client.clone());
    let own = watcher::Config::default().fields(&format!("metadata.name={node}"));
    vec![
        (
            "watch of pods",
            Box::pin(feed("pods").run(
                pods,
                watcher::Config::default().fields(&format!("spec.nodeName={node}")),
                |state| &mut state.pods,
                |pod| PodView::new(&pod.metadata),
            )),
        ),
        (
            "watch of podenis",
            Box::pin(feed("podenis").run(
                pod_enis,
                watcher::Config::default().labels(&format!("{}={node}", label::NODE)),
                |state| &mut state.pod_enis,
                |object| match &object.0 {
                    Ok(pod_eni) => PodEniView::new(pod_eni),
                    Err(invalid) => PodEniView::unreadable(invalid),
                },
            )),
        ),
        (
            "watch of this node",
            Box::pin(feed("nodes").run(
                nodes,
                own.clone(),
                |state| &mut state.node,
                |object| match &object.0 {
                    Ok(node) => NodeView::new(node),
                    Err(invalid) => NodeView::unreadable(&invalid.error),
                },
            )),
        ),
        (
            "watch of this node's runtime",
            Box::pin(feed("noderuntimes").run(runtimes, own, |state| &mut state.runtime, Clone::clone)),
        ),
    ]
}

struct Feed {
    name: &'static str,
    cluster: Cluster,
    connection: Connection,
}

impl Feed {
    async fn run<K, V>(
        self,
        api: Api<K>,
        config: watcher::Config,
        table: fn(&mut ClusterView) -> &mut Table<V>,
        view: fn(&K) -> V,
    ) where
        K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
        V: PartialEq + Send,
    {
        let events = watcher::watcher(api, config);
        let mut pauses = WatchPauses::default();
        let mut events =
            Box::pin(events.map_ok(|event| map(event, |object| (PodKey::of(&object), view(&object)))));
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => {
                    pauses.succeeded(&event);
                    self.connection.succeeded();
                    self.take(event, table);
                }
                Err(error) => {
                    self.connection.failed();
                    warn!(
                        kind = self.name,
                        error = &error as &dyn std::error::Error,
                        "watch failed, trying again"
                    );
                    tokio::time::sleep(pauses.after(&self.name, &error)).await;
                }
            }
        }
    }

    fn take<V: PartialEq>(
        &self,
        event: watcher::Event<(PodKey, V)>,
        table: fn(&mut ClusterView) -> &mut Table<V>,
    ) {
        let listed = matches!(event, watcher::Event::InitDone);
        self.cluster.update_if(|state| table(state).apply(event));
        if listed {
            info!(kind = self.name, "list received");
        }
    }
}

fn map<K, T>(event: watcher::Event<K>, f: impl FnOnce(K) -> T) -> watcher::Event<T> {
    match event {
        watcher::Event::Apply(object) => watcher::Event::Apply(f(object)),
        watcher::Event::Delete(object) => watcher::Event::Delete(f(object)),
        watcher::Event::Init => watcher::Event::Init,
        watcher::Event::InitApply(object) => watcher::Event::InitApply(f(object)),
        watcher::Event::InitDone => watcher::Event::InitDone,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_server_is_lost_after_a_minute_of_failures_and_back_with_one_success() {
        let connection = Connection::default();
        connection.failed();
        assert_eq!(connection.lost_for(), None);
        let long_ago = Instant::now() - 2 * PATIENCE;
        *connection.failing.lock() = Some((long_ago, Instant::now()));
        connection.failed();
        assert!(connection.lost_for().is_some_and(|lost| lost >= 2 * PATIENCE));
        // The last failure is longer ago than the longest backoff. The watch is connected, and nothing has happened
        // since.
        *connection.failing.lock() = Some((long_ago, long_ago + PATIENCE / 2));
        assert_eq!(connection.lost_for(), None);
        connection.failed();
        assert_eq!(connection.lost_for(), None, "a new series");
        connection.succeeded();
        assert!(connection.failing.lock().is_none());
    }
}
