//! A node in namespaces of its own, with its NICs, an API server and the real agent. The benchmark writes what the
//! control plane would.

pub mod namespace;
pub mod plugin;

use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use lab::bare::{Apiserver, Options};
use lab::binaries;
use lab::process::Tied;
use serde_json::{Map, json};
use tempfile::TempDir;
use terway_crds::TerwayNode;

use crate::args::{Quotas, Trunks};
use crate::settings::{Pool, shipped};
use crate::{cluster, stack};

/// The node, as Kubernetes calls it.
const NODE: &str = "node1";
const SHARED_ENI: &str = "eni-shared1";
const SHARED_MAC: &str = "00:16:3e:00:00:03";
/// The agent's health endpoint. The namespace is the agent's own, so the port is free.
const HEALTH: &str = "127.0.0.1:9099";
/// How long the agent may take until it serves.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running agent.
pub struct Agent {
    pub process: Tied,
    /// The socket it listens at.
    pub socket: PathBuf,
}

/// A running node.
pub struct Site {
    pub agent: Agent,
    pub client: Client,
    // Dropped after the agent, which talks to the API server.
    _apiserver: Apiserver,
    pub dir: TempDir,
}

/// A pod that has been given an address, and the namespace of its sandbox.
pub struct Pod {
    pub name: String,
    pub uid: String,
    pub netns: OwnedFd,
}

impl Site {
    /// Starts API server and agent in the namespaces of the calling thread, see [`namespace::on_a_node`].
    pub async fn start() -> anyhow::Result<Self> {
        let dir = tempfile::tempdir().context("making a folder for data and logs")?;
        uplink()?;
        namespace::run(&format!(
            "ip tuntap add dev eth2 mode tap; ip link set eth2 address {SHARED_MAC}"
        ))?;
        let kube = dir.path().join("kube");
        let apiserver = tokio::task::spawn_blocking(move || Apiserver::start(kube, Options::default()))
            .await
            .context("starting the API server")??;
        let client = stack::client(&apiserver.kubeconfig).await?;
        let settings = shipped(Quotas::Default, Trunks::Controller, Pool::Chart)?;
        cluster::prepare(&client, &settings.eni_conf).await?;
        record(&client).await?;
        let kubeconfig = apiserver.kubeconfig_for("terway-agent", &["system:masters"])?;
        let agent = Agent::start(dir.path(), &kubeconfig).await?;
        Ok(Site {
            agent,
            client,
            _apiserver: apiserver,
            dir,
        })
    }

    /// Pods that the control plane has given addresses of the shared ENI.
    pub async fn pods(&self, count: usize) -> anyhow::Result<Vec<Pod>> {
        let mut pods = Vec::new();
        let mut addresses = Map::new();
        for number in 0..count {
            let name = format!("web-{number}");
            let uid = cluster::create_ordinary_pod(&self.client, &name, NODE).await?;
            let ip = Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 0, 16, 1)) + u32::try_from(number)?);
            let id = format!("{}/{name}", cluster::NAMESPACE);
            let record = json!({"ip": ip, "primary": false, "status": "Valid", "podID": id, "podUID": uid});
            addresses.insert(ip.to_string(), record);
            let netns = namespace::new()?;
            pods.push(Pod { name, uid, netns });
        }
        let nic = json!({"id": SHARED_ENI, "status": "InUse", "networkInterfaceType": "Secondary",
            "macAddress": SHARED_MAC, "ipv4CIDR": "10.0.16.0/22", "ipv4": addresses});
        let status = json!({"status": {"networkInterfaces": {SHARED_ENI: nic}}});
        Api::<TerwayNode>::all(self.client.clone())
            .patch_status(NODE, &PatchParams::default(), &Patch::Merge(status))
            .await
            .context("binding addresses")?;
        Ok(pods)
    }
}

/// The Node object, as the control plane makes it.
async fn record(client: &Client) -> anyhow::Result<()> {
    let spec = json!({"nodeMetadata": {"regionID": "cn-hangzhou", "instanceType": "ecs.g7.2xlarge",
        "instanceID": "i-node1", "zoneID": "cn-hangzhou-h"}});
    let node = json!({"metadata": {"name": NODE, "labels": {"name": NODE}}, "spec": spec});
    Api::<TerwayNode>::all(client.clone())
        .create(&PostParams::default(), &serde_json::from_value(node)?)
        .await
        .context("creating the Node object")?;
    Ok(())
}

/// The links that every node has, in the namespace of the calling thread.
pub fn uplink() -> anyhow::Result<()> {
    namespace::run(
        "ip link set lo up; ip tuntap add dev eth0 mode tap; ip addr add 10.0.0.11/24 dev eth0; \
         ip link set eth0 up; ip route add default via 10.0.0.253 dev eth0",
    )
}

impl Agent {
    /// Starts the agent of [`NODE`] in the namespaces of the calling thread, and waits until it serves.
    pub async fn start(dir: &Path, kubeconfig: &Path) -> anyhow::Result<Self> {
        let socket = dir.join("terway.sock");
        let mut process = Tied::start(
            "terway-agent",
            command(dir, &socket, kubeconfig)?,
            &dir.join("terway-agent.log"),
        )?;
        let deadline = Instant::now() + PATIENCE;
        while !socket.exists() {
            let ended = process.ended().context("looking after the agent")?;
            if ended.is_some() || Instant::now() > deadline {
                bail!("the agent does not serve; its log ends:\n{}", process.log_tail());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(Self { process, socket })
    }
}

fn command(dir: &Path, socket: &Path, kubeconfig: &Path) -> anyhow::Result<Command> {
    // `Tied` starts children from another thread, which is not in this thread's mount namespace.
    let mut command = Command::new("unshare");
    command
        .args([
            "--mount",
            "sh",
            "-ec",
            "mount -t bpf bpf /sys/fs/bpf; exec \"$@\"",
            "agent",
        ])
        .arg(binaries::own("terway-agent")?)
        .args(["--node-name", NODE, "--node-ip", "10.0.0.11", "--health", HEALTH])
        .arg("--socket")
        .arg(socket)
        .arg("--config")
        .arg(dir.join("eni"))
        .arg("--cni-conf-dir")
        .arg(dir.join("net.d"))
        .args(["--log-level", "warn"])
        .env("KUBECONFIG", kubeconfig);
    Ok(command)
}
