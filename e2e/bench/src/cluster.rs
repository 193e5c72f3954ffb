//! A cluster of objects alone: nodes and pods without a kubelet, with the annotations that the webhook would write.

use std::time::Instant;

use anyhow::Context;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Node, Pod};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::runtime::{conditions, wait::await_condition};
use kube::{Api, Client};
use serde_json::{Value, json};
use terway_crds::names::{annotation, label, object, resource};
use terway_crds::{NodeRuntime, PodNetworking};

use crate::world;

/// Namespace of the pods.
pub const NAMESPACE: &str = "bench";
/// The PodNetworking that pods with ENIs of their own match.
const NETWORK: &str = "web";
/// Requests of the benchmark at a time. Each takes a connection of its own, and handshakes are work for the API server.
pub const AT_ONCE: usize = 32;

/// Name of a node, counted from 1.
pub fn node_name(number: usize) -> String {
    format!("node{number}")
}

/// Definitions, namespaces and eni-config.
pub async fn prepare(client: &Client, eni_conf: &Value) -> anyhow::Result<()> {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    for definition in terway_crds::crd::all()? {
        let name = definition.metadata.name.clone().unwrap_or_default();
        definitions
            .create(&PostParams::default(), &definition)
            .await
            .with_context(|| format!("creating {name}"))?;
        await_condition(definitions.clone(), &name, conditions::is_crd_established()).await?;
    }
    create::<Namespace>(
        &Api::all(client.clone()),
        json!({"metadata": {"name": NAMESPACE}}),
    )
    .await?;
    // The bare API server makes this namespace itself, sooner or later.
    let system: Api<Namespace> = Api::all(client.clone());
    if system.get_opt(object::NAMESPACE).await?.is_none() {
        create(&system, json!({"metadata": {"name": object::NAMESPACE}})).await?;
    }
    let config_map = json!({
        "metadata": {"name": object::ENI_CONFIG},
        "data": {object::ENI_CONFIG_KEY: eni_conf.to_string(), "10-terway.conf": "{}"},
    });
    create::<ConfigMap>(&Api::namespaced(client.clone(), object::NAMESPACE), config_map).await
}

/// The PodNetworking of pods with ENIs of their own.
pub async fn create_network(client: &Client) -> anyhow::Result<()> {
    let network = json!({
        "metadata": {"name": NETWORK},
        "spec": {
            "selector": {"podSelector": {"matchLabels": {"app": NETWORK}}},
            "securityGroupIDs": [world::POD_GROUP],
            "vSwitchOptions": [world::POD_VSWITCH],
        },
    });
    create::<PodNetworking>(&Api::all(client.clone()), network).await
}

/// Creates nodes, all at once. Returns the time of each request.
pub async fn create_nodes(client: &Client, nodes: usize) -> anyhow::Result<Vec<(String, Instant)>> {
    let api: Api<Node> = Api::all(client.clone());
    let made = (1..=nodes).map(|number| {
        let api = &api;
        async move {
            let at = Instant::now();
            create(api, node(number)).await?;
            anyhow::Ok((node_name(number), at))
        }
    });
    futures::stream::iter(made)
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}

/// One node.
pub async fn create_node(client: &Client, number: usize) -> anyhow::Result<()> {
    create(&Api::<Node>::all(client.clone()), node(number)).await
}

fn node(number: usize) -> Value {
    json!({
        "metadata": {"name": node_name(number), "labels": {
            label::REGION: world::REGION,
            label::ZONE: world::ZONE,
            label::INSTANCE_TYPE: world::INSTANCE_TYPE,
            "kubernetes.io/hostname": node_name(number),
        }},
        "spec": {"providerID": format!("{}.{}", world::REGION, world::instance(number))},
    })
}

