//! Shared ENIs: pools of nodes, addresses of pods, and conditions when something is wrong.

use std::collections::{BTreeMap, BTreeSet};

use cloudsim::model::{Eni, EniKind};
use cloudsim::{Fault, Point};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Node, Pod};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use terway_crds::names::{annotation, label, object};
use terway_crds::node::{Ip, IpStatus, NicStatus};
use terway_crds::{NodeRuntime, TerwayNode};

use crate::replica::Replica;
use crate::stage::{ANY_PORT, NAMESPACE, Stage, found, until};

/// A stage whose eni-config has these changes; see [`configure`].
pub async fn stage(changes: Value) -> Stage {
    let stage = Stage::set().await;
    configure(&stage, changes).await;
    stage
}

/// Writes eni-config: what the chart has, then two vSwitches and a pool of five, and then these changes.
pub async fn configure(stage: &Stage, changes: Value) {
    let mut eni_conf = stage.settings(ANY_PORT).eni_conf;
    for (key, value) in [
        ("vswitches", json!({"cn-hangzhou-h": ["vsw-node-h", "vsw-pod-h"]})),
        ("vswitch_selection_policy", json!("ordered")),
        ("max_pool_size", json!(5)),
        ("min_pool_size", json!(5)),
    ] {
        eni_conf[key] = value;
    }
    for (key, value) in changes.as_object().expect("changes are a map") {
        eni_conf[key] = value.clone();
    }
    let maps: Api<ConfigMap> = Api::namespaced(stage.client.clone(), object::NAMESPACE);
    let data = json!({"data": {object::ENI_CONFIG_KEY: eni_conf.to_string()}});
    maps.patch(object::ENI_CONFIG, &PatchParams::default(), &Patch::Merge(&data))
        .await
        .expect("the ConfigMap can be written");
}

pub fn records(stage: &Stage) -> Api<TerwayNode> {
    Api::all(stage.client.clone())
}

/// Every address in a node's record. The kind itself may not be served yet.
async fn addresses(stage: &Stage, node: &str) -> Vec<Ip> {
    let record = records(stage).get_opt(node).await.ok().flatten();
    let status = record.and_then(|record| record.status).unwrap_or_default();
    let nics = status.network_interfaces.into_values();
    nics.filter(|nic| nic.status == NicStatus::InUse)
        .flat_map(|nic| nic.ipv4.into_values())
        .collect()
}

pub async fn idle(stage: &Stage, node: &str) -> usize {
    let all = addresses(stage, node).await;
    all.iter()
        .filter(|ip| ip.pod_uid.is_empty() && ip.status == IpStatus::Valid)
        .count()
}

/// Addresses of pods, by the pod's name.
pub async fn bound(stage: &Stage, node: &str) -> BTreeMap<String, (String, String)> {
    let all = addresses(stage, node).await;
    all.into_iter()
        .filter(|ip| !ip.pod_uid.is_empty())
        .map(|ip| (ip.pod_id, (ip.ip, ip.pod_uid)))
        .collect()
}

pub async fn pool_is(stage: &Stage, node: &str, size: usize) {
    until(&format!("{node} has {size} idle addresses"), || async {
        idle(stage, node).await == size
    })
    .await;
}

pub async fn pods(stage: &Stage, node: &str, names: impl Iterator<Item = String>) {
    let api: Api<Pod> = Api::namespaced(stage.client.clone(), NAMESPACE);
    for name in names {
        let pod = json!({
            "metadata": {"name": name},
            "spec": {
                "nodeName": node,
                "containers": [{"name": "main", "image": "none"}],
                "terminationGracePeriodSeconds": 0,
            },
        });
        let pod = serde_json::from_value(pod).expect("a pod");
        api.create(&PostParams::default(), &pod)
            .await
            .expect("the pod is accepted");
    }
}

