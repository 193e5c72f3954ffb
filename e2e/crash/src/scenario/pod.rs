//! A pod with ENIs of its own: its node in each act, and how it ends.

use anyhow::{Context, Result, anyhow};
use async_trait::async_trait;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use terway_crds::names::annotation;
use terway_crds::{Phase, PodEni};

use super::node::instance;
use super::{Act, Actor, Stage};
use crate::lane::NAMESPACE;
use crate::world;

/// How a pod ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Farewell {
    /// Its object goes at once; the sandbox has ended before.
    AtOnce,
    /// It is Terminating for a while, and its sandbox lives meanwhile.
    Gracefully,
    /// Its containers end by themselves; the object goes later.
    ByItself,
}

/// A pod.
pub struct PodActor {
    pub name: &'static str,
    /// Interfaces, as the webhook would have written them.
    pub networks: Value,
    pub fixed: bool,
    /// The record stays until somebody deletes it.
    pub for_ever: bool,
    /// Node of an earlier pod of this name. That pod goes as soon as its ENI is made.
    pub early: Option<&'static str>,
    /// Its node from each act on.
    pub places: &'static [(Act, &'static str)],
    pub goes: Act,
    pub farewell: Farewell,
}

/// One network of a pod.
pub fn network(interface: &str, vswitch: &str, group: &str, lifetime: &Value) -> Value {
    json!({
        "vSwitchOptions": [vswitch],
        "securityGroupIDs": [group],
        "interface": interface,
        "eniOptions": {"eniType": "Default"},
        "allocationType": lifetime,
    })
}

#[async_trait]
impl Actor for PodActor {
    fn name(&self) -> String {
        self.name.to_owned()
    }

    async fn play(&self, act: Act, stage: &Stage) -> Result<()> {
        if let Some((at, (_, node))) = self.places.iter().enumerate().find(|(_, (when, _))| *when == act) {
            if let Some(node) = self.early.filter(|_| at == 0) {
                self.pass_by(stage, node).await?;
            }
            if let Some(uid) = stage.lane.ledger.living(self.name) {
                self.go(stage, &uid).await?;
            }
            self.come(stage, node).await?;
        }
        if act == self.goes {
            let uid = stage.lane.ledger.living(self.name);
            self.go(stage, &uid.ok_or_else(|| anyhow!("it never came"))?)
                .await?;
            self.give_up(stage).await?;
        }
        Ok(())
    }
}

impl PodActor {
    fn pods(stage: &Stage) -> Api<Pod> {
        Api::namespaced(stage.lane.client.clone(), NAMESPACE)
    }

    /// A pod that goes while its ENI is on its way to it.
    async fn pass_by(&self, stage: &Stage, node: &str) -> Result<()> {
        let uid = self.create(stage, node).await?;
        let view = &stage.lane.view;
        let made = || async {
            view.objects(|objects| {
                let record = objects.pod_enis.get(self.name);
                record.is_some_and(|record| record.spec.allocations.iter().all(|a| !a.eni.id.is_empty()))
            })
        };
        view.until("its ENI is made", stage.patience, made).await?;
        self.go(stage, &uid).await
    }

    async fn come(&self, stage: &Stage, node: &str) -> Result<()> {
        let uid = self.create(stage, node).await?;
        let view = &stage.lane.view;
        let bound = || async {
            view.objects(|objects| {
                let record = objects.pod_enis.get(self.name);
                let instance = instance(objects, node);
                record
                    .zip(instance)
                    .is_some_and(|(record, instance)| is_bound(record, &uid, &instance))
            })
        };
        let what = format!("it is bound on {node}");
        view.until(&what, stage.patience, bound).await
    }

    /// Creates the pod on a node; gives its UID.
    async fn create(&self, stage: &Stage, node: &str) -> Result<String> {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": self.name, "annotations": {
                annotation::POD_ENI: "true",
                annotation::POD_NETWORKS: json!({"podNetworks": self.networks}).to_string(),
            }},
            "spec": {
                "nodeName": node,
                "containers": [{"name": "main", "image": "none"}],
                "terminationGracePeriodSeconds": 30,
            },
        }))?;
        let made = Self::pods(stage).create(&PostParams::default(), &pod).await;
        let uid = made.context("creating the pod")?.uid().unwrap_or_default();
        stage.lane.ledger.born(&uid, self.name, node, self.fixed);
        Ok(uid)
    }

    /// Gives up the sandbox. The PodENI may stay.
    async fn go(&self, stage: &Stage, uid: &str) -> Result<()> {
        let pods = Self::pods(stage);
        match self.farewell {
            Farewell::AtOnce => {}
            Farewell::Gracefully => {
                // No kubelet finishes the deletion: the pod stays Terminating until it is deleted at once.
                let leaving = pods.delete(self.name, &DeleteParams::default()).await;
                leaving.context("asking the pod to go")?;
                tokio::time::sleep(std::time::Duration::from_millis(300)).await;
            }
            Farewell::ByItself => {
                stage.lane.ledger.gone(uid);
                let done = Patch::Merge(json!({"status": {"phase": "Succeeded"}}));
                pods.patch_status(self.name, &PatchParams::default(), &done)
                    .await
                    .context("ending the pod's containers")?;
                if !self.fixed {
                    self.record_gone(stage).await?;
                }
            }
        }
        stage.lane.ledger.gone(uid);
        let at_once = DeleteParams::default().grace_period(0);
        pods.delete(self.name, &at_once)
            .await
            .context("deleting the pod")?;
        Ok(())
    }

    /// Gives up the name too. The PodENI must go.
    async fn give_up(&self, stage: &Stage) -> Result<()> {
        if self.for_ever {
            let records: Api<PodEni> = Api::namespaced(stage.lane.client.clone(), NAMESPACE);
            let deleted = records.delete(self.name, &DeleteParams::default()).await;
            deleted.context("deleting the PodENI")?;
        }
        self.record_gone(stage).await
    }

    async fn record_gone(&self, stage: &Stage) -> Result<()> {
        let view = &stage.lane.view;
        let gone = || async { view.objects(|objects| !objects.pod_enis.contains_key(self.name)) };
        view.until("its PodENI is gone", stage.patience, gone).await
    }
}

fn is_bound(record: &PodEni, uid: &str, instance: &str) -> bool {
    let named = record.annotations().get(annotation::POD_UID).map(String::as_str) == Some(uid);
    let status = record.status.as_ref();
    named && status.is_some_and(|status| status.phase == Phase::Bind && status.instance_id == instance)
}

/// The allocationType of an ENI that goes with its pod.
pub fn elastic() -> Value {
    json!({"type": "Elastic"})
}

/// The allocationType of an ENI that is kept for a second after its pod.
pub fn fixed() -> Value {
    json!({"type": "Fixed", "releaseStrategy": "TTL", "releaseAfter": "1s"})
}

/// The allocationType of an ENI that is kept until its PodENI is deleted.
pub fn for_ever() -> Value {
    json!({"type": "Fixed", "releaseStrategy": "Never"})
}

/// The usual network of a pod.
pub fn usual(lifetime: &Value) -> Value {
    json!([network("eth0", world::POD_VSWITCH, "sg-web", lifetime)])
}
