//! Starts the parts of the agent in their order.
//!
//! The probes come first, because they must answer while everything else waits. The lock, the datapath and the watches
//! follow. The socket opens as early as possible, because a DEL needs the kernel only. The CNI configuration comes
//! last: with it the node becomes Ready, and the scheduler sends pods. The configuration stays when the agent ends.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use kube::Client;
use serde_json::Value;
use terway_process::events::Writer;
use terway_process::lifecycle::{AfterFailure, Failure, Lifecycle, Stage, stop_on_signals};
use terway_process::readiness::Pending;
use terway_process::{error_chain, pages};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::args::RunArgs;
use crate::cluster::Cluster;
use crate::cluster::watches;
use crate::datapath::{Datapath, DatapathConfig};
use crate::events::{Announcer, REPORTER};
use crate::health::Probes;
use crate::kernel::Kernel;
use crate::lock::{self, Lock};
use crate::notes::{Notes, Part};
use crate::server::{Agent, ApiPods, listen};
use crate::settings::{self, Settings, SettingsError};
use crate::{net_d, reconcile, refusal, report};

/// The node's own interface, whose MTU `auto_mtu` takes.
const HOST_INTERFACE_MTU: &str = "/sys/class/net/eth0/mtu";

/// How long everything may take to end. Shorter than the grace that the chart gives the pod (10 s).
const STOP_WITHIN: Duration = Duration::from_secs(8);

/// Runs the agent on the kernel of this node until a signal, or until one of its parts fails.
pub async fn run(args: RunArgs) -> anyhow::Result<()> {
    let (node_ip, pin_directory, sysctl_net) = (args.node_ip, args.bpf_dir.clone(), args.sysctl_dir.clone());
    let client = Client::try_default()
        .await
        .context("cannot find the API server's address and credentials")?;
    let datapath = async |settings: Settings| {
        let config = DatapathConfig {
            node_ip,
            pin_directory,
            sysctl_net,
            symmetric: settings.symmetric,
            ..DatapathConfig::default()
        };
        Ok(Arc::new(Datapath::start(config).await?) as Arc<dyn Kernel>)
    };
    let life = Lifecycle::new(AfterFailure::Drain);
    stop_on_signals(life.stopping())?;
    run_with(args, client, datapath, life).await
}

/// Runs the agent with another API server and another datapath, which is started when this agent has the lock.
/// Dropping the future ends the agent at once, as a kill does.
pub async fn run_with(
    args: RunArgs,
    client: Client,
    datapath: impl AsyncFnOnce(Settings) -> anyhow::Result<Arc<dyn Kernel>>,
    life: Lifecycle,
) -> anyhow::Result<()> {
    ensure!(
        !args.node_name.is_empty(),
        "the name of this node is required: set --node-name or NODE_NAME"
    );
    let began = life.run(async |life: &mut Lifecycle| {
        let mut tasks = Tasks {
            stage: life.stage("agent", STOP_WITHIN),
            life,
        };
        start(&args, client, datapath, &mut tasks).await
    });
    Ok(began.await?)
}

/// All tasks of the agent end together.
struct Tasks<'a> {
    life: &'a mut Lifecycle,
    stage: Stage,
}

impl Tasks<'_> {
    fn stop(&self) -> CancellationToken {
        self.life.stop_of(self.stage)
    }

    fn spawn<Work, Error>(&mut self, name: &'static str, task: impl FnOnce(CancellationToken) -> Work)
    where
        Work: Future<Output = Result<(), Error>> + Send + 'static,
        Error: Into<Failure>,
    {
        self.life.spawn(self.stage, name, task);
    }

    fn spawn_endless(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.life.spawn_endless(self.stage, name, task);
    }
}

async fn start(
    args: &RunArgs,
    client: Client,
    datapath: impl AsyncFnOnce(Settings) -> anyhow::Result<Arc<dyn Kernel>>,
    tasks: &mut Tasks<'_>,
) -> anyhow::Result<Lock> {
    let probes = start_probes(args, tasks).await?;
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
        .map_err(denied(format!("cannot lock {}", lock_path.display())))?;
    drop(locking);

    // Read with the lock: the agent before this one may have written the last good settings until now.
    let last = net_d::installed(&args.cni_conf_dir);
    let loaded = settings::load(&args.config, last.as_deref(), host_mtu(), &args.socket);
    let kernel = datapath(loaded.settings.clone())
        .await
        .context("the datapath did not start")?;
    // No other code sets the cell.
    let _ = probes.kernel.set(kernel.clone());
    let running = kernel.clone();
    tasks.spawn("the datapath", |stop| async move {
        match stop.run_until_cancelled(running.ended()).await {
            Some(()) => Err(anyhow::anyhow!(
                "its thread has panicked; the log above says where"
            )),
            None => Ok(()),
        }
    });
    drop(starting);

    let agent = start_agent(args, loaded.settings, kernel, client, &probes, tasks);
    tell_settings(&agent, &loaded.rendered.warnings, &loaded.refused);
    let listener =
        listen::bind(&args.socket).map_err(denied(format!("cannot listen on {}", args.socket.display())))?;
    info!(node = args.node_name, socket = %args.socket.display(), "serving");
    let serving = agent.clone();
    tasks.spawn("the CNI server", |_| async move {
        listen::serve(serving, listener).await;
        anyhow::Ok(())
    });
    let (dir, document) = (args.cni_conf_dir.clone(), loaded.rendered.document);
    tasks.spawn("the installation of the CNI configuration", |stop| async move {
        let installing = async {
            install(agent.cluster.clone(), listing, installing, &dir, &document).await?;
            net_d::keep(&dir, &document, &agent.notes).await;
            anyhow::Ok(())
        };
        // What is installed stays when the agent ends.
        stop.run_until_cancelled(installing).await.unwrap_or(Ok(()))
    });
    Ok(lock)
}