pub async fn bound_are(stage: &Stage, node: &str, count: usize) -> BTreeMap<String, (String, String)> {
    let found = found(&format!("{count} pods of {node} have addresses"), || async {
        let bound = bound(stage, node).await;
        (bound.len() == count).then_some(bound)
    })
    .await;
    let different: BTreeSet<&String> = found.values().map(|(ip, _)| ip).collect();
    assert_eq!(different.len(), count, "an address belongs to one pod");
    found
}

/// The agent's report on which sandboxes are gone, and which are there.
pub async fn report(stage: &Stage, node: &str, gone: &[&str], there: &[&str]) {
    let api: Api<NodeRuntime> = Api::all(stage.client.clone());
    let runtime = json!({"metadata": {"name": node}, "spec": {}});
    if api.get_opt(node).await.expect("reports can be read").is_none() {
        let runtime = serde_json::from_value(runtime).expect("a report");
        api.create(&PostParams::default(), &runtime)
            .await
            .expect("it is accepted");
    }
    let now = Timestamp::now();
    let time =
        |ago: i64| json!({"lastUpdateTime": Timestamp::from_second(now.as_second() - ago).expect("a time")});
    let mut pods = serde_json::Map::new();
    for uid in there {
        pods.insert(
            (*uid).into(),
            json!({"podID": "x/x", "status": {"initial": time(60)}}),
        );
    }
    for uid in gone {
        let status = json!({"initial": time(60), "deleted": time(1)});
        pods.insert((*uid).into(), json!({"podID": "x/x", "status": status}));
    }
    let status = json!({"status": {"pods": pods}});
    api.patch_status(node, &PatchParams::default(), &Patch::Merge(&status))
        .await
        .expect("the report can be written");
}

/// Waits until the record of a node names the addresses that its ENIs have in the cloud.
pub async fn cloud_agrees(stage: &Stage, node: &str) {
    until("the record says what the cloud has", || async {
        let record = records(stage).get(node).await.expect("the record");
        let instance = record.spec.node_metadata.instance_id;
        let status = record.status.unwrap_or_default();
        let recorded: BTreeSet<String> = status
            .network_interfaces
            .values()
            .flat_map(|nic| nic.ipv4.keys().cloned())
            .collect();
        let of_node = |eni: &Eni| eni.instance().is_some_and(|id| **id == *instance);
        let shared = stage
            .cloud
            .enis()
            .into_iter()
            .filter(|eni| of_node(eni) && matches!(eni.kind, EniKind::Secondary | EniKind::Trunk));
        let there: BTreeSet<String> = shared
            .flat_map(|eni| eni.addresses().map(|ip| ip.to_string()).collect::<Vec<_>>())
            .collect();
        recorded == there && status.operations.is_empty()
    })
    .await;
}

/// S-008: addresses come in batches, and not one call for each pod.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_join_with_one_create_and_one_attach_each_and_serve_their_pods() {
    let stage = stage(json!({})).await;
    let replica = Replica::start(&stage, "one");
    pool_is(&stage, "node1", 5).await;
    pool_is(&stage, "node2", 5).await;
    assert_eq!(stage.accepted("CreateNetworkInterface"), 2);
    assert_eq!(stage.accepted("AttachNetworkInterface"), 2);
    assert_eq!(stage.accepted("AssignPrivateIpAddresses"), 0);
    let nodes: Api<Node> = Api::all(stage.client.clone());
    until("what pods can have is published", || async {
        let node = nodes.get("node1").await.expect("the node");
        let annotations = node.metadata.annotations.unwrap_or_default();
        let conditions = node
            .status
            .and_then(|status| status.conditions)
            .unwrap_or_default();
        let sufficient = conditions
            .iter()
            .any(|c| c.type_ == "SufficientIP" && c.status == "True");
        annotations.get(annotation::MAX_AVAILABLE_IP).map(String::as_str) == Some("45") && sufficient
    })
    .await;
    stage.nodes_serve().await;

    pods(&stage, "node1", (0..30).map(|n| format!("p{n}"))).await;
    let bound = bound_are(&stage, "node1", 30).await;
    pool_is(&stage, "node1", 5).await;
    assert!(bound.keys().all(|id| id.starts_with("default/p")));
    cloud_agrees(&stage, "node1").await;
    // 35 addresses on ENIs of 15: two more ENIs, and the rest in batches.
    assert_eq!(stage.accepted("CreateNetworkInterface"), 4);
    replica.stop().await;
}

