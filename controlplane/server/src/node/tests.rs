//! A node that goes, comes back, or has another instance under its name; and a node that something contradicts.

use std::sync::Arc;

use serde_json::{Value, json};
use terway_core::pod::PodFacts;
use terway_crds::TerwayNode;
use terway_crds::names::finalizer;

use super::*;
use crate::testing::Stage;

const NODE: &str = "nodes/n1";

fn key() -> Key {
    Key::cluster("n1")
}

/// The Node object of instance `i-1`. A pod is bound to an address of its ENI.
fn record(metadata: Value) -> TerwayNode {
    let mut record = json!({
        "apiVersion": "network.alibabacloud.com/v1beta1", "kind": "Node",
        "metadata": { "name": "n1", "uid": "uid-record", "finalizers": [finalizer::NODE] },
        "spec": { "nodeMetadata": { "instanceID": "i-1", "regionID": "r", "zoneID": "h", "instanceType": "t" } },
        "status": {
            "lastSyncOpenAPITime": "2026-01-01T00:00:00Z", "nextSyncOpenAPITime": "2099-01-01T00:00:00Z",
            "networkInterfaces": { "eni-1": {
                "id": "eni-1", "status": "InUse", "networkInterfaceType": "Secondary",
                "ipv4": { "10.0.0.5": { "ip": "10.0.0.5", "status": "Valid", "podID": "shop/a", "podUID": "uid-a" } },
            } },
        },
    });
    json_patch::merge(&mut record["metadata"], &metadata);
    serde_json::from_value(record).unwrap()
}

fn node(uid: &str, instance: &str) -> NodeFacts {
    NodeFacts {
        name: "n1".into(),
        uid: uid.into(),
        version: 1,
        region: "r".into(),
        zone: "h".into(),
        instance_type: "t".into(),
        instance_id: instance.into(),
        ..NodeFacts::default()
    }
}

fn pod() -> PodFacts {
    PodFacts {
        namespace: "shop".into(),
        name: "a".into(),
        uid: "uid-a".into(),
        version: 1,
        node: "n1".into(),
        address: Some([10, 0, 0, 5].into()),
        ..PodFacts::default()
    }
}

async fn stage(record: &TerwayNode) -> Stage {
    let stage = Stage::set().await;
    crate::triggers::connect(&stage.context.caches, &stage.context.queues);
    stage.put(record);
    stage.put_pod(pod());
    stage
}

async fn reconcile(stage: &Stage) -> Next {
    let controller = NodeController::new(&stage.context);
    controller.reconcile(&key(), &mut Slot::alone()).await.unwrap()
}

fn the_record(stage: &Stage) -> Arc<TerwayNode> {
    stage.context.caches.node_records.get(&key()).unwrap()
}

/// Reason and truth of the condition Ready.
fn ready(stage: &Stage) -> Option<(String, String)> {
    let record = the_record(stage);
    let conditions = &record.status.as_ref()?.conditions;
    let ready = conditions.iter().find(|c| c.type_ == "Ready")?;
    Some((ready.reason.clone(), ready.status.clone()))
}

fn deletes(stage: &Stage) -> Vec<String> {
    let writes = stage.api.writes().into_iter();
    writes.filter(|write| write.starts_with("DELETE")).collect()
}

#[tokio::test]
async fn a_node_that_is_deleted_and_registered_again_keeps_its_object_enis_and_pods() {
    let stage = stage(&record(json!({}))).await;
    // `kubectl delete node`: the pods are there for a while.
    reconcile(&stage).await;
    assert_eq!(ready(&stage), Some(("NodeGone".into(), "False".into())));
    assert_eq!(deletes(&stage), [""; 0]);

    // The kubelet registers again. The Node has another UID and the same instance.
    stage.context.caches.nodes.apply(node("uid-2", "i-1"), false);
    stage.put(&limits_known(&the_record(&stage)));
    reconcile(&stage).await;
    assert_eq!(deletes(&stage), [""; 0]);
    let record = the_record(&stage);
    assert_eq!(record.metadata.uid.as_deref(), Some("uid-record"));
    let nic = &record.status.as_ref().unwrap().network_interfaces["eni-1"];
    assert_eq!(nic.ipv4["10.0.0.5"].pod_uid, "uid-a");
    assert_eq!(
        ready(&stage),
        Some(("NodeServed".into(), "True".into())),
        "what was said is taken back"
    );
    assert_eq!(stage.cloud.changes(), [""; 0]);
}

/// The record with the limits of its instance type.
fn limits_known(record: &TerwayNode) -> TerwayNode {
    let mut record = record.clone();
    record.spec.node_cap.network_cards_count = Some(1);
    record
}

#[tokio::test]
async fn the_object_of_a_node_that_is_gone_goes_with_its_last_pod() {
    let stage = stage(&record(json!({}))).await;
    reconcile(&stage).await;
    assert_eq!(deletes(&stage), [""; 0]);
    stage.context.caches.pods.remove(&Key::namespaced("shop", "a"), 2);
    reconcile(&stage).await;
    reconcile(&stage).await;
    assert_eq!(
        deletes(&stage),
        ["DELETE nodes/n1", "DELETE networkinterfaces/eni-1"]
    );
    assert_eq!(stage.api.object(NODE), None);
}

