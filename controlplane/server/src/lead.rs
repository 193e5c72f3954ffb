//! One term of leadership: catch up, then run the controllers until the end of the process.

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use terway_cloud::Cloud;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::context::{Calls, Context, ControllerSettings, Queues};
use crate::degradation::DegradationSwitch;
use crate::events::Events;
use crate::fresh_enis::FreshEnis;
use crate::intents::Attempts;
use crate::leadership::Term;
use crate::metrics::Metrics;
use crate::network_interface::NetworkInterfaceController;
use crate::node::NodeController;
use crate::objects::{Caches, Writer};
use crate::pod::PodController;
use crate::pod_eni::PodEniController;
use crate::podnetworking::PodNetworkingController;
use crate::runtime::{Queue, Reconciler, worker};
use crate::vswitches::VSwitches;
use crate::{gc, triggers};

/// The parts of the process that a term needs.
#[derive(Clone)]
pub struct Parts {
    pub client: Client,
    pub caches: Caches,
    pub cloud: Cloud,
    pub events: Events,
    pub metrics: Metrics,
    pub queues: Queues,
    pub vswitches: Arc<VSwitches>,
    pub settings: ControllerSettings,
    pub degradation: DegradationSwitch,
}

/// Runs the controllers until `stop`, and then finishes the work under way.
pub async fn lead(parts: Parts, term: Term, stop: CancellationToken) {
    // Cancel safe: nothing is decided before the caches have caught up.
    tokio::select! {
        () = stop.cancelled() => return,
        () = catch_up(&parts) => {}
    }
    info!(term = term.id, "caches are up to date; controllers start");
    parts.metrics.leads.set(1);
    let client = parts.client.clone();
    let context = context(parts, term);
    let tasks = TaskTracker::new();
    let beside = CancellationToken::new();
    let news = triggers::forward_cloud_news(context.clone());
    tasks.spawn(beside.clone().run_until_cancelled_owned(news));
    let sweeps = gc::run(gc::Sweep::new(&context));
    tasks.spawn(beside.clone().run_until_cancelled_owned(sweeps));
    let settings = context.settings.clone();
    let queues = context.queues.clone();
    let start = Start {
        tasks: &tasks,
        context: &context,
        stop: &stop,
    };
    start.controller(PodController::new, queues.pods, settings.pod_workers);
    start.controller(PodEniController::new, queues.pod_enis, settings.pod_eni_workers);
    start.controller(
        NetworkInterfaceController::new,
        queues.interfaces,
        settings.interface_workers,
    );
    // Every pod wakes its node.
    start.controller(NodeController::new, queues.nodes, settings.shared.workers);
    let networkings = |context: &Context| PodNetworkingController::new(context, client);
    // One worker is enough: PodNetworkings are few and change rarely.
    start.controller(networkings, queues.networkings, 1);
    stop.cancelled().await;
    beside.cancel();
    tasks.close();
    tasks.wait().await;
    context.background.close();
    // Work that only waits has changed nothing. A call under way ends by its timeout.
    let _ = tokio::time::timeout(worker::DRAIN, context.background.wait()).await;
}

struct Start<'a> {
    tasks: &'a TaskTracker,
    context: &'a Context,
    stop: &'a CancellationToken,
}

impl Start<'_> {
    fn controller<R: Reconciler>(&self, make: impl FnOnce(&Context) -> R, queue: Arc<Queue>, places: usize) {
        if !self.context.settings.controllers.enabled(R::NAME) {
            info!(controller = R::NAME, "switched off");
            return;
        }
        let metrics = self.context.metrics.worker(R::NAME, places);
        let controller = Arc::new(make(self.context));
        self.tasks
            .spawn(worker::run(controller, queue, places, metrics, self.stop.clone()));
    }
}

fn context(parts: Parts, term: Term) -> Arc<Context> {
    let limits = parts.settings.limits;
    let fresh = FreshEnis::new(parts.settings.interface_workers);
    fresh.follow(&parts.caches);
    let attempts: Arc<Attempts> = Arc::default();
    attempts.follow(&parts.caches);
    Arc::new(Context {
        write: Writer::new(parts.client, parts.caches.clone()),
        caches: parts.caches,
        calls: Calls::new(parts.cloud.clone()),
        cloud: parts.cloud,
        events: parts.events,
        metrics: parts.metrics,
        queues: parts.queues,
        vswitches: parts.vswitches,
        fresh,
        settings: parts.settings,
        attempts,
        term,
        limits,
        attaching: Arc::default(),
        suspects: Arc::default(),
        background: TaskTracker::new(),
        degradation: parts.degradation,
    })
}

/// Catches up, and tries until it succeeds. A leader that decides on old caches is worse than no leader.
async fn catch_up(parts: &Parts) {
    parts.caches.wait_synced().await;
    loop {
        match parts.caches.catch_up(&parts.client).await {
            Ok(()) => return,
            Err(error) => {
                warn!(
                    error = &error as &dyn std::error::Error,
                    "comparing the caches with a fresh list"
                );
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}
