//! Trunk ENIs made by hand, for a control plane that leaves them to its node daemon.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Node;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;
use terway_cloud::{
    Action, AttachEni, Cloud, CloudConfig, CloudMetrics, CreateEni, CredentialSource, Endpoints, Expect,
    Priority, Unfenced,
};
use terway_crds::names::annotation;

use crate::cluster::node_name;
use crate::world;

/// A client of the simulated cloud for the benchmark itself.
pub async fn connect(cloud_url: &str) -> anyhow::Result<Cloud> {
    let endpoints = Endpoints::one(cloud_url);
    let config = CloudConfig {
        region_id: Some(world::REGION.to_owned()),
        endpoints: Some(endpoints),
        ..CloudConfig::new(CredentialSource::choose("lab-ak", "lab-sk", ""))
    };
    Ok(Cloud::connect(config, Arc::new(Unfenced), CloudMetrics::unregistered()).await?)
}

/// Makes and attaches a trunk for each node and notes it on the node.
pub async fn make(cloud: &Cloud, client: &Client, nodes: usize) -> anyhow::Result<()> {
    let made = (1..=nodes).map(|number| make_one(cloud, client, number));
    futures::stream::iter(made)
        .buffer_unordered(50)
        .try_collect::<Vec<_>>()
        .await?;
    Ok(())
}

async fn make_one(cloud: &Cloud, client: &Client, number: usize) -> anyhow::Result<()> {
    let request = CreateEni {
        vswitch_id: world::NODE_VSWITCH.to_owned(),
        security_group_ids: vec![world::NODE_GROUP.to_owned()],
        trunk: true,
        tags: BTreeMap::from([("creator".to_owned(), "bench".to_owned())]),
        client_token: format!("bench-trunk-{number}"),
        ..CreateEni::default()
    };
    let permit = cloud
        .permit(Action::CreateNetworkInterface, Priority::Create)
        .await;
    let trunk = cloud.create_network_interface(permit, &request).await?;
    let attach = AttachEni {
        eni_id: trunk.id.clone(),
        instance_id: world::instance(number),
        ..AttachEni::default()
    };
    let permit = cloud
        .permit(Action::AttachNetworkInterface, Priority::Attach)
        .await;
    cloud.attach_network_interface(permit, &attach).await?;
    let watch = cloud.watch();
    watch.expect(&trunk.id, Expect::Attached);
    let deadline = Instant::now() + Duration::from_secs(60);
    while !attached(cloud, &trunk.id) {
        if Instant::now() > deadline {
            bail!("trunk {} was not attached within a minute", trunk.id);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let patch = json!({"metadata": {"annotations": {annotation::TRUNK_ON: trunk.id}}});
    let nodes: Api<Node> = Api::all(client.clone());
    let name = node_name(number);
    nodes
        .patch(&name, &PatchParams::default(), &Patch::Merge(patch))
        .await
        .with_context(|| format!("annotating node {name}"))?;
    Ok(())
}

fn attached(cloud: &Cloud, eni_id: &str) -> bool {
    let seen = cloud.watch().latest(eni_id);
    matches!(seen, Some((terway_cloud::EniObservation::Present(eni), _)) if eni.status == terway_cloud::EniStatus::InUse)
}