#[tokio::test]
async fn another_instance_under_the_name_starts_clean_and_the_enis_of_the_old_one_go() {
    let stage = stage(&record(json!({}))).await;
    stage.context.caches.nodes.apply(node("uid-2", "i-2"), false);
    reconcile(&stage).await;
    assert_eq!(deletes(&stage), ["DELETE nodes/n1"]);
    // No pod of the node runs on the old instance any more.
    reconcile(&stage).await;
    assert_eq!(
        deletes(&stage),
        ["DELETE nodes/n1", "DELETE networkinterfaces/eni-1"]
    );
    reconcile(&stage).await;
    let record = the_record(&stage);
    assert_eq!(record.spec.node_metadata.instance_id, "i-2");
    assert_eq!(record.status, None);
    assert_eq!(
        record.metadata.owner_references, None,
        "the garbage collector must not delete it"
    );
}

#[tokio::test]
async fn an_object_of_an_earlier_version_loses_its_owner() {
    let owner = json!([{ "apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "uid-1" }]);
    let stage = stage(&record(json!({ "ownerReferences": owner }))).await;
    stage.context.caches.nodes.apply(node("uid-1", "i-1"), false);
    reconcile(&stage).await;
    assert_eq!(stage.api.writes(), ["PATCH nodes/n1"]);
    assert_eq!(the_record(&stage).metadata.owner_references, None);
}

/// `kubectl delete nodes.network.alibabacloud.com`: the pods that run keep their network, and new ones get one.
#[tokio::test]
async fn an_object_that_is_deleted_under_its_node_serves_the_node_until_nobody_uses_it() {
    let mut record = record(json!({ "deletionTimestamp": "2026-01-01T00:00:00Z" }));
    record.spec.node_cap.adapters = 2;
    record.spec.node_cap.ipv4_per_adapter = 10;
    record.spec.eni = Some(Default::default());
    let free = serde_json::from_value(json!({ "ip": "10.0.0.6", "status": "Valid" })).unwrap();
    let nics = &mut record.status.as_mut().unwrap().network_interfaces;
    nics.get_mut("eni-1")
        .unwrap()
        .ipv4
        .insert("10.0.0.6".into(), free);
    let stage = stage(&record).await;
    stage.context.caches.nodes.apply(node("uid-1", "i-1"), false);
    stage.put_pod(PodFacts {
        name: "b".into(),
        uid: "uid-b".into(),
        address: None,
        ..pod()
    });
    let kubernetes = json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": "n1" } });
    stage.api.put_at("/api/v1/nodes/n1", kubernetes);
    let config = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "namespace": "kube-system", "name": "eni-config", "resourceVersion": "1" },
        "data": { "eni_conf": "{" },
    });
    let config = serde_json::from_value(config).unwrap();
    stage.context.caches.eni_config.apply(config, false);
    reconcile(&stage).await;
    assert_eq!(ready(&stage), Some(("PodsStillRun".into(), "False".into())));
    let served = the_record(&stage);
    let nic = &served.status.as_ref().unwrap().network_interfaces["eni-1"];
    assert_eq!(nic.ipv4["10.0.0.6"].pod_uid, "uid-b", "a new pod is served");
    assert_eq!(deletes(&stage), [""; 0]);
}

#[tokio::test]
async fn a_node_that_does_not_say_where_it_is_is_told_what_it_lacks_once() {
    let stage = Stage::set().await;
    let mut lacking = node("uid-1", "i-1");
    lacking.region.clear();
    stage.context.caches.nodes.apply(lacking, false);
    let controller = NodeController::new(&stage.context);
    let next = controller.reconcile(&key(), &mut Slot::alone()).await.unwrap();
    assert!(
        matches!(next, Next::After(left) if left <= UNMANAGED),
        "it may be joining: {next:?}"
    );
    let before = Timestamp::now() - UNMANAGED;
    controller
        .pools
        .change(&key(), |memory| memory.unmanaged = Some(before));
    for _ in 0..2 {
        let next = controller.reconcile(&key(), &mut Slot::alone()).await.unwrap();
        assert_eq!(next, Next::OnChange);
    }
    let events = stage.events().await;
    assert_eq!(events.len(), 1, "{events:?}");
    assert!(events[0].contains("topology.kubernetes.io/region"), "{events:?}");
}

/// The type was wrong for a moment. What was said of it is not true any more.
#[tokio::test]
async fn a_condition_about_an_instance_type_is_taken_back() {
    let mut record = limits_known(&record(json!({})));
    let said = terway_core::node::unknown_instance_type("ecs.none");
    let conditions = &mut record.status.as_mut().unwrap().conditions;
    terway_core::conditions::state(conditions, said, None, Timestamp::now());
    record.spec.node_cap.adapters = 4;
    record.spec.node_cap.ipv4_per_adapter = 15;
    let stage = stage(&record).await;
    stage.context.caches.nodes.apply(node("uid-1", "i-1"), false);
    reconcile(&stage).await;
    let record = the_record(&stage);
    let conditions = &record.status.as_ref().unwrap().conditions;
    let now = conditions
        .iter()
        .find(|c| c.type_ == terway_core::node::LARGE_ENOUGH)
        .unwrap();
    assert_eq!(
        (now.status.as_str(), now.reason.as_str()),
        ("True", "InstanceTypeFits")
    );
}
