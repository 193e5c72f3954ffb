//! What the sweep collects, and what it leaves alone.

use serde_json::json;
use terway_core::degradation::Degradation;
use terway_core::network_interface::{build, for_release};
use terway_crds::{Allocation, AttachTo, PodEni};

use super::*;
use crate::testing::Stage;

/// A free ENI of this cluster, as the cloud lists it.
fn free(id: &str) -> serde_json::Value {
    json!({
        "NetworkInterfaceId": id, "Status": "Available", "Type": "Secondary", "CreationTime": "2020-01-01T00:00:00Z",
        "Tags": { "Tag": [
            { "Key": tag::CLUSTER, "Value": "c1" },
            { "Key": tag::CREATOR, "Value": tag::CREATOR_CONTROLLER },
        ] },
    })
}

/// The cloud lists these free ENIs, and no member in use.
fn lists(stage: &Stage, free: &[serde_json::Value]) {
    let body = json!({ "NetworkInterfaceSets": { "NetworkInterfaceSet": free } });
    stage.cloud.will_answer("DescribeNetworkInterfaces", 200, body);
}

fn record() -> PodEni {
    let mut record = PodEni::default();
    record.metadata.namespace = Some("shop".into());
    record.metadata.name = Some("db-0".into());
    record.metadata.uid = Some("uid-1".into());
    record
}

/// The object of an ENI that belongs to the record, old enough to be judged.
fn owned() -> NetworkInterface {
    let mut allocation = Allocation::default();
    allocation.eni.id = "eni-1".into();
    build(&record(), &allocation, None)
}

#[tokio::test]
async fn an_eni_that_nothing_refers_to_gets_an_object_that_is_deleted() {
    let stage = Stage::set().await;
    lists(&stage, &[free("eni-leaked")]);
    sweep(&Sweep::new(&stage.context)).await.unwrap();
    assert_eq!(
        stage.api.writes(),
        ["POST networkinterfaces", "DELETE networkinterfaces/eni-leaked"]
    );
    assert_eq!(stage.context.metrics.collected.get(), 1);
    // The ENI itself is detached and deleted by its controller alone.
    assert_eq!(stage.cloud.changes(), [""; 0]);
}

#[tokio::test]
async fn a_list_that_fails_is_no_empty_list() {
    // The first list, and the second.
    for succeed_before in [0, 1] {
        let stage = Stage::set().await;
        stage.put(&owned());
        (0..succeed_before).for_each(|_| lists(&stage, &[free("eni-leaked")]));
        stage
            .cloud
            .will_refuse("DescribeNetworkInterfaces", 403, "Forbidden.RAM");
        assert!(sweep(&Sweep::new(&stage.context)).await.is_err());
        assert_eq!(stage.api.writes(), [""; 0]);
        assert_eq!(stage.context.metrics.collected.get(), 0);
    }
}

#[tokio::test]
async fn an_object_goes_when_the_api_server_says_that_its_owner_is_gone() {
    let stage = Stage::set().await;
    stage.put(&owned());
    sweep(&Sweep::new(&stage.context)).await.unwrap();
    assert_eq!(stage.api.writes(), ["DELETE networkinterfaces/eni-1"]);
    assert_eq!(stage.context.metrics.collected.get(), 1);
}

#[tokio::test]
async fn an_owner_that_the_cache_does_not_show_yet_keeps_its_eni() {
    let stage = Stage::set().await;
    stage.put_unseen(&record());
    stage.put(&owned());
    sweep(&Sweep::new(&stage.context)).await.unwrap();
    assert_eq!(stage.api.writes(), [""; 0]);
}

#[tokio::test]
async fn an_owner_that_cannot_be_asked_for_is_not_gone() {
    let stage = Stage::set().await;
    stage.put(&owned());
    stage.api.refuse("GET", "/podenis/db-0", 500, 1);
    assert!(sweep(&Sweep::new(&stage.context)).await.is_err());
    assert_eq!(stage.api.writes(), [""; 0]);
}

