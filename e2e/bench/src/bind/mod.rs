//! Pods with ENIs of their own, up to phase Bind and down again: single pods, then many at once.

pub mod reference;
pub mod report;
pub mod times;
pub mod trunks;

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use futures::{StreamExt, TryStreamExt};
use kube::Client;
use lab::process::Tied;
use serde_json::Value;
use terway_cloud::{EniFilter, EniKind};

use self::times::PodTimes;
use crate::args::{BindArgs, Common, Quotas, Trunks};
use crate::cluster::AT_ONCE;
use crate::cost::Cost;
use crate::observe::Observer;
use crate::settings::{Pool, shipped};
use crate::stack::Stack;
use crate::{cluster, process, world};

/// Time in which the buckets fill up again after the trunks were made, under the default quotas: 50 of 500 calls a
/// minute were used.
const REFILL: Duration = Duration::from_secs(10);

/// The figures of one run.
#[derive(Debug, Clone)]
pub struct Figures {
    pub quotas: Quotas,
    pub pods: usize,
    pub nodes: usize,
    /// From the start of the control plane to the last trunk.
    pub nodes_ready: Duration,
    /// From create to Bind, of single pods, sorted.
    pub singles: Vec<Duration>,
    /// From create to Bind, of each of many pods, sorted.
    pub binds: Vec<Duration>,
    /// From the first create to the last Bind.
    pub up: Duration,
    /// From the first delete to the end of the last NetworkInterface.
    pub down: Duration,
    pub up_cost: Cost,
    pub down_cost: Cost,
    /// Peak memory after the way up, and at the end.
    pub peak_mb: [f64; 2],
    /// CPU seconds of the control plane from its start to the end of the way up.
    pub cpu_since_start: f64,
}

/// Runs everything once.
pub async fn run(common: &Common, args: &BindArgs, quotas: Quotas) -> anyhow::Result<Figures> {
    eprintln!("bind, {quotas}: starting API server and cloud");
    let members = args.pods.div_ceil(args.nodes) + 2;
    let name = format!("bind-{quotas:?}").to_lowercase();
    let mut stack = Stack::start(common, &name, &world::world(args.nodes, members, quotas)).await?;
    let settings = shipped(quotas, args.trunks, Pool::Chart)?;
    prepare(&stack.client, &settings.eni_conf, args.nodes)
        .await
        .context("making nodes and definitions")?;
    let own_cloud = trunks::connect(&stack.cloud_url).await?;
    if args.trunks == Trunks::Hand {
        trunks::make(&own_cloud, &stack.client, args.nodes)
            .await
            .context("making trunks")?;
    }
    let started = Instant::now();
    let mut controller = stack.start_controller(common, &settings)?;
    wait_for_nodes(common, args.nodes, &mut stack, &mut controller).await?;
    let nodes_ready = started.elapsed();
    eprintln!(
        "bind, {quotas}: {} nodes have trunks after {:.1} s",
        args.nodes,
        nodes_ready.as_secs_f64()
    );

    let meter = stack.meter(&controller);
    let mut observer = times::observe(&stack.client);
    let mut bench = Bench {
        common,
        args,
        stack: &mut stack,
        controller: &mut controller,
        observer: &mut observer,
    };
    let singles = bench.singles().await.context("single pods")?;
    if quotas == Quotas::Default {
        tokio::time::sleep(REFILL).await;
    }
    let mark = meter.mark()?;
    let (up, binds) = bench.up().await.context("pods up")?;
    let (up_cost, up_peak) = (meter.since(mark)?, process::peak_mb(meter.controller)?);
    let cpu_since_start = process::cpu_seconds(meter.controller)?;
    eprintln!(
        "bind, {quotas}: {} pods bound after {:.1} s",
        args.pods,
        up.as_secs_f64()
    );
    if quotas == Quotas::Default {
        tokio::time::sleep(REFILL).await;
    }
    let mark = meter.mark()?;
    let down = bench.down().await.context("pods down")?;
    let (down_cost, down_peak) = (meter.since(mark)?, process::peak_mb(meter.controller)?);
    eprintln!("bind, {quotas}: all gone after {:.1} s", down.as_secs_f64());
    nothing_left(&own_cloud).await?;
    Ok(Figures {
        quotas,
        pods: args.pods,
        nodes: args.nodes,
        nodes_ready,
        singles,
        binds,
        up,
        down,
        up_cost,
        down_cost,
        peak_mb: [up_peak, down_peak],
        cpu_since_start,
    })
}

