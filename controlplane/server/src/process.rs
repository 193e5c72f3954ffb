//! The process: what is started in which order, and ended in which.
//!
//! Start: definitions, caches, webhook, then the election; ready before it is elected. End: the
//! controllers finish what is under way, then the lease is given back, then the webhook closes, so
//! that another replica takes over while this one still answers admissions.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use kube::Client;
use prometheus_client::registry::Registry;
use terway_cloud::{CloudMetrics, Endpoints};
use terway_core::pod::Settings as PodSettings;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::apiserver::Connection;
use crate::certificates::Keeper;
use crate::cloud::TroubleMetrics;
use crate::config::Config;
use crate::context::{ControllerSettings, Queues};
use crate::degradation::DegradationSwitch;
use crate::events::events;
use crate::health::{self, Readiness};
use crate::lead::{Parts, lead};
use crate::leadership::{Candidate, Leadership, Times};
use crate::metrics::Metrics;
use crate::objects::Caches;
use crate::vswitches::VSwitches;
use crate::webhook::{self, Webhook};
use crate::{cloud, crd_install, triggers};

/// Time between two tries of what must work before anything else can.
const RETRY: Duration = Duration::from_secs(2);
/// vSwitches remembered at most, upstream's default.
const VSWITCH_POOL: usize = 1000;

/// Tasks that must not end before the process does, by name.
type Essential = JoinSet<anyhow::Result<&'static str>>;

/// Runs the control plane until `stop`. `endpoints` replaces what the environment says.
///
/// # Errors
/// When it cannot start, or when something it needs ended.
pub async fn run(
    config: Config,
    apiserver: Connection,
    endpoints: Option<Endpoints>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let Connection {
        watches,
        requests: client,
    } = apiserver;
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    let cloud_metrics = CloudMetrics::register(&mut registry);
    let trouble_metrics = TroubleMetrics::register(&mut registry);
    let registry = Arc::new(registry);
    let readiness = Arc::new(Readiness::default());
    let mut tasks: Essential = JoinSet::new();
    // The servers outlive the controllers, so they have a stop of their own.
    let close = CancellationToken::new();

    let caches = Caches {
        stateful_kinds: config.settings.custom_stateful_workload_kinds.clone().into(),
        node_white_list: Arc::new(config.settings.node_label_white_list.clone()),
        ..Caches::default()
    };
    let pending = caches.clone();
    readiness.add(move || {
        pending
            .pending()
            .into_iter()
            .map(|name| format!("cache of {name}"))
            .collect()
    });
    serve_health(&config, &readiness, registry, &mut tasks, &close).await?;

    let leadership = Leadership::new();
    // Cancel-safe: nothing else has begun.
    let cloud = tokio::select! {
        () = stop.cancelled() => return Ok(()),
        cloud = cloud::connect(&config, endpoints, leadership.clone(), cloud_metrics, &readiness) => {
            cloud.context("connecting to the cloud")?
        }
    };
    let queues = Queues::default();
    triggers::connect(&caches, &queues);
    if !until_stopped(install(&client), &stop).await {
        return Ok(());
    }
    for (name, feed) in caches.feeds(&watches) {
        tasks.spawn(async move {
            feed.await;
            Ok(name)
        });
    }
    // Cancel-safe: the process ends when this is not finished.
    tokio::select! {
        () = stop.cancelled() => return Ok(()),
        served = serve_webhook(&config, &client, &caches, &readiness, &mut tasks, &close) => served?,
    }

    let identity = config.holder();
    let (news, writer) = events(
        client.clone(),
        &config.settings.controller_name,
        &identity,
        metrics.events(),
    );
    let writing = tokio::spawn(writer.run(close.clone()));
    let telling = cloud::tell(
        cloud.troubles(),
        cloud::about(&config),
        news.clone(),
        trouble_metrics,
    );
    tokio::spawn(close.clone().run_until_cancelled_owned(telling));
    let release = CancellationToken::new();
    elect(&config, &client, &leadership, &identity, &mut tasks, &release);
    let degradation = follow_degradation(&config, &mut tasks, &queues, &caches);
    let parts = Parts {
        vswitches: Arc::new(VSwitches::new(
            cloud.clone(),
            config.settings.vswitch_cache_ttl,
            VSWITCH_POOL,
        )),
        client,
        caches,
        cloud,
        events: news,
        metrics,
        queues,
        settings: controller_settings(&config),
        degradation,
    };
    let halt = CancellationToken::new();
    let leading = tokio::spawn(decide(parts, leadership, halt.clone()));

    let result = watch(&mut tasks, &stop).await;
    if result.is_ok() {
        info!("stopping: controllers finish what is under way");
        halt.cancel();
        leading.await.context("a controller panicked")?;
        release.cancel();
        // Time to give the lease back; whoever waits for it has it sooner than by its end.
        let _ = tokio::time::timeout(Duration::from_secs(5), wait_for(&mut tasks, "election")).await;
        close.cancel();
        let _ = tokio::time::timeout(Duration::from_secs(5), writing).await;
    }
    result
}

async fn decide(parts: Parts, leadership: Arc<Leadership>, halt: CancellationToken) {
    // Cancel-safe: waiting for the term changes nothing.
    let term = tokio::select! {
        () = halt.cancelled() => return,
        term = leadership.wait_for_term() => term,
    };
    lead(parts, term, halt).await;
}

