//! The process: a list of its tasks, by the stage in which they end.
//!
//! Start: definitions, caches, webhook, then the election; the process is ready before it is elected. End: the
//! controllers finish the work under way, then the lease is given back, then the webhook closes. Another replica thus
//! takes over while this one still answers admissions.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use kube::Client;
use prometheus_client::registry::Registry;
use terway_cloud::{Cloud, CloudMetrics, Endpoints};
use terway_core::pod::Settings as PodSettings;
use terway_process::events::Writer;
use terway_process::lifecycle::{AfterFailure, Lifecycle, Stage};
use terway_process::readiness::Readiness;
use terway_process::{build, pages};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::apiserver::Connection;
use crate::certificates::Keeper;
use crate::cloud::TroubleMetrics;
use crate::config::Config;
use crate::context::{ControllerSettings, Queues};
use crate::degradation::DegradationSwitch;
use crate::events::{self, Events};
use crate::lead::{Parts, lead};
use crate::leadership::{Candidate, Leadership};
use crate::metrics::Metrics;
use crate::objects::Caches;
use crate::vswitches::VSwitches;
use crate::webhook::{self, Webhook};
use crate::{cloud, crd_install, trace, triggers};

/// Time between two tries of a step that must succeed before the next steps.
const RETRY: Duration = Duration::from_secs(2);
/// Largest number of cached vSwitches, as in upstream.
const VSWITCH_POOL: usize = 1000;

/// Limits of the stages of the end.
const CONTROLLERS_END_WITHIN: Duration = Duration::from_secs(17);
/// A released lease lets another replica lead before the lease would end.
const LEASE_ENDS_WITHIN: Duration = Duration::from_secs(4);
const SERVERS_END_WITHIN: Duration = Duration::from_secs(5);
/// The chart's terminationGracePeriodSeconds. The kubelet kills the process after this time.
const GRACE: Duration = Duration::from_secs(30);
const _: () = {
    let end = CONTROLLERS_END_WITHIN.as_secs() + LEASE_ENDS_WITHIN.as_secs() + SERVERS_END_WITHIN.as_secs();
    assert!(end + trace::ENDS_WITHIN.as_secs() < GRACE.as_secs());
};

/// Runs the control plane until `stop`. `endpoints` replaces the cloud's addresses of the environment.
///
/// # Errors
/// When the process cannot start, or when a task that it needs ended.
pub async fn run(
    config: Config,
    apiserver: Connection,
    endpoints: Option<Endpoints>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    // A failure drops the controllers at once, because a process without its lease must not decide anything.
    let life = Lifecycle::new(AfterFailure::DropAll).stopped_by(stop);
    let began = life.run(async |life: &mut Lifecycle| {
        let tasks = Tasks {
            controllers: life.stage("controllers", CONTROLLERS_END_WITHIN),
            lease: life.stage("lease", LEASE_ENDS_WITHIN),
            servers: life.stage("servers", SERVERS_END_WITHIN),
            life,
        };
        start(&config, apiserver, endpoints, tasks).await
    });
    Ok(began.await?)
}

/// The tasks of the process, and the stages in the order in which they end.
struct Tasks<'a> {
    life: &'a mut Lifecycle,
    controllers: Stage,
    lease: Stage,
    servers: Stage,
}

async fn start(
    config: &Config,
    apiserver: Connection,
    endpoints: Option<Endpoints>,
    mut tasks: Tasks<'_>,
) -> anyhow::Result<()> {
    let Connection {
        watches,
        requests: client,
    } = apiserver;
    let mut registry = Registry::default();
    build::register(&mut registry);
    let metrics = Metrics::register(&mut registry);
    let cloud_metrics = CloudMetrics::register(&mut registry);
    let trouble_metrics = TroubleMetrics::register(&mut registry);
    let readiness = Readiness::default();
    let caches = caches(config, &readiness);
    tasks.serve_pages(config, &readiness, registry).await?;

    let leadership = Leadership::new();
    let fence = leadership.clone();
    let cloud = cloud::connect(config, endpoints, fence, cloud_metrics, &readiness)
        .await
        .context("connecting to the cloud")?;
    let queues = Queues::default();
    triggers::connect(&caches, &queues);
    install_definitions(&client).await;
    for (name, feed) in caches.feeds(&watches) {
        tasks.life.spawn_endless(tasks.servers, name, feed);
    }
    tasks.serve_webhook(config, &client, &caches, &readiness).await?;

    let events = tasks.write_events(config, &client, &metrics);
    let about = cloud::about(config);
    let telling = cloud::tell(cloud.troubles(), about, events.clone(), trouble_metrics);
    tasks
        .life
        .spawn_endless(tasks.servers, "the news of the cloud", telling);
    tasks.elect(config, &client, &leadership);
    let degradation = tasks.follow_degradation(config, &queues, &caches);
    let parts = Parts {
        vswitches: vswitches(config, &cloud),
        client,
        caches,
        cloud,
        events,
        metrics,
        queues,
        settings: controller_settings(config),
        degradation,
    };
    tasks.decide(parts, leadership);
    Ok(())
}

