//! What starts in which order.
//!
//! First the probes, which must answer while anything below waits; then the lock, the datapath, the
//! watches, and the socket as early as possible, because a DEL needs nothing but the kernel. The CNI
//! configuration comes last: with it the node becomes Ready and pods are sent here. It stays when the
//! agent ends.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use anyhow::{Context, ensure};
use kube::Client;
use serde_json::Value;
use tracing::{info, warn};

use crate::args::RunArgs;
use crate::datapath::{Datapath, DatapathConfig};
use crate::events::{self, Announcer};
use crate::health::{self, Pending, Probes, Readiness};
use crate::kernel::Kernel;
use crate::lifecycle::Lifecycle;
use crate::lock::{self, Lock};
use crate::metrics::Metrics;
use crate::server::{Agent, ApiPods, listen};
use crate::settings::{self, Settings, conflist};
use crate::world::World;
use crate::world::watches::{self, Connection};
use crate::{reconcile, report};

/// The node's own interface, whose MTU `auto_mtu` takes.
const HOST_INTERFACE_MTU: &str = "/sys/class/net/eth0/mtu";

/// Run the agent on the kernel of this node until a signal, or until one of its parts fails.
pub async fn run(args: RunArgs) -> anyhow::Result<()> {
    crate::datapath::set_sysctl_net(args.sysctl_dir.clone());
    let (node_ip, pin_directory) = (args.node_ip, args.bpf_dir.clone());
    let client = Client::try_default()
        .await
        .context("cannot find the API server's address and credentials")?;
    let datapath = async |settings: Settings| {
        let config = DatapathConfig {
            node_ip,
            pin_directory,
            symmetric: settings.symmetric,
            ..DatapathConfig::default()
        };
        Ok(Arc::new(Datapath::start(config).await?) as Arc<dyn Kernel>)
    };
    let life = Lifecycle::default();
    life.stop_on_signals().context("cannot listen for signals")?;
    run_with(args, client, datapath, life).await
}

/// The same with another API server and another datapath, which is started when this agent has the
/// lock. Dropping it ends the agent at once, as a kill does.
pub async fn run_with(
    args: RunArgs,
    client: Client,
    datapath: impl AsyncFnOnce(Settings) -> anyhow::Result<Arc<dyn Kernel>>,
    mut life: Lifecycle,
) -> anyhow::Result<()> {
    ensure!(
        !args.node_name.is_empty(),
        "the name of this node is required: set --node-name or NODE_NAME"
    );
    let (settings, rendered) = settings::load(&args.config, host_mtu(), &args.socket)?;
    for warning in &rendered.warnings {
        warn!("{warning}");
    }
    let stopping = life.stopping.clone();
    // A start can be dropped half-way: what it began is a task of `life`, or has changed nothing.
    let started = tokio::select! {
        started = start(&args, client, (settings, rendered.document), datapath, &mut life) => Some(started),
        () = stopping.cancelled() => None,
    };
    let (_lock, start_error) = match started {
        Some(Ok(lock)) => (Some(lock), None),
        Some(Err(error)) => (None, Some(error)),
        None => (None, None),
    };
    if start_error.is_some() {
        stopping.cancel();
    }
    let finished = life.finish().await;
    start_error.map_or(finished, Err)
}