/// Waits for the stop; the end of any essential task before it is an error.
async fn watch(tasks: &mut Essential, stop: &CancellationToken) -> anyhow::Result<()> {
    // Cancel-safe: a joined task is handled in the same arm.
    tokio::select! {
        () = stop.cancelled() => Ok(()),
        ended = tasks.join_next() => match ended {
            Some(Ok(Ok(name))) => bail!("{name} ended by itself"),
            Some(Ok(Err(error))) => Err(error),
            Some(Err(panic)) => Err(anyhow!(panic).context("a task panicked")),
            None => bail!("nothing runs"),
        },
    }
}

async fn wait_for(tasks: &mut Essential, name: &str) {
    while let Some(ended) = tasks.join_next().await {
        if matches!(ended, Ok(Ok(ended)) if ended == name) {
            return;
        }
    }
}

/// Whether `work` came to its end before the stop.
async fn until_stopped(work: impl Future<Output = ()>, stop: &CancellationToken) -> bool {
    tokio::select! {
        () = stop.cancelled() => false,
        () = work => true,
    }
}

async fn install(client: &Client) {
    while let Err(error) = crd_install::ensure(client).await {
        warn!(
            error = &error as &dyn std::error::Error,
            "the definitions are not in place yet"
        );
        tokio::time::sleep(RETRY).await;
    }
}

async fn serve_health(
    config: &Config,
    readiness: &Arc<Readiness>,
    registry: Arc<Registry>,
    tasks: &mut Essential,
    close: &CancellationToken,
) -> anyhow::Result<()> {
    if let Some(address) = config.settings.healthz_bind_address {
        let listener = health::listen("healthzBindAddress", address).await?;
        let serving = health::serve_health(listener, readiness.clone(), close.clone());
        tasks.spawn(async move {
            serving.await;
            Ok("the health server")
        });
    }
    if let Some(address) = config.settings.metrics_bind_address {
        let listener = health::listen("metricsBindAddress", address).await?;
        let serving = health::serve_metrics(listener, registry, close.clone());
        tasks.spawn(async move {
            serving.await;
            Ok("the metrics server")
        });
    }
    Ok(())
}

async fn serve_webhook(
    config: &Config,
    client: &Client,
    caches: &Caches,
    readiness: &Arc<Readiness>,
    tasks: &mut Essential,
    close: &CancellationToken,
) -> anyhow::Result<()> {
    if config.settings.disable_webhook {
        info!("the webhook is switched off");
        return Ok(());
    }
    let address = SocketAddr::from(([0, 0, 0, 0], config.settings.webhook_port));
    let listener = webhook::bind(address)?;
    let served = Arc::new(AtomicBool::new(false));
    let serving = served.clone();
    readiness.add(move || match serving.load(Ordering::Relaxed) {
        true => Vec::new(),
        false => vec!["webhook".to_owned()],
    });
    let keeper = certificate(config, client).await;
    let webhook = Webhook::new(client.clone(), caches.clone(), &config.settings);
    let pending = webhook.clone();
    readiness.add(move || {
        pending
            .pending()
            .into_iter()
            .map(|name| format!("webhook's {name}"))
            .collect()
    });
    let feed = webhook.feed();
    tasks.spawn(async move {
        feed.await;
        Ok("the watch of namespaces")
    });
    let tls = keeper.tls();
    let stop = close.clone();
    tasks.spawn(async move {
        keeper.run(stop).await;
        Ok("the keeper of the certificate")
    });
    let stop = close.clone();
    tasks.spawn(async move {
        webhook::serve(webhook, listener, tls, stop).await?;
        Ok("the webhook")
    });
    // What connects from now on waits in the listener's queue at the worst.
    served.store(true, Ordering::Relaxed);
    Ok(())
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

fn elect(
    config: &Config,
    client: &Client,
    leadership: &Arc<Leadership>,
    identity: &str,
    tasks: &mut Essential,
    release: &CancellationToken,
) {
    if !config.settings.leader_election {
        leadership.lead_alone(identity);
        return;
    }
    let times = &config.settings.lease;
    let candidate = Candidate {
        namespace: config.settings.controller_namespace.clone(),
        lease: config.settings.controller_name.clone(),
        identity: identity.to_owned(),
        times: Times {
            lease_duration: times.duration,
            renew_deadline: times.renew_deadline,
            retry_period: times.retry_period,
        },
    };
    let (leadership, client, release) = (leadership.clone(), client.clone(), release.clone());
    tasks.spawn(async move {
        leadership.compete(client, candidate, release).await?;
        Ok("election")
    });
}

fn follow_degradation(
    config: &Config,
    tasks: &mut Essential,
    queues: &Queues,
    caches: &Caches,
) -> DegradationSwitch {
    let switch = DegradationSwitch::new(config.settings.degradation);
    let (queues, caches) = (queues.clone(), caches.clone());
    let following = switch.clone().follow(config.flags.clone(), move || {
        triggers::wake_held_back(&caches, &queues);
    });
    tasks.spawn(async move {
        following.await;
        Ok("the watch of the settings")
    });
    switch
}

fn controller_settings(config: &Config) -> ControllerSettings {
    let settings = &config.settings;
    let names = ["pod", "pod-eni", "eni", "node", "pod-networking"];
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
        node_workers: settings.node_max_concurrent,
        shared: settings.shared,
        limits: settings.cloud_times.limits,
        sweep_period: settings.cloud_times.sweep_period,
        controllers: names
            .into_iter()
            .filter(|name| settings.controllers.enabled(name))
            .map(str::to_owned)
            .collect(),
    }
}