impl Tasks<'_> {
    async fn serve_pages(
        &mut self,
        config: &Config,
        readiness: &Readiness,
        registry: Registry,
    ) -> anyhow::Result<()> {
        if let Some(address) = config.settings.healthz_bind_address {
            let listener = pages::listen("healthzBindAddress", address).await?;
            let health = pages::health(readiness.clone(), async || Ok("ok"));
            self.life.spawn(self.servers, "the health server", |stop| {
                pages::serve(listener, health, stop)
            });
        }
        if let Some(address) = config.settings.metrics_bind_address {
            let listener = pages::listen("metricsBindAddress", address).await?;
            let metrics = pages::metrics(Arc::new(registry), None);
            self.life.spawn(self.servers, "the metrics server", |stop| {
                pages::serve(listener, metrics, stop)
            });
        }
        Ok(())
    }

    async fn serve_webhook(
        &mut self,
        config: &Config,
        client: &Client,
        caches: &Caches,
        readiness: &Readiness,
    ) -> anyhow::Result<()> {
        if config.settings.disable_webhook {
            info!("the webhook is switched off");
            return Ok(());
        }
        let pending = readiness.pending("webhook");
        let listener = webhook::bind(SocketAddr::from(([0, 0, 0, 0], config.settings.webhook_port)))?;
        let keeper = certificate(config, client).await;
        let webhook = Webhook::new(client.clone(), caches.clone(), &config.settings);
        let tls = keeper.tls();
        self.life
            .spawn(self.servers, "the keeper of the certificate", |stop| async move {
                keeper.run(stop).await;
                anyhow::Ok(())
            });
        self.life.spawn(self.servers, "the webhook", |stop| {
            webhook::serve(webhook, listener, tls, stop)
        });
        // A connection that comes before the task runs waits in the listener's queue.
        drop(pending);
        Ok(())
    }

    fn write_events(&mut self, config: &Config, client: &Client, metrics: &Metrics) -> Events {
        let (events, queue) = Events::new(events::LIMITS, metrics.events_dropped.clone());
        let writer = Writer::new(client.clone(), &config.settings.controller_name, &config.holder());
        self.life
            .spawn(self.servers, "the event writer", |stop| async move {
                writer.run(queue, stop).await;
                anyhow::Ok(())
            });
        events
    }

    fn elect(&mut self, config: &Config, client: &Client, leadership: &Arc<Leadership>) {
        if !config.settings.leader_election {
            leadership.lead_alone(&config.holder());
            return;
        }
        let candidate = Candidate {
            namespace: config.settings.controller_namespace.clone(),
            lease: config.settings.controller_name.clone(),
            identity: config.holder(),
            times: config.settings.lease,
        };
        let (leadership, client) = (leadership.clone(), client.clone());
        self.life.spawn(self.lease, "the election", |release| async move {
            leadership.compete(client, candidate, release).await
        });
    }

    fn follow_degradation(&mut self, config: &Config, queues: &Queues, caches: &Caches) -> DegradationSwitch {
        let switch = DegradationSwitch::new(config.settings.degradation);
        let (queues, caches) = (queues.clone(), caches.clone());
        let following = switch.clone().follow(config.flags.clone(), move || {
            triggers::wake_held_back(&caches, &queues);
        });
        self.life
            .spawn_endless(self.servers, "the watch of the settings", following);
        switch
    }

    fn decide(&mut self, parts: Parts, leadership: Arc<Leadership>) {
        self.life
            .spawn(self.controllers, "the controllers", |halt| async move {
                if let Some(term) = halt.run_until_cancelled(leadership.wait_for_term()).await {
                    lead(parts, term, halt).await;
                }
                anyhow::Ok(())
            });
    }
}

fn caches(config: &Config, readiness: &Readiness) -> Caches {
    let caches = Caches {
        stateful_kinds: config.settings.custom_stateful_workload_kinds.clone().into(),
        node_white_list: Arc::new(config.settings.node_label_white_list.clone()),
        ..Caches::default()
    };
    let unsynced = caches.clone();
    readiness.check(move || {
        let names = unsynced.pending().into_iter();
        names.map(|name| format!("cache of {name}")).collect()
    });
    caches
}

fn vswitches(config: &Config, cloud: &Cloud) -> Arc<VSwitches> {
    let ttl = config.settings.vswitch_cache_ttl;
    Arc::new(VSwitches::new(cloud.clone(), ttl, VSWITCH_POOL))
}

/// Tries until the CustomResourceDefinitions are in place.
async fn install_definitions(client: &Client) {
    while let Err(error) = crd_install::ensure(client).await {
        warn!(
            error = &error as &dyn std::error::Error,
            "the definitions are not in place yet"
        );
        tokio::time::sleep(RETRY).await;
    }
}

/// Tries until there is a certificate that the API server trusts.
async fn certificate(config: &Config, client: &Client) -> Keeper {
    loop {
        match Keeper::start(client.clone(), (&config.settings).into()).await {
            Ok(keeper) => return keeper,
            Err(error) => {
                warn!(
                    error = &error as &dyn std::error::Error,
                    "there is no certificate for the webhook yet"
                );
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

fn controller_settings(config: &Config) -> ControllerSettings {
    let settings = &config.settings;
    ControllerSettings {
        pods: PodSettings {
            cluster_id: settings.cluster_id.clone(),
            vpc_id: settings.vpc_id.clone(),
            enable_trunk: settings.enable_trunk,
        },
        node_white_list: settings.node_label_white_list.clone(),
        pod_workers: settings.pod_max_concurrent,
        pod_eni_workers: settings.pod_eni_max_concurrent,
        interface_workers: settings.eni_max_concurrent,
        shared: settings.shared,
        limits: settings.cloud_times.limits,
        sweep_period: settings.cloud_times.sweep_period,
        controllers: settings.controllers.clone(),
    }
}