async fn prepare(client: &Client, eni_conf: &Value, nodes: usize) -> anyhow::Result<()> {
    cluster::prepare(client, eni_conf).await?;
    cluster::create_network(client).await?;
    cluster::create_nodes(client, nodes).await?;
    Ok(())
}

async fn wait_for_nodes(
    common: &Common,
    nodes: usize,
    stack: &mut Stack,
    controller: &mut Tied,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + common.patience();
    loop {
        let ready = cluster::ready_nodes(&stack.client).await?;
        let network = cluster::network_ready(&stack.client).await?;
        if ready == nodes && network {
            return Ok(());
        }
        stack.check(controller)?;
        if Instant::now() > deadline {
            bail!(
                "{ready} of {nodes} nodes have a trunk; the log ends:\n{}",
                controller.log_tail()
            );
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A benchmark that leaves ENIs behind has measured something else.
async fn nothing_left(cloud: &terway_cloud::Cloud) -> anyhow::Result<()> {
    let enis = cloud.describe_network_interfaces(&EniFilter::default()).await?;
    let left = enis
        .iter()
        .filter(|eni| !matches!(eni.kind, EniKind::Primary | EniKind::Trunk))
        .count();
    if left > 0 {
        bail!("{left} ENIs are left in the cloud");
    }
    Ok(())
}

struct Bench<'a> {
    common: &'a Common,
    args: &'a BindArgs,
    stack: &'a mut Stack,
    controller: &'a mut Tied,
    observer: &'a mut Observer<PodTimes>,
}

impl Bench<'_> {
    async fn singles(&mut self) -> anyhow::Result<Vec<Duration>> {
        let mut took = Vec::new();
        for number in 0..self.args.singles {
            let name = format!("single-{number}");
            let node = cluster::node_name(number % self.args.nodes + 1);
            let start = Instant::now();
            cluster::create_pod(&self.stack.client, &name, &node).await?;
            self.wait("a single pod", |seen| seen.bound.contains_key(&name))
                .await?;
            took.extend(
                self.observer
                    .look(|seen| seen.bound.get(&name).map(|at| *at - start)),
            );
            cluster::delete_pod(&self.stack.client, &name).await?;
            self.wait("the end of a single pod", |seen| seen.interfaces.is_empty())
                .await?;
        }
        took.sort();
        Ok(took)
    }

    async fn up(&mut self) -> anyhow::Result<(Duration, Vec<Duration>)> {
        let names = self.names();
        let client = self.stack.client.clone();
        let nodes = self.args.nodes;
        let start = Instant::now();
        let creates = names.iter().enumerate().map(|(number, name)| {
            let client = client.clone();
            async move {
                let at = Instant::now();
                cluster::create_pod(&client, name, &cluster::node_name(number % nodes + 1)).await?;
                anyhow::Ok((name.clone(), at))
            }
        });
        let created: Vec<_> = futures::stream::iter(creates)
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        eprintln!(
            "bind: {} pods created in {:.1} s",
            created.len(),
            start.elapsed().as_secs_f64()
        );
        self.wait("all pods up", |seen| {
            names.iter().all(|name| seen.bound.contains_key(name))
        })
        .await?;
        let bound = self.observer.look(|seen| seen.bound.clone());
        let mut binds: Vec<_> = created.iter().map(|(name, at)| bound[name] - *at).collect();
        binds.sort();
        let last = names.iter().map(|name| bound[name]).max().unwrap_or(start);
        Ok((last - start, binds))
    }

    async fn down(&mut self) -> anyhow::Result<Duration> {
        let names = self.names();
        let start = Instant::now();
        cluster::delete_pods(&self.stack.client, &names).await?;
        self.wait("all ENIs gone", |seen| seen.interfaces.is_empty())
            .await?;
        let last = self.observer.look(|seen| seen.last_gone).unwrap_or(start);
        Ok(last - start)
    }

    fn names(&self) -> Vec<String> {
        (0..self.args.pods)
            .map(|number| format!("pod-{number}"))
            .collect()
    }

    async fn wait(&mut self, what: &str, done: impl Fn(&PodTimes) -> bool) -> anyhow::Result<()> {
        let (stack, controller) = (&mut *self.stack, &mut *self.controller);
        let waited = self
            .observer
            .wait(what, self.common.patience(), || stack.check(controller), done)
            .await;
        waited.with_context(|| format!("the control plane's log ends:\n{}", controller.log_tail()))
    }
}