#[tokio::test]
async fn an_eni_that_is_free_and_recorded_as_attached_is_looked_at_and_kept() {
    let stage = Stage::set().await;
    stage.put(&record());
    let mut interface = owned();
    interface.spec.attach_to = Some(AttachTo::default());
    interface.status = serde_json::from_value(json!({ "phase": "Bind" })).unwrap();
    stage.put(&interface);
    lists(&stage, &[free("eni-1")]);
    sweep(&Sweep::new(&stage.context)).await.unwrap();
    assert_eq!(stage.context.cloud.watch().waiting(), 1);
    assert_eq!(stage.api.writes(), [""; 0]);
}

#[tokio::test]
async fn an_object_that_was_made_to_be_deleted_is_deleted() {
    let stage = Stage::set().await;
    stage.put(&for_release("eni-2", None));
    sweep(&Sweep::new(&stage.context)).await.unwrap();
    assert_eq!(stage.api.writes(), ["DELETE networkinterfaces/eni-2"]);
}

#[tokio::test]
async fn nothing_is_asked_while_everything_is_to_be_kept() {
    let stage = Stage::with(Degradation::L0).await;
    stage.put(&owned());
    lists(&stage, &[free("eni-leaked")]);
    sweep(&Sweep::new(&stage.context)).await.unwrap();
    assert_eq!(stage.cloud.log(), []);
    assert_eq!(stage.api.log(), []);
}

/// An ENI of node `n1` that is attached and in use, as the Node object has it.
fn node() -> terway_crds::TerwayNode {
    serde_json::from_value(json!({
        "apiVersion": "network.alibabacloud.com/v1beta1", "kind": "Node",
        "metadata": { "name": "n1" },
        "spec": { "nodeMetadata": { "instanceID": "i-1" } },
        "status": { "networkInterfaces": { "eni-n": { "id": "eni-n", "status": "InUse" } } },
    }))
    .unwrap()
}

#[tokio::test]
async fn one_list_without_a_filter_by_state_serves_the_whole_cluster() {
    let stage = Stage::set().await;
    let mut member = free("eni-m");
    (member["Status"], member["Type"]) = ("InUse".into(), "Member".into());
    lists(&stage, &[free("eni-1"), member]);
    sweep(&Sweep::new(&stage.context)).await.unwrap();
    let calls = stage.cloud.log();
    assert_eq!(calls.len(), 1, "{calls:?}");
    assert_eq!(calls[0].parameters["Tag.1.Key"], tag::CLUSTER);
    assert!(!calls[0].parameters.contains_key("Status"), "{calls:?}");
}

#[tokio::test]
async fn a_node_whose_eni_is_not_listed_is_compared_once() {
    let stage = Stage::set().await;
    stage.put(&node());
    let parts = Sweep::new(&stage.context);
    sweep(&parts).await.unwrap();
    let key = Key::cluster("n1");
    let first = stage.context.suspects.of(&key).unwrap();
    assert_eq!(stage.context.queues.nodes.depth(), 1);
    sweep(&parts).await.unwrap();
    assert_eq!(
        stage.context.suspects.of(&key),
        Some(first),
        "it may lack the tag"
    );
}

#[tokio::test]
async fn a_node_whose_eni_is_free_is_compared_each_time() {
    let stage = Stage::set().await;
    stage.put(&node());
    let parts = Sweep::new(&stage.context);
    let key = Key::cluster("n1");
    for _ in 0..2 {
        lists(&stage, &[free("eni-n")]);
        lists(&stage, &[]);
        sweep(&parts).await.unwrap();
        assert!(stage.context.suspects.of(&key).is_some());
        stage.context.suspects.forget(&key);
    }
    assert_eq!(
        stage.api.writes(),
        [""; 0],
        "an ENI that a record names is not leaked"
    );
}
