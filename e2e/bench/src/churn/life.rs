//! One pod, from its creation until its address is free again. The reports are those that its node would write.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::bail;
use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use parking_lot::Mutex;
use serde_json::{Value, json};
use terway_crds::NodeRuntime;

use crate::cluster;
use crate::shared::times::PoolTimes;

/// Time between two looks at the Node objects.
const LOOK: Duration = Duration::from_millis(50);
/// How long an address may take to be given or freed.
const PATIENCE: Duration = Duration::from_secs(300);

/// The times of a pod.
#[derive(Debug, Clone, Copy)]
pub struct Life {
    pub number: usize,
    /// From the request to the address.
    pub bound: Duration,
    /// From the report that the sandbox is gone to the free address.
    pub freed: Duration,
}

/// What all pods have in common.
pub struct Lives {
    client: Client,
    seen: Arc<Mutex<PoolTimes>>,
    life: Duration,
}

impl Lives {
    /// Pods that each run for `life`.
    pub fn new(client: Client, seen: Arc<Mutex<PoolTimes>>, life: Duration) -> Self {
        Lives { client, seen, life }
    }

    /// The whole life of a pod.
    pub async fn live(&self, number: usize, node: &str) -> anyhow::Result<Life> {
        let name = format!("pod-{number}");
        let asked = Instant::now();
        let uid = cluster::create_ordinary_pod(&self.client, &name, node).await?;
        let bound = self
            .when("an address", &name, |seen| seen.bound.get(&uid).copied())
            .await?;
        self.report(node, &uid, json!({"initial": now()})).await?;
        tokio::time::sleep(self.life.saturating_sub(asked.elapsed())).await;
        cluster::delete_pod(&self.client, &name).await?;
        let reported = Instant::now();
        self.report(node, &uid, json!({"deleted": now()})).await?;
        let freed = self
            .when("the end of its address", &name, |seen| {
                seen.freed.get(&uid).copied()
            })
            .await?;
        self.forget(node, &uid).await?;
        Ok(Life {
            number,
            bound: bound - asked,
            freed: freed.saturating_duration_since(reported),
        })
    }

    async fn when(
        &self,
        what: &str,
        pod: &str,
        look: impl Fn(&PoolTimes) -> Option<Instant>,
    ) -> anyhow::Result<Instant> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = look(&self.seen.lock()) {
                return Ok(at);
            }
            if Instant::now() > deadline {
                bail!("{what} of {pod} was not seen within {PATIENCE:?}");
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn report(&self, node: &str, uid: &str, status: Value) -> anyhow::Result<()> {
        self.patch(node, uid, json!({"podID": "bench/pod", "status": status}))
            .await
    }

    async fn forget(&self, node: &str, uid: &str) -> anyhow::Result<()> {
        self.patch(node, uid, Value::Null).await
    }

    async fn patch(&self, node: &str, uid: &str, pod: Value) -> anyhow::Result<()> {
        let status = json!({"status": {"pods": {uid: pod}}});
        Api::<NodeRuntime>::all(self.client.clone())
            .patch_status(node, &PatchParams::default(), &Patch::Merge(&status))
            .await?;
        Ok(())
    }
}

fn now() -> Value {
    json!({"lastUpdateTime": Timestamp::now()})
}