/// Names values that have no effect, and keys that cannot be used. The agent serves all the same: a node without any
/// pod network is worse than one with the settings of yesterday.
fn tell_settings(agent: &Agent, warnings: &[String], refused: &[SettingsError]) {
    for warning in warnings {
        warn!("{warning}");
    }
    let refused: Vec<String> = refused.iter().map(|error| error_chain(error)).collect();
    let words = (!refused.is_empty()).then(|| {
        let refused = refused.join("; ");
        format!("{refused}: the last good settings stay, or else the defaults, until the agent starts with a good one")
    });
    agent.notes.set(Part::Settings, words);
}

async fn start_probes(args: &RunArgs, tasks: &mut Tasks<'_>) -> anyhow::Result<Probes> {
    let probes = Probes::default();
    let listener = pages::listen("--health (Helm value terway.healthPort)", args.health).await?;
    let health = probes.all();
    tasks.spawn("the health server", |stop| pages::serve(listener, health, stop));
    if let Some(address) = args.metrics.0 {
        let listener = pages::listen("--metrics (Helm value terway.metricsBindAddress)", address).await?;
        let metrics = probes.metrics();
        tasks.spawn("the metrics server", |stop| pages::serve(listener, metrics, stop));
    }
    Ok(probes)
}

fn start_agent(
    args: &RunArgs,
    settings: Settings,
    kernel: Arc<dyn Kernel>,
    client: Client,
    probes: &Probes,
    tasks: &mut Tasks<'_>,
) -> Arc<Agent> {
    let (announcer, queue) = Announcer::new(&probes.metrics);
    let writer = Writer::new(client.clone(), REPORTER, &args.node_name);
    // At a stop the waiting events are dropped: the next agent must not wait for them.
    tasks.spawn_endless("the event writer", writer.run(queue, CancellationToken::new()));
    let pods = Arc::new(ApiPods {
        client: client.clone(),
        node_name: args.node_name.clone(),
    });
    let (metrics, stop) = (probes.metrics.clone(), tasks.stop());
    let notes = Notes::new(&args.node_name, announcer.clone());
    let shown = notes.clone();
    probes.readiness.note(move || shown.sentences());
    let agent = Agent::new(kernel, pods, settings, announcer, notes, metrics, stop);
    let agent = Arc::new(agent);
    for (name, watch) in watches::all(&client, &args.node_name, &agent.cluster, &probes.connection) {
        tasks.spawn_endless(name, watch);
    }
    let reconciling = agent.clone();
    tasks.spawn("the reconciler", |_| async move {
        reconcile::run(reconciling).await;
        anyhow::Ok(())
    });
    let (reporting, node) = (agent.clone(), args.node_name.clone());
    tasks.spawn("the runtime report", |_| async move {
        report::run(reporting, client, node).await;
        anyhow::Ok(())
    });
    agent
}

/// Puts the CNI configuration in place once an ADD can be answered.
async fn install(
    cluster: Cluster,
    listing: Pending,
    installing: Pending,
    dir: &Path,
    document: &Value,
) -> anyhow::Result<()> {
    cluster.synced().await;
    drop(listing);
    net_d::install(dir, document).map_err(denied(format!(
        "cannot write the CNI configuration into {}",
        dir.display()
    )))?;
    drop(installing);
    info!(dir = %dir.display(), "CNI configuration installed");
    Ok(())
}

/// The failed act with the cause that this process's rights tell.
fn denied(act: String) -> impl FnOnce(io::Error) -> anyhow::Error {
    move |error| {
        let cause = refusal::of_file(&error);
        anyhow::Error::new(error).context(format!("{act}{cause}"))
    }
}

/// The MTU of the node's own interface; `None` when the interface has another name.
fn host_mtu() -> Option<u32> {
    std::fs::read_to_string(HOST_INTERFACE_MTU)
        .ok()?
        .trim()
        .parse()
        .ok()
}

#[cfg(test)]
mod tests;