/// S-040: on an overloaded node upstream gave the address of a living pod to another one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_is_free_when_its_sandbox_is_reported_gone_and_not_before() {
    let stage = stage(json!({"max_pool_size": 2, "min_pool_size": 2})).await;
    let replica = Replica::start(&stage, "one");
    pool_is(&stage, "node1", 2).await;
    pods(&stage, "node1", ["a".into(), "b".into()].into_iter()).await;
    let before = bound_are(&stage, "node1", 2).await;
    let (a, b) = (&before["default/a"].1, &before["default/b"].1);
    report(&stage, "node1", &[], &[a, b]).await;
    stage.remove_pod("a").await;
    // A later pod is served with another address.
    pods(&stage, "node1", ["c".into()].into_iter()).await;
    let during = bound_are(&stage, "node1", 3).await;
    assert_eq!(during["default/a"], before["default/a"]);
    report(&stage, "node1", &[a], &[b]).await;
    let after = bound_are(&stage, "node1", 2).await;
    assert!(!after.contains_key("default/a"));
    cloud_agrees(&stage, "node1").await;
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_control_plane_comes_back_to_the_same_bindings_and_lost_replies() {
    let stage = stage(json!({})).await;
    let replica = Replica::start(&stage, "one");
    pool_is(&stage, "node1", 5).await;
    pods(&stage, "node1", (0..4).map(|n| format!("p{n}"))).await;
    let before = bound_are(&stage, "node1", 4).await;
    pool_is(&stage, "node1", 5).await;
    for action in ["AssignPrivateIpAddresses", "CreateNetworkInterface"] {
        stage.cloud.inject(Fault {
            action: Some(action.into()),
            reset: Some(Point::After),
            ..Fault::default()
        });
    }
    let of_node = |eni: &Eni| eni.instance().is_some_and(|id| **id == *"i-node1");
    let there = || -> usize {
        let enis = stage.cloud.enis();
        enis.iter()
            .filter(|eni| of_node(eni))
            .map(|eni| eni.addresses().count())
            .sum()
    };
    let had = there();
    pods(&stage, "node1", (4..10).map(|n| format!("p{n}"))).await;
    until("the cloud did what nobody heard of", || async { there() > had }).await;
    replica.kill();
    stage.cloud.clear_faults();
    let replica = Replica::start(&stage, "one");
    let after = bound_are(&stage, "node1", 10).await;
    for (pod, address) in before {
        assert_eq!(after[&pod], address, "{pod} keeps its address");
    }
    pool_is(&stage, "node1", 5).await;
    cloud_agrees(&stage, "node1").await;
    let unattached = |eni: &&Eni| eni.instance().is_none();
    assert_eq!(
        stage.cloud.enis().iter().filter(unattached).count(),
        0,
        "no ENI is lost"
    );
    replica.stop().await;
}

/// S-017: a full vSwitch stops neither new ENIs elsewhere nor the return of addresses.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exhausted_vswitch_is_left_for_another() {
    let stage = stage(json!({"max_pool_size": 3, "min_pool_size": 3})).await;
    let replica = Replica::start(&stage, "one");
    pool_is(&stage, "node1", 3).await;
    stage.cloud.with_cloud(|cloud| cloud.withhold("vsw-node-h", 1000));
    pods(&stage, "node1", (0..10).map(|n| format!("p{n}"))).await;
    let bound = bound_are(&stage, "node1", 10).await;
    assert!(
        bound.values().any(|(ip, _)| ip.starts_with("10.0.16.")),
        "{bound:?}"
    );
    let record = records(&stage).get("node1").await.expect("the record");
    let status = record.status.expect("a status");
    let stuck = status
        .network_interfaces
        .values()
        .find(|nic| nic.vswitch_id == "vsw-node-h");
    assert!(
        stuck
            .expect("the first ENI")
            .conditions
            .contains_key("InsufficientIP")
    );
    replica.stop().await;
}

