//! Ordinary pods of one node: they come together, share its ENIs, and go together.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use async_trait::async_trait;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use super::pool::comes_to_rest;
use super::runtime::Sandbox;
use super::{Act, Actor, Stage};
use crate::drive::beside;
use crate::lane::NAMESPACE;
use crate::pools;
use crate::settings::POOL;

/// How such pods end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Their objects go, and later the agent reports their sandboxes gone.
    Reported,
    /// Their containers end, the agent reports it, and their objects go in the end.
    ByItself,
    /// Nobody reports anything; their node is lost.
    Unreported,
    /// Their node is lost, and their objects go with it.
    WithTheirNode,
}

/// Pods `NAME-0`, `NAME-1` and so on.
pub struct SharedPods {
    pub name: &'static str,
    pub node: &'static str,
    pub count: usize,
    pub comes: Act,
    pub goes: Act,
    pub ending: Ending,
    /// In this act the first pod gets a new sandbox and lives on.
    pub renewed: Option<Act>,
    /// A vSwitch that has no free address when the pods come.
    pub drought: Option<&'static str>,
}

/// Time between the end of a pod's object and the report of the end of its sandbox.
const REPORTED_AFTER: Duration = Duration::from_millis(300);
/// How long the vSwitch has no free address. A node whose ENIs are all made has no other vSwitch to turn to.
const DROUGHT: Duration = Duration::from_secs(2);

async fn drought(stage: &Stage, vswitch: &'static str) {
    let _withheld = stage.lane.withhold(vswitch);
    tokio::time::sleep(DROUGHT).await;
}

#[async_trait]
impl Actor for SharedPods {
    fn name(&self) -> String {
        format!("pods {}", self.name)
    }

    async fn play(&self, act: Act, stage: &Stage) -> Result<()> {
        if act == self.comes {
            match self.drought {
                Some(vswitch) => beside(self.come(stage), drought(stage, vswitch)).await?,
                None => self.come(stage).await?,
            }
            comes_to_rest(stage, self.node, POOL[1]).await?;
        }
        if self.renewed == Some(act) {
            self.renew(stage).await?;
        }
        if act == self.goes && self.ending != Ending::WithTheirNode {
            self.go(stage).await?;
        }
        Ok(())
    }
}

impl SharedPods {
    fn pods(stage: &Stage) -> Api<Pod> {
        Api::namespaced(stage.lane.client.clone(), NAMESPACE)
    }

    fn names(&self) -> impl Iterator<Item = String> {
        (0..self.count).map(|number| format!("{}-{number}", self.name))
    }

    /// UIDs of those that live, by name.
    fn living(&self, stage: &Stage) -> Result<BTreeMap<String, String>> {
        let living = |name: String| {
            let uid = stage.lane.ledger.living(&name);
            let uid = uid.ok_or_else(|| anyhow!("{name} never came"))?;
            Ok((name, uid))
        };
        self.names().map(living).collect()
    }

    async fn come(&self, stage: &Stage) -> Result<()> {
        for name in self.names() {
            let pod: Pod = serde_json::from_value(json!({
                "metadata": {"name": name},
                "spec": {"nodeName": self.node, "containers": [{"name": "main", "image": "none"}]},
            }))?;
            let made = Self::pods(stage).create(&PostParams::default(), &pod).await;
            let uid = made.context("creating a pod")?.uid().unwrap_or_default();
            stage.lane.ledger.born(&uid, &name, self.node, false);
        }
        let pods = self.living(stage)?;
        let what = format!("its pods have addresses on {}", self.node);
        self.until_bound(stage, &what, |bound| pods.keys().all(|pod| bound.contains(pod)))
            .await?;
        for (pod, uid) in pods.iter().filter(|_| self.ending != Ending::Unreported) {
            self.sandbox(pod, uid).began(stage).await?;
        }
        Ok(())
    }

    fn sandbox<'a>(&'a self, pod: &'a str, uid: &'a str) -> Sandbox<'a> {
        Sandbox {
            node: self.node,
            pod,
            uid,
        }
    }

    async fn until_bound(
        &self,
        stage: &Stage,
        what: &str,
        wanted: impl Fn(&Vec<String>) -> bool,
    ) -> Result<()> {
        let view = &stage.lane.view;
        let holds = || async {
            view.objects(|objects| {
                let record = objects.terway_nodes.get(self.node);
                let bound = record.map(pools::bound).unwrap_or_default();
                wanted(&bound.into_iter().map(|attached| attached.pod).collect())
            })
        };
        view.until(what, stage.patience, holds).await
    }

    async fn renew(&self, stage: &Stage) -> Result<()> {
        let pods = self.living(stage)?;
        let (pod, uid) = pods.first_key_value().ok_or_else(|| anyhow!("there is none"))?;
        let sandbox = self.sandbox(pod, uid);
        sandbox.ended(stage, false).await?;
        tokio::time::sleep(REPORTED_AFTER).await;
        sandbox.began(stage).await
    }

    async fn go(&self, stage: &Stage) -> Result<()> {
        let pods = self.living(stage)?;
        if self.ending == Ending::ByItself {
            let done = Patch::Merge(json!({"status": {"phase": "Succeeded"}}));
            for (name, uid) in &pods {
                stage.lane.ledger.gone(uid);
                let ended = Self::pods(stage)
                    .patch_status(name, &PatchParams::default(), &done)
                    .await;
                ended.context("ending a pod's containers")?;
            }
            self.report(stage, &pods).await?;
        }
        for (name, uid) in &pods {
            stage.lane.ledger.gone(uid);
            let at_once = DeleteParams::default().grace_period(0);
            let deleted = Self::pods(stage).delete(name, &at_once).await;
            deleted.context("deleting a pod")?;
        }
        match self.ending {
            Ending::Reported => self.report(stage, &pods).await?,
            Ending::ByItself => {}
            Ending::Unreported | Ending::WithTheirNode => return Ok(()),
        }
        let free = |bound: &Vec<String>| pods.keys().all(|pod| !bound.contains(pod));
        self.until_bound(stage, "their addresses are free again", free)
            .await?;
        // Addresses that are idle for a second are given back, down to the minimum.
        comes_to_rest(stage, self.node, POOL[0]).await
    }

    async fn report(&self, stage: &Stage, pods: &BTreeMap<String, String>) -> Result<()> {
        tokio::time::sleep(REPORTED_AFTER).await;
        for (pod, uid) in pods {
            self.sandbox(pod, uid).ended(stage, true).await?;
        }
        Ok(())
    }
}
