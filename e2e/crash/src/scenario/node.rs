//! A node that joins and leaves.

use anyhow::{Context, Result};
use async_trait::async_trait;
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use serde_json::json;
use terway_crds::names::{annotation, label, resource};

use super::{Act, Actor, Stage};
use crate::view::Objects;
use crate::world;

/// A node on the instance of its name.
pub struct NodeActor {
    pub name: &'static str,
    pub joins: Act,
    pub leaves: Act,
    pub instance_type: &'static str,
    /// How many members its trunk can have; `None` for a node without a trunk.
    pub members: Option<&'static str>,
    /// Name of its own ConfigMap.
    pub config: Option<&'static str>,
}

#[async_trait]
impl Actor for NodeActor {
    fn name(&self) -> String {
        self.name.to_owned()
    }

    async fn play(&self, act: Act, stage: &Stage) -> Result<()> {
        if act == self.joins {
            self.join(stage).await?;
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
        }
    }

    async fn join(&self, stage: &Stage) -> Result<()> {
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
            "spec": {"providerID": format!("{}.{}", world::REGION, instance(self.name))},
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

/// The instance of a node.
pub fn instance(node: &str) -> String {
    format!("i-{node}")
}

fn serves(objects: &Objects, name: &str, wanted: &str) -> bool {
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