async fn configured(stage: &Stage, node: &str, status: &str, words: &[&str]) {
    until(&format!("{node} says {status} with {words:?}"), || async {
        let record = records(stage).get(node).await.expect("the record");
        let conditions = record.status.unwrap_or_default().conditions;
        conditions.iter().any(|c| {
            c.type_ == "Configured" && c.status == status && words.iter().all(|word| c.message.contains(word))
        })
    })
    .await;
}

/// S-092: new settings are taken without a restart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_configuration_is_named_and_the_last_good_one_kept() {
    let stage = stage(json!({})).await;
    let replica = Replica::start(&stage, "one");
    pool_is(&stage, "node1", 5).await;
    configured(&stage, "node1", "True", &[]).await;
    let good = records(&stage).get("node1").await.expect("the record").spec;
    for (changes, words) in [
        (
            json!({"min_pool_size": 9}),
            vec!["min_pool_size is 9", "max_pool_size is 5"],
        ),
        (
            json!({"vswitches": {"cn-hangzhou-i": ["vsw-pod-i"]}}),
            vec!["zone cn-hangzhou-h"],
        ),
        (
            json!({"vswitches": {"cn-hangzhou-h": ["vsw-none"]}}),
            vec!["vsw-none"],
        ),
        (
            json!({"vswitches": {"cn-hangzhou-h": ["vsw-pod-i"]}}),
            vec!["vsw-pod-i", "zone cn-hangzhou-i"],
        ),
        (
            json!({"security_groups": (0..11).map(|n| format!("sg-{n}")).collect::<Vec<_>>()}),
            vec!["11 groups"],
        ),
    ] {
        configure(&stage, changes).await;
        configured(&stage, "node1", "False", &words).await;
        assert_eq!(records(&stage).get("node1").await.expect("the record").spec, good);
    }
    // Pods are served all the same.
    pods(&stage, "node1", ["a".into()].into_iter()).await;
    bound_are(&stage, "node1", 1).await;
    configure(&stage, json!({"min_pool_size": 2, "max_pool_size": 4})).await;
    configured(&stage, "node1", "True", &[]).await;
    let spec = records(&stage).get("node1").await.expect("the record").spec;
    assert_eq!(spec.pool.expect("a pool").min_pool_size, 2);
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nodes_own_configuration_concerns_that_node_alone() {
    let stage = stage(json!({})).await;
    let nodes: Api<Node> = Api::all(stage.client.clone());
    let own = json!({"metadata": {"labels": {label::DYNAMIC_CONFIG: "small"}}});
    nodes
        .patch("node2", &PatchParams::default(), &Patch::Merge(&own))
        .await
        .expect("the node can be labelled");
    let replica = Replica::start(&stage, "one");
    pool_is(&stage, "node1", 5).await;
    configured(&stage, "node2", "False", &["kube-system/small", "does not exist"]).await;
    let maps: Api<ConfigMap> = Api::namespaced(stage.client.clone(), object::NAMESPACE);
    let map = json!({
        "metadata": {"name": "small"},
        "data": {object::ENI_CONFIG_KEY: json!({"min_pool_size": 2, "max_pool_size": 2}).to_string()},
    });
    stage.create::<ConfigMap>(maps.clone(), map).await;
    pool_is(&stage, "node2", 2).await;
    assert_eq!(idle(&stage, "node1").await, 5);
    maps.delete("small", &DeleteParams::default())
        .await
        .expect("it can be deleted");
    configured(&stage, "node2", "False", &["kube-system/small"]).await;
    assert_eq!(idle(&stage, "node2").await, 2);
    replica.stop().await;
}
