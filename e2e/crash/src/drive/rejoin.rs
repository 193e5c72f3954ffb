//! A Node object is deleted under its pods, and the kubelet registers the node again.

use std::time::Duration;

use anyhow::{Context, Result};
use async_trait::async_trait;
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::{DeleteParams, ObjectMeta, PostParams};

use super::{Plan, Scene, Trouble};
use crate::scenario::{Play, serves};
use crate::world;

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(20);
/// How long the node has to serve again.
const SERVES_WITHIN: Duration = Duration::from_secs(20);

/// A node loses its Node object while a pod runs there. The same instance registers again, and its pods live on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rejoin {
    pub node: &'static str,
    /// How many members its trunk can have; `None` for a node without a trunk.
    pub members: Option<&'static str>,
    /// Time between the two Node objects.
    pub away: Duration,
}

#[async_trait]
impl Trouble for Rejoin {
    async fn make(&self, scene: &Scene) -> Result<()> {
        let view = &scene.lane.view;
        while !self.has_a_bound_pod(scene) {
            tokio::time::sleep(LOOK).await;
        }
        let nodes: Api<Node> = Api::all(scene.lane.client.clone());
        let before = nodes.get(self.node).await.context("reading the node")?;
        let again = Node {
            metadata: ObjectMeta {
                name: before.metadata.name,
                labels: before.metadata.labels,
                ..ObjectMeta::default()
            },
            spec: before.spec,
            status: None,
        };
        let deleted = nodes.delete(self.node, &DeleteParams::default()).await;
        deleted.context("deleting the node")?;
        tokio::time::sleep(self.away).await;
        let made = nodes.create(&PostParams::default(), &again).await;
        made.context("registering the node again")?;
        scene.did(format!("{} was deleted and registered again", self.node));
        if let Some(members) = self.members {
            let serves = || async { view.objects(|objects| serves(objects, self.node, members)) };
            let what = format!("{}, registered again, has its trunk and says so", self.node);
            view.until(&what, SERVES_WITHIN, serves).await?;
        }
        Ok(())
    }
}

impl Rejoin {
    fn has_a_bound_pod(&self, scene: &Scene) -> bool {
        let pods = scene.lane.ledger.pods();
        let claims = scene.lane.view.claims();
        let here = |pod: &&crate::checker::PodLife| pod.node == self.node && pod.gone.is_none();
        pods.iter()
            .filter(here)
            .any(|pod| claims.iter().any(|claim| claim.pod_uid == pod.uid))
    }
}

/// A node with a trunk, a node with both kinds of pods, and a node with ordinary pods alone: each registers again at
/// once, and after a time in which a release of its ENIs would be over. One more node comes back on another instance,
/// without its pods.
pub fn each_rejoin() -> Vec<Plan> {
    let nodes = [
        (Play::Members, "node2", Some(world::MEMBERS)),
        (Play::Shared, "pool1", Some(world::SMALL_MEMBERS)),
        (Play::Shared, "pool2", None),
    ];
    let mut plans = vec![Plan::quiet(Play::Replaced, "node")];
    for (play, node, members) in nodes {
        for (name, away) in [("at-once", 0), ("later", 2_000)] {
            let rejoin = Rejoin {
                node,
                members,
                away: Duration::from_millis(away),
            };
            let mut plan = Plan::quiet(play, &format!("rejoin:{node}:{name}")).with(rejoin);
            plan.patience += SERVES_WITHIN;
            plans.push(plan);
        }
    }
    plans
}
