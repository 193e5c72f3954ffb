//! Everything that a controller has at hand, on a scripted API server and a scripted cloud.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use prometheus_client::registry::Registry;
use terway_core::degradation::Degradation;
use terway_core::pod::{PodFacts, Settings};
use terway_process::events::{Queue, Writer};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{ApiServer, CloudServer};
use crate::config::Shared;
use crate::context::{Calls, Context, ControllerSettings, Queues};
use crate::degradation::DegradationSwitch;
use crate::events::{self, Events};
use crate::fresh_enis::FreshEnis;
use crate::intents::Attempts;
use crate::leadership::Term;
use crate::metrics::Metrics;
use crate::objects::kinds::Kind;
use crate::objects::{self, Caches};
use crate::vswitches::VSwitches;

/// A control plane that leads, without watches and workers.
pub(crate) struct Stage {
    pub api: ApiServer,
    pub cloud: CloudServer,
    pub context: Arc<Context>,
    told: Queue,
}

impl Stage {
    pub async fn set() -> Self {
        Self::with(Degradation::None).await
    }

    pub async fn with(degradation: Degradation) -> Self {
        let (api, cloud) = (ApiServer::default(), CloudServer::default());
        let connected = cloud.connect().await;
        let caches = Caches::default();
        let metrics = Metrics::register(&mut Registry::default());
        let (events, told) = Events::new(events::LIMITS, metrics.events_dropped.clone());
        let fresh = FreshEnis::new(10);
        fresh.follow(&caches);
        let attempts: Arc<Attempts> = Arc::default();
        attempts.follow(&caches);
        let settings = settings();
        let context = Context {
            write: objects::Writer::new(api.client(), caches.clone()),
            vswitches: Arc::new(VSwitches::new(connected.clone(), Duration::from_secs(600), 100)),
            caches,
            calls: Calls::new(connected.clone()),
            cloud: connected,
            events,
            metrics,
            queues: Queues::default(),
            limits: settings.limits,
            settings,
            attempts,
            fresh,
            term: Term {
                id: "term-1".into(),
                since: Timestamp::now(),
            },
            attaching: Default::default(),
            suspects: Arc::default(),
            background: TaskTracker::new(),
            degradation: DegradationSwitch::new(degradation),
        };
        Self {
            api,
            cloud,
            context: Arc::new(context),
            told,
        }
    }

    /// Puts an object into the API server and into its cache.
    pub fn put<K: Kind>(&self, object: &K) -> Arc<K> {
        let stored = self.api.put(object);
        K::cache(&self.context.caches).apply(stored, false)
    }

    /// Puts an object into the API server alone: the watch has not shown it yet.
    pub fn put_unseen<K: Kind>(&self, object: &K) {
        self.api.put(object);
    }

    /// Puts a pod into its cache.
    pub fn put_pod(&self, pod: PodFacts) {
        self.context.caches.pods.apply(pod, false);
    }

    /// `reason: note` of each event that was told so far.
    pub async fn events(self) -> Vec<String> {
        let stop = CancellationToken::new();
        stop.cancel();
        let writer = Writer::new(self.api.client(), "terway-controlplane", "test");
        writer.run(self.told, stop).await;
        self.api.events()
    }
}

fn settings() -> ControllerSettings {
    ControllerSettings {
        pods: Settings {
            cluster_id: "c1".into(),
            vpc_id: "vpc-1".into(),
            enable_trunk: true,
        },
        node_white_list: Default::default(),
        pod_workers: 1,
        pod_eni_workers: 1,
        interface_workers: 10,
        limits: Default::default(),
        shared: Shared {
            workers: 1,
            sync_period: Duration::from_secs(3600),
            pool_period: Duration::from_secs(3600),
            cooldown: Duration::from_secs(30),
        },
        sweep_period: Duration::from_secs(3600),
        controllers: Default::default(),
    }
}
