//! The report on sandboxes that a node's agent would write: the same object, with times in whole seconds.

use anyhow::{Context, Result};
use jiff::{SignedDuration, Timestamp};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::json;
use terway_crds::node_runtime::{RUNTIME_DELETED, RUNTIME_INITIAL};
use terway_crds::{NodeRuntime, NodeRuntimeSpec};

use super::Stage;
use crate::lane::NAMESPACE;

/// A sandbox of a pod.
pub(super) struct Sandbox<'a> {
    pub(super) node: &'a str,
    pub(super) pod: &'a str,
    pub(super) uid: &'a str,
}

impl Sandbox<'_> {
    /// The sandbox was set up.
    pub(super) async fn began(&self, stage: &Stage) -> Result<()> {
        let reports = reports(stage);
        let fresh = NodeRuntime::new(self.node, NodeRuntimeSpec {});
        match reports.create(&PostParams::default(), &fresh).await {
            Err(kube::Error::Api(said)) if said.is_already_exists() => {}
            made => {
                made.context("creating the NodeRuntime")?;
            }
        }
        let after = self.time(stage, RUNTIME_DELETED).await?;
        self.write(stage, RUNTIME_INITIAL, later(after)).await
    }

    /// The sandbox is gone, for good or until the pod's next one begins.
    pub(super) async fn ended(&self, stage: &Stage, for_good: bool) -> Result<()> {
        let at = later(self.time(stage, RUNTIME_INITIAL).await?);
        if for_good {
            stage.lane.ledger.let_go(self.uid, at);
        }
        self.write(stage, RUNTIME_DELETED, at).await
    }

    async fn time(&self, stage: &Stage, state: &str) -> Result<Option<Timestamp>> {
        let report = reports(stage)
            .get(self.node)
            .await
            .context("reading the NodeRuntime")?;
        let pods = report.status.unwrap_or_default().pods;
        let last = pods.get(self.uid).and_then(|pod| pod.status.get(state));
        Ok(last.and_then(|last| last.last_update_time.as_ref().map(|time| time.0)))
    }

    async fn write(&self, stage: &Stage, state: &str, at: Timestamp) -> Result<()> {
        let pod = json!({
            "podID": format!("{NAMESPACE}/{}", self.pod),
            "status": {state: {"lastUpdateTime": at}},
        });
        let patch = Patch::Merge(json!({"status": {"pods": {self.uid: pod}}}));
        let written = reports(stage)
            .patch_status(self.node, &PatchParams::default(), &patch)
            .await;
        written.context("writing the NodeRuntime")?;
        Ok(())
    }
}

/// The node is gone, and its report with it.
pub(super) async fn forget(stage: &Stage, node: &str) -> Result<()> {
    match reports(stage).delete(node, &DeleteParams::default()).await {
        Err(kube::Error::Api(said)) if said.is_not_found() => Ok(()),
        deleted => deleted.map(|_| ()).context("deleting the NodeRuntime"),
    }
}

fn reports(stage: &Stage) -> Api<NodeRuntime> {
    Api::all(stage.lane.client.clone())
}

/// The present time, but at least a second after `before`: readers compare whole seconds.
fn later(before: Option<Timestamp>) -> Timestamp {
    let now = Timestamp::now();
    let whole = Timestamp::from_second(now.as_second()).unwrap_or(now);
    before.map_or(whole, |before| whole.max(before + SignedDuration::from_secs(1)))
}
