//! Ordinary pods on a node with idle addresses, through control plane, agent and CNI binary. The time of a pod ends
//! with the answer of the CNI binary.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use kube::{Api, Client};
use terway_crds::TerwayNode;
use terway_crds::node::NicStatus;

use crate::args::{Common, Quotas, WarmArgs};
use crate::cluster;
use crate::node::plugin::Plugin;
use crate::node::{Agent, Pod, namespace, uplink};
use crate::shared::{Field, Ground};
use crate::stats::percentile;
use crate::table::{Reference, Table};

/// The only node of the cluster.
const NODE: usize = 1;
/// How often NICs of new ENIs are plugged in. The agent waits for a NIC far longer.
const PLUG_EVERY: Duration = Duration::from_millis(100);

/// The figures of the run, each sorted.
#[derive(Debug, Clone, Default)]
struct Figures {
    /// From the request that creates the pod to the answer of ADD.
    asked: Vec<Duration>,
    /// From the API server's answer, with which the pod is scheduled, to the answer of ADD.
    scheduled: Vec<Duration>,
}

/// Runs the benchmark.
pub fn run(common: &Common, args: &WarmArgs) -> anyhow::Result<()> {
    namespace::on_a_node(|| measure(common, args))
}

async fn measure(common: &Common, args: &WarmArgs) -> anyhow::Result<()> {
    uplink()?;
    eprintln!("warm: a node joins");
    let ground = Ground {
        name: "warm",
        nodes: 0,
        idle: args.pods,
        most: args.pods,
        quotas: Quotas::Default,
    };
    let mut field = Field::start(common, &ground).await?;
    let client = field.stack.client.clone();
    let name = cluster::node_name(NODE);
    let plugging = tokio::spawn(plug(client.clone(), name.clone()));
    let dir = tempfile::tempdir().context("making a folder for the agent")?;
    let agent = Agent::start(dir.path(), &field.stack.kubeconfig_of_an_agent()?).await?;
    let plugin = Plugin::ours(&agent.socket)?;
    let mut outcome = Figures::default();
    // The first pod is not measured: it waits until the new agent has compared its node with the records.
    for number in 0..=args.pods {
        let pod = format!("warm-{number}");
        let netns = namespace::new()?;
        let asked = Instant::now();
        let uid = cluster::create_ordinary_pod(&client, &pod, &name).await?;
        let scheduled = Instant::now();
        let pod = Pod {
            name: pod,
            uid,
            netns,
        };
        tokio::task::block_in_place(|| plugin.call("ADD", &format!("warm-{number}"), &pod))?;
        if number > 0 {
            outcome.asked.push(asked.elapsed());
            outcome.scheduled.push(scheduled.elapsed());
        }
        if plugging.is_finished() {
            bail!("no NICs are plugged in any more: {:?}", plugging.await);
        }
        field.stack.check(&mut field.controller)?;
    }
    outcome.asked.sort();
    outcome.scheduled.sort();
    plugging.abort();
    field.nothing_twice()?;
    lab::say!("{}", table(args, &outcome));
    Ok(())
}

/// Gives the node the NICs that the cloud attaches, until it is dropped.
async fn plug(client: Client, node: String) -> anyhow::Result<()> {
    let nodes: Api<TerwayNode> = Api::all(client);
    let mut plugged = BTreeSet::new();
    loop {
        let record = nodes.get(&node).await?;
        let nics = record
            .status
            .iter()
            .flat_map(|status| status.network_interfaces.values());
        for nic in nics.filter(|nic| nic.status == NicStatus::InUse) {
            let (link, mac) = (format!("eth{}", plugged.len() + 2), &nic.mac_address);
            if plugged.insert(nic.id.clone()) {
                namespace::run(&format!(
                    "ip tuntap add dev {link} mode tap; ip link set {link} address {mac}"
                ))?;
            }
        }
        tokio::time::sleep(PLUG_EVERY).await;
    }
}

fn table(args: &WarmArgs, outcome: &Figures) -> String {
    let title = format!("warm: {} pods one after the other, on idle addresses", args.pods);
    let mut table = Table::new(&title, "upstream");
    for (what, times) in [
        ("create asked for", &outcome.asked),
        ("pod scheduled", &outcome.scheduled),
    ] {
        for (share, name) in [(0.5, "p50"), (0.99, "p99")] {
            let row = format!("{what} to CNI answer {name}, ms");
            table.row(
                &row,
                percentile(times, share).as_secs_f64() * 1e3,
                Reference::NONE,
            );
        }
    }
    table.text()
}
