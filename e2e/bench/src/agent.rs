//! Memory of the agent: with the pods of its own node, and when the cluster grows around it.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use futures::{StreamExt, TryStreamExt};
use kube::api::PostParams;
use kube::{Api, Client};
use serde_json::json;
use terway_crds::names::label;
use terway_crds::{NodeRuntime, PodEni, TerwayNode};

use crate::args::AgentArgs;
use crate::cluster::{self, AT_ONCE};
use crate::node::plugin::Plugin;
use crate::node::{Pod, Site, namespace};
use crate::process;
use crate::table::{Reference, Table};

/// MiB in an MB.
const MIB: f64 = 1e6 / 1_048_576.0;
/// How long the agent may take to report a sandbox.
const PATIENCE: Duration = Duration::from_secs(120);
/// Objects between two lines of progress.
const STRIDE: usize = 10_000;

/// Sizes in MiB.
struct Figures {
    empty: f64,
    with_pods: f64,
    in_the_crowd: f64,
    peak: f64,
    /// CPU seconds while the cluster grew.
    cpu: f64,
}

/// Runs the benchmark.
pub fn run(args: &AgentArgs) -> anyhow::Result<()> {
    namespace::on_a_node(|| measure(args))
}

async fn measure(args: &AgentArgs) -> anyhow::Result<()> {
    eprintln!("agent: starting API server and agent");
    let site = Site::start().await?;
    let pid = site.agent.process.pid();
    let empty = process::resident_mb(pid)?;
    let pods = site.pods(args.pods).await?;
    let plugin = Plugin::ours(&site.agent.socket)?;
    for pod in &pods {
        plugin.call("ADD", &format!("agent-{}", pod.name), pod)?;
    }
    all_reported(&site, &pods).await?;
    let with_pods = process::resident_mb(pid)?;
    let before = process::cpu_seconds(pid)?;
    crowd(&site.client, args)
        .await
        .context("objects of other nodes")?;
    let outcome = Figures {
        empty: empty * MIB,
        with_pods: with_pods * MIB,
        in_the_crowd: process::resident_mb(pid)? * MIB,
        peak: process::peak_mb(pid)? * MIB,
        cpu: process::cpu_seconds(pid)? - before,
    };
    lab::say!("{}", table(args, &outcome));
    Ok(())
}

/// Waits until the agent has reported every sandbox. Its caches are full then.
async fn all_reported(site: &Site, pods: &[Pod]) -> anyhow::Result<()> {
    let runtimes: Api<NodeRuntime> = Api::all(site.client.clone());
    let deadline = Instant::now() + PATIENCE;
    loop {
        let report = runtimes.get_opt(&cluster::node_name(1)).await?;
        let told = report.and_then(|report| report.status).unwrap_or_default().pods;
        if pods.iter().all(|pod| told.contains_key(&pod.uid)) {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("{} of {} sandboxes were reported", told.len(), pods.len());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Objects of other nodes: Node objects, and PodENIs for the rest.
async fn crowd(client: &Client, args: &AgentArgs) -> anyhow::Result<()> {
    let nodes: Api<TerwayNode> = Api::all(client.clone());
    let pod_enis: Api<PodEni> = Api::namespaced(client.clone(), cluster::NAMESPACE);
    let (nodes, pod_enis) = (&nodes, &pod_enis);
    let made = (0..args.others).map(|number| async move {
        if number < args.nodes {
            nodes.create(&PostParams::default(), &node(number)?).await?;
        } else {
            let object = pod_eni(number, number % args.nodes.max(1))?;
            pod_enis.create(&PostParams::default(), &object).await?;
        }
        if (number + 1) % STRIDE == 0 {
            eprintln!("agent: {} objects of other nodes", number + 1);
        }
        anyhow::Ok(())
    });
    futures::stream::iter(made)
        .buffer_unordered(AT_ONCE)
        .try_collect::<Vec<_>>()
        .await?;
    Ok(())
}

fn other(number: usize) -> String {
    format!("other{number}")
}

fn node(number: usize) -> anyhow::Result<TerwayNode> {
    let name = other(number);
    let node = json!({"metadata": {"name": name, "labels": {"name": name}}, "spec": {}});
    Ok(serde_json::from_value(node)?)
}

fn pod_eni(number: usize, on: usize) -> anyhow::Result<PodEni> {
    let object = json!({
        "metadata": {"name": format!("other-{number}"), "labels": {label::NODE: other(on)}},
        "spec": {"zone": "cn-hangzhou-h", "allocations": [{"eni": {"id": format!("eni-{number}")},
            "ipv4": "10.0.20.1", "ipv4CIDR": "10.0.16.0/22", "allocationType": {"type": "Elastic"}}]},
    });
    Ok(serde_json::from_value(object)?)
}

fn table(args: &AgentArgs, outcome: &Figures) -> String {
    let title = format!(
        "agent: {} pods on its node, then {} objects of {} other nodes",
        args.pods, args.others, args.nodes
    );
    let mut table = Table::new(&title, "upstream");
    // Upstream's figure is that of an idle node.
    table.row("RSS without pods, MiB", outcome.empty, Reference::figure("51.5"));
    table.row(
        "RSS with all pods, MiB",
        outcome.with_pods,
        Reference::aim(30.0).when(args.pods <= 250),
    );
    table.row(
        "RSS when the other objects have come, MiB",
        outcome.in_the_crowd,
        Reference::aim(30.0),
    );
    let growth = outcome.in_the_crowd - outcome.with_pods;
    table.row("growth by them, MiB", growth, Reference::aim(1.0));
    table.row("CPU seconds while they came", outcome.cpu, Reference::NONE);
    table.row("peak RSS, MiB", outcome.peak, Reference::NONE);
    table.text()
}
