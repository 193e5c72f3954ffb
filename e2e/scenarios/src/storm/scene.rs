//! The cluster of a storm: looks at it, and ways to break a part of it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use lab::state::StateDir;
use tokio::runtime::Runtime;

use super::history::History;
use super::look;
use crate::invariants::{self, Fault};
use crate::stage::Stage;

/// A cluster with the product, watched.
pub struct Scene<'a> {
    pub stage: &'a Stage,
    state: &'a StateDir,
    client: Client,
    nodes: Vec<String>,
    history: History,
    /// Dropped last: the watches run on it.
    runtime: Runtime,
}

impl<'a> Scene<'a> {
    /// Begins to watch the running cluster.
    pub fn open(stage: &'a Stage, state: &'a StateDir, nodes: &[&str]) -> Result<Scene<'a>> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .context("starting the runtime of the watches")?;
        let (client, history) = runtime.block_on(async {
            let kubeconfig = Kubeconfig::read_from(state.kubeconfig())?;
            let config =
                kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
            let client = Client::try_from(config)?;
            let history = History::begin(stage, &client)?;
            anyhow::Ok((client, history))
        })?;
        Ok(Scene {
            stage,
            state,
            client,
            nodes: nodes.iter().map(|node| (*node).to_owned()).collect(),
            history,
            runtime,
        })
    }

    pub fn nodes(&self) -> &[String] {
        &self.nodes
    }

    /// Waits until pods, records, cloud and kernels agree; the error names what does not. Releases take some seconds,
    /// and the agent compares the kernel with the records once a minute.
    pub fn comes_to_rest(&self, after: &str) -> Result<()> {
        let last: RefCell<Vec<Fault>> = RefCell::default();
        let waited = self.stage.wait(
            format!("pods, records, cloud and kernels agree after {after}: nothing doubled, nothing left"),
            Duration::from_secs(180),
            || {
                let looking = look::picture(self.stage, self.state, &self.client, &self.nodes);
                let picture = self.runtime.block_on(looking)?;
                last.replace(invariants::check(&picture));
                Ok(last.borrow().is_empty().then_some(picture))
            },
        );
        let broken = last.take();
        if broken.is_empty() {
            self.stage.say(waited?.in_figures());
            return Ok(());
        }
        let told: String = broken.iter().map(|fault| format!("\n  - {fault}")).collect();
        waited
            .map(drop)
            .with_context(|| format!("these rules are broken:{told}"))
    }

    /// The rules over everything that happened since the scene was opened.
    pub fn check_history(&self) -> Result<()> {
        let violations = self.history.violations(self.stage)?;
        let told: Vec<String> = violations.iter().map(ToString::to_string).collect();
        let (pods, leaders) = self.history.seen();
        self.stage.check(
            violations.is_empty(),
            format!(
                "{pods} pods and {leaders} terms of leaders: no address or ENI had two pods at a time, nothing was taken from a \
                 living pod, no replica called out of turn {}",
                told.join("; ")
            ),
        )
    }

    /// Kills a program of a machine, and waits until it runs again.
    pub fn kill(&self, node: &str, program: &str) -> Result<()> {
        let pids = || {
            let said = self.stage.ask(&format!("lab exec {node} -- pidof {program}"))?;
            Ok::<_, anyhow::Error>(said.unwrap_or_default())
        };
        let before = pids()?;
        if before.is_empty() {
            bail!("no {program} runs on {node}");
        }
        self.stage
            .run(&format!("lab exec {node} -- kill -KILL {before}"))?;
        self.stage.wait(
            format!("{program} runs on {node} again"),
            Duration::from_secs(180),
            || {
                let now = pids()?;
                let new =
                    !now.is_empty() && now.split(' ').all(|pid| !before.split(' ').any(|old| old == pid));
                Ok(new.then_some(()))
            },
        )
    }

    /// The sandboxes of all nodes: container by pod UID.
    pub fn sandboxes(&self) -> Result<BTreeMap<String, String>> {
        let mut found = BTreeMap::new();
        for node in &self.nodes {
            let kernel = super::kernel::look(self.stage, self.state, node)?;
            found.extend(
                kernel
                    .veths
                    .into_iter()
                    .map(|veth| (veth.pod_uid, veth.container)),
            );
        }
        Ok(found)
    }
}
