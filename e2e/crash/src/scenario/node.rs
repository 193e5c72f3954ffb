//! A node that joins and leaves, and may come back on another instance.

use std::time::Duration;

use anyhow::{Context, Result};
use async_trait::async_trait;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use serde_json::json;
use terway_crds::names::{annotation, label, resource};

use super::pool::comes_to_rest;
use super::{Act, Actor, Stage, runtime};
use crate::lane::NAMESPACE;
use crate::settings::POOL;
use crate::view::Objects;
use crate::world;

/// Time between the loss of a Node object and the deletion of its pods, which nobody else does here.
const ORPHANED: Duration = Duration::from_millis(500);

/// A node, first on the instance of its name.
pub struct NodeActor {
    pub name: &'static str,
    pub joins: Act,
    pub leaves: Act,
    pub instance_type: &'static str,
    /// How many members its trunk can have; `None` for a node without a trunk.
    pub members: Option<&'static str>,
    /// Name of its own ConfigMap.
    pub config: Option<&'static str>,
    /// In this act its machine is lost with its pods, and a node of the same name joins on this instance.
    pub replaced: Option<(Act, &'static str)>,
}

#[async_trait]
impl Actor for NodeActor {
    fn name(&self) -> String {
        self.name.to_owned()
    }

    async fn play(&self, act: Act, stage: &Stage) -> Result<()> {
        if act == self.joins {
            self.join(stage, &format!("i-{}", self.name)).await?;
        }
        if let Some((_, other)) = self.replaced.filter(|(when, _)| *when == act) {
            self.replace(stage, other).await?;
        }
        if act == self.leaves {
            self.leave(stage).await?;
        }
        Ok(())
    }
}

impl NodeActor {
    /// A node with a trunk and the settings of the cluster.
    pub fn usual(name: &'static str, joins: Act, leaves: Act) -> NodeActor {
        NodeActor {
            name,
            joins,
            leaves,
            instance_type: world::INSTANCE_TYPE,
            members: Some(world::MEMBERS),
            config: None,
            replaced: None,
        }
    }

    /// The machine is lost, its Node object is deleted under its pods, and its pods follow.
    async fn replace(&self, stage: &Stage, other: &str) -> Result<()> {
        let ledger = &stage.lane.ledger;
        let pods = ledger.pods();
        let lost = pods
            .iter()
            .filter(|pod| pod.node == self.name && pod.gone.is_none());
        let lost: Vec<&str> = lost.map(|pod| pod.name.as_str()).collect();
        for pod in &lost {
            ledger.gone(&ledger.living(pod).unwrap_or_default());
        }
        ledger.node_gone(self.name);
        let nodes: Api<Node> = Api::all(stage.lane.client.clone());
        let deleted = nodes.delete(self.name, &DeleteParams::default()).await;
        deleted.context("deleting the node")?;
        runtime::forget(stage, self.name).await?;
        tokio::time::sleep(ORPHANED).await;
        let orphans: Api<Pod> = Api::namespaced(stage.lane.client.clone(), NAMESPACE);
        for pod in lost {
            let at_once = DeleteParams::default().grace_period(0);
            orphans
                .delete(pod, &at_once)
                .await
                .context("deleting an orphan")?;
        }
        self.join(stage, other).await?;
        let view = &stage.lane.view;
        let moved = || async { view.objects(|objects| is_recorded_on(objects, self.name, other)) };
        view.until(&format!("its record is about {other}"), stage.patience, moved)
            .await?;
        comes_to_rest(stage, self.name, POOL[1]).await
    }

    async fn join(&self, stage: &Stage, instance: &str) -> Result<()> {
        let mut labels = json!({
            label::REGION: world::REGION,
            label::ZONE: world::ZONE,
            label::INSTANCE_TYPE: self.instance_type,
        });
        if let Some(config) = self.config {
            labels[label::DYNAMIC_CONFIG] = json!(config);
        }
        let node: Node = serde_json::from_value(json!({
            "metadata": {"name": self.name, "labels": labels},
            "spec": {"providerID": format!("{}.{instance}", world::REGION)},
        }))?;
        let nodes: Api<Node> = Api::all(stage.lane.client.clone());
        nodes
            .create(&PostParams::default(), &node)
            .await
            .context("creating the node")?;
        let Some(members) = self.members else {
            return Ok(());
        };
        let view = &stage.lane.view;
        let serves = || async { view.objects(|objects| serves(objects, self.name, members)) };
        view.until("it has its trunk and says so", stage.patience, serves)
            .await
    }

    async fn leave(&self, stage: &Stage) -> Result<()> {
        // A node is drained before it goes.
        let view = &stage.lane.view;
        let ledger = &stage.lane.ledger;
        let gone = || {
            let pods = ledger.pods();
            pods.iter().all(|pod| pod.node != self.name || pod.gone.is_some())
        };
        let empty = || async { gone() && view.objects(|objects| holds_no_pod(objects, self.name)) };
        view.until("no bound pod is left on it", stage.patience, empty)
            .await?;
        stage.lane.ledger.node_gone(self.name);
        let nodes: Api<Node> = Api::all(stage.lane.client.clone());
        nodes
            .delete(self.name, &DeleteParams::default())
            .await
            .context("deleting the node")?;
        let gone = || async { view.objects(|objects| !objects.terway_nodes.contains_key(self.name)) };
        view.until("its Node object is gone", stage.patience, gone).await
    }
}

/// The instance of a node, as its Node object names it.
pub fn instance(objects: &Objects, node: &str) -> Option<String> {
    let spec = objects.nodes.get(node)?.spec.as_ref()?;
    let (_, instance) = spec.provider_id.as_ref()?.split_once('.')?;
    Some(instance.to_owned())
}

fn is_recorded_on(objects: &Objects, name: &str, instance: &str) -> bool {
    let record = objects.terway_nodes.get(name);
    record.is_some_and(|record| {
        record.metadata.deletion_timestamp.is_none() && record.spec.node_metadata.instance_id == instance
    })
}

/// Whether a node has its trunk, and says that pods can have so many ENIs.
pub fn serves(objects: &Objects, name: &str, wanted: &str) -> bool {
    let Some(node) = objects.nodes.get(name) else {
        return false;
    };
    let annotations = node.metadata.annotations.clone().unwrap_or_default();
    let allocatable = node
        .status
        .clone()
        .unwrap_or_default()
        .allocatable
        .unwrap_or_default();
    let members = allocatable.get(resource::MEMBER_ENI);
    annotations.contains_key(annotation::TRUNK_ON) && members.is_some_and(|found| found.0 == wanted)
}

fn holds_no_pod(objects: &Objects, node: &str) -> bool {
    objects.pod_enis.values().all(|record| {
        let labels = record.metadata.labels.clone().unwrap_or_default();
        labels.get(label::NODE).map(String::as_str) != Some(node)
            || record.metadata.deletion_timestamp.is_some()
    })
}