async fn start(
    args: &RunArgs,
    client: Client,
    (settings, document): (Settings, Value),
    datapath: impl AsyncFnOnce(Settings) -> anyhow::Result<Arc<dyn Kernel>>,
    life: &mut Lifecycle,
) -> anyhow::Result<Lock> {
    let probes = start_probes(args, life).await?;
    let pending = |what| probes.readiness.pending(what);
    let (locking, starting, listing, installing) = (
        pending("the agent before this one"),
        pending("the datapath"),
        pending("the API server's lists"),
        pending("the CNI configuration"),
    );

    let lock_path = args.socket.with_extension("lock");
    let lock = lock::take(&lock_path)
        .await
        .with_context(|| format!("cannot lock {}", lock_path.display()))?;
    drop(locking);

    let kernel = datapath(settings.clone())
        .await
        .context("the datapath did not start")?;
    // Nothing else sets it.
    let _ = probes.kernel.set(kernel.clone());
    drop(starting);

    let agent = start_agent(args, settings, kernel, client, &probes, life);
    let listener =
        listen::bind(&args.socket).with_context(|| format!("cannot listen on {}", args.socket.display()))?;
    info!(node = args.node_name, socket = %args.socket.display(), "serving");
    let serving = agent.clone();
    life.spawn("CNI server", async move {
        listen::serve(serving, listener).await;
        Ok(())
    });
    let world = agent.world.clone();
    let dir = args.cni_conf_dir.clone();
    let stopping = life.stopping.clone();
    life.spawn("installation of the CNI configuration", async move {
        tokio::select! {
            installed = install(world, listing, installing, &dir, &document) => installed?,
            () = stopping.cancelled() => {}
        }
        stopping.cancelled().await;
        Ok(())
    });
    Ok(lock)
}

async fn start_probes(args: &RunArgs, life: &mut Lifecycle) -> anyhow::Result<Probes> {
    let probes = Probes {
        readiness: Readiness::default(),
        connection: Connection::default(),
        metrics: Metrics::default(),
        kernel: Arc::new(OnceLock::new()),
    };
    let listener = health::listen(args.health).await?;
    let (served, stop) = (probes.clone(), life.stopping.clone());
    life.spawn("health server", async move {
        Ok(health::serve(listener, served, stop).await?)
    });
    if let Some(address) = args.metrics.0 {
        let listener = health::listen(address).await?;
        let (served, stop) = (probes.clone(), life.stopping.clone());
        life.spawn("metrics server", async move {
            Ok(health::serve_metrics(listener, served, stop).await?)
        });
    }
    Ok(probes)
}

fn start_agent(
    args: &RunArgs,
    settings: Settings,
    kernel: Arc<dyn Kernel>,
    client: Client,
    probes: &Probes,
    life: &mut Lifecycle,
) -> Arc<Agent> {
    let (announcer, announcements) = Announcer::new(&probes.metrics);
    let publishing = events::publish(
        client.clone(),
        args.node_name.clone(),
        announcements,
        probes.metrics.clone(),
    );
    life.spawn_endless("event publisher", publishing);
    let pods = Arc::new(ApiPods {
        client: client.clone(),
        node_name: args.node_name.clone(),
    });
    let (metrics, stopping) = (probes.metrics.clone(), life.stopping.clone());
    let agent = Arc::new(Agent::new(kernel, pods, settings, announcer, metrics, stopping));
    for (name, watch) in watches::all(&client, &args.node_name, &agent.world, &probes.connection) {
        life.spawn_endless(name, watch);
    }
    let reconciling = agent.clone();
    life.spawn("reconciler", async move {
        reconcile::run(reconciling).await;
        Ok(())
    });
    let (reporting, node) = (agent.clone(), args.node_name.clone());
    life.spawn("runtime report", async move {
        report::run(reporting, client, node).await;
        Ok(())
    });
    agent
}

/// Put the CNI configuration in place once an ADD can be answered.
async fn install(
    world: World,
    listing: Pending,
    installing: Pending,
    dir: &Path,
    document: &Value,
) -> anyhow::Result<()> {
    world.synced().await;
    drop(listing);
    conflist::install(dir, document)
        .with_context(|| format!("cannot write the CNI configuration into {}", dir.display()))?;
    drop(installing);
    info!(dir = %dir.display(), "CNI configuration installed");
    Ok(())
}

/// The MTU of the node's own interface; none when it has another name.
fn host_mtu() -> Option<u32> {
    std::fs::read_to_string(HOST_INTERFACE_MTU)
        .ok()?
        .trim()
        .parse()
        .ok()
}
