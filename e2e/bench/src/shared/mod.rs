//! A cluster with shared ENIs: API server, cloud and control plane, and what the Node objects say.

pub mod times;

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use lab::process::Tied;

use self::times::PoolTimes;
use crate::args::{Common, Quotas, Trunks};
use crate::cost::{Cost, Mark, Meter};
use crate::observe::Observer;
use crate::settings::{Pool, shipped};
use crate::stack::Stack;
use crate::{cluster, world};

/// Time without a call to the cloud after which the control plane has nothing to do.
const QUIET: Duration = Duration::from_secs(2);

/// A running cluster. One node more than are measured has joined first, so that the start of the control plane is no
/// part of the figures.
pub struct Field {
    pub stack: Stack,
    pub controller: Tied,
    pub observer: Observer<PoolTimes>,
    pub meter: Meter,
    patience: Duration,
}

/// The size and settings of a cluster.
#[derive(Debug, Clone)]
pub struct Ground<'a> {
    /// Folder of its logs.
    pub name: &'a str,
    pub nodes: usize,
    /// Fewest idle addresses of a node.
    pub idle: usize,
    /// Most idle addresses of a node.
    pub most: usize,
    pub quotas: Quotas,
}

impl Field {
    /// Starts everything; none of the nodes has joined.
    pub async fn start(common: &Common, ground: &Ground<'_>) -> anyhow::Result<Self> {
        let first = ground.nodes + 1;
        let world = world::world(first, 2, ground.quotas);
        let stack = Stack::start(common, ground.name, &world).await?;
        let pool = Pool::Between(ground.idle, ground.most);
        let settings = shipped(ground.quotas, Trunks::Controller, pool)?;
        cluster::prepare(&stack.client, &settings.eni_conf)
            .await
            .context("making definitions and settings")?;
        let controller = stack.start_controller(common, &settings)?;
        let observer = times::observe(&stack.client, ground.idle);
        let meter = stack.meter(&controller);
        let mut field = Field {
            stack,
            controller,
            observer,
            meter,
            patience: common.patience(),
        };
        cluster::create_node(&field.stack.client, first).await?;
        field.wait("the first node", |seen| seen.full() == 1).await?;
        field.quiet().await?;
        Ok(field)
    }

    /// Lets nodes 1 to `count` join; gives when each was asked for.
    pub async fn join(&mut self, count: usize) -> anyhow::Result<Vec<(String, Instant)>> {
        let asked = cluster::create_nodes(&self.stack.client, count).await?;
        self.wait("full pools", |seen| seen.full() == count + 1).await?;
        Ok(asked)
    }

    /// Waits until `done` holds. Fails when a process has ended or the patience is over.
    pub async fn wait(&mut self, what: &str, done: impl Fn(&PoolTimes) -> bool) -> anyhow::Result<()> {
        let (stack, controller) = (&mut self.stack, &mut self.controller);
        let waited = self
            .observer
            .wait(what, self.patience, || stack.check(controller), done)
            .await;
        waited.with_context(|| format!("the control plane's log ends:\n{}", controller.log_tail()))
    }

    /// Waits until the cloud has not been asked for anything for a while.
    pub async fn quiet(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + self.patience;
        let mut mark = self.meter.mark()?;
        loop {
            tokio::time::sleep(QUIET).await;
            let now = self.meter.mark()?;
            if now.same_calls(&mark) {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("the cloud is still being called after {:?}", self.patience);
            }
            mark = now;
        }
    }

    /// What was used since a mark, once the cloud is silent.
    pub async fn settled_cost(&mut self, mark: Mark) -> anyhow::Result<Cost> {
        self.quiet().await?;
        self.meter.since(mark)
    }

    /// Fails when one address had two pods: such a run has measured something else.
    pub fn nothing_twice(&self) -> anyhow::Result<()> {
        let twice = self.observer.look(|seen| seen.twice.clone());
        if !twice.is_empty() {
            bail!("addresses that two nodes had given to pods at a time: {twice:?}");
        }
        Ok(())
    }
}