/// Empty reports of the agents of these nodes.
pub async fn create_reports(client: &Client, nodes: usize) -> anyhow::Result<()> {
    let api: Api<NodeRuntime> = Api::all(client.clone());
    let made =
        (1..=nodes).map(|number| create(&api, json!({"metadata": {"name": node_name(number)}, "spec": {}})));
    futures::stream::iter(made)
        .buffer_unordered(AT_ONCE)
        .try_collect::<Vec<_>>()
        .await?;
    Ok(())
}

/// How many nodes can take pods with ENIs of their own.
pub async fn ready_nodes(client: &Client) -> anyhow::Result<usize> {
    let nodes = Api::<Node>::all(client.clone())
        .list(&ListParams::default())
        .await?;
    let ready = |node: &&Node| {
        node.metadata
            .annotations
            .as_ref()
            .is_some_and(|all| all.contains_key(annotation::TRUNK_ON))
    };
    Ok(nodes.items.iter().filter(ready).count())
}

/// Whether the PodNetworking can be used.
pub async fn network_ready(client: &Client) -> anyhow::Result<bool> {
    let network = Api::<PodNetworking>::all(client.clone()).get(NETWORK).await?;
    Ok(serde_json::to_value(&network)?["status"]["status"] == "Ready")
}

/// Creates an ordinary pod on a node; gives its UID.
pub async fn create_ordinary_pod(client: &Client, name: &str, node: &str) -> anyhow::Result<String> {
    let pod = json!({
        "metadata": {"name": name},
        "spec": {
            "nodeName": node,
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "main", "image": "none"}],
        },
    });
    let pods: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    let made = pods
        .create(&PostParams::default(), &serde_json::from_value(pod)?)
        .await
        .with_context(|| format!("creating pod {name}"))?;
    Ok(made.metadata.uid.unwrap_or_default())
}

/// Creates a pod with an ENI of its own on a node, as it looks after the webhook and the scheduler.
pub async fn create_pod(client: &Client, name: &str, node: &str) -> anyhow::Result<()> {
    let networks = json!({"podNetworks": [{
        "vSwitchOptions": [world::POD_VSWITCH],
        "securityGroupIDs": [world::POD_GROUP],
        "interface": "eth0",
        "eniOptions": {"eniType": "Default"},
        "allocationType": {"type": "Elastic"},
    }]});
    let slots = json!({resource::MEMBER_ENI: "1"});
    let pod = json!({
        "metadata": {"name": name, "labels": {"app": NETWORK}, "annotations": {
            annotation::POD_ENI: "true",
            annotation::POD_NETWORKING: NETWORK,
            annotation::POD_NETWORKS: networks.to_string(),
        }},
        "spec": {
            "nodeName": node,
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "main", "image": "none", "resources": {"requests": slots, "limits": slots}}],
        },
    });
    create::<Pod>(&Api::namespaced(client.clone(), NAMESPACE), pod).await
}

/// Deletes one pod at once, as if its node had stopped it.
pub async fn delete_pod(client: &Client, name: &str) -> anyhow::Result<()> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    pods.delete(name, &DeleteParams::default().grace_period(0))
        .await
        .with_context(|| format!("deleting pod {name}"))?;
    Ok(())
}

/// Deletes all pods at once.
pub async fn delete_pods(client: &Client, names: &[String]) -> anyhow::Result<()> {
    let deleted = names.iter().map(|name| delete_pod(client, name));
    futures::stream::iter(deleted)
        .buffer_unordered(AT_ONCE)
        .try_collect::<Vec<_>>()
        .await?;
    Ok(())
}

async fn create<K>(api: &Api<K>, object: Value) -> anyhow::Result<()>
where
    K: kube::Resource + Clone + serde::de::DeserializeOwned + serde::Serialize + std::fmt::Debug,
    K::DynamicType: Default,
{
    let object: K = serde_json::from_value(object)?;
    let name = object.meta().name.clone().unwrap_or_default();
    api.create(&PostParams::default(), &object)
        .await
        .with_context(|| format!("creating {name}"))?;
    Ok(())
}
