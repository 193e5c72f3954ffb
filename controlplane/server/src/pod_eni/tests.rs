//! What is written, sent and told for a PodENI, step by step.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};
use terway_core::intent::Evidence;
use terway_crds::names::tag;
use terway_crds::{NetworkInterface, Phase, PodEni};

use super::*;
use crate::error::Retry;
use crate::testing::{Stage, shop};

const RECORD: &str = "namespaces/shop/podenis/db-0";

fn key() -> Key {
    Key::namespaced("shop", "db-0")
}

/// A record with an intent that was never sent.
fn record() -> PodEni {
    begun_at("2026-01-01T00:00:00Z".parse().unwrap())
}

/// A record whose attempt began at this time.
fn begun_at(time: Timestamp) -> PodEni {
    serde_json::from_value(json!({
        "apiVersion": "network.alibabacloud.com/v1beta1", "kind": "PodENI",
        "metadata": {
            "namespace": "shop", "name": "db-0", "uid": "uid-record",
            "labels": { "k8s.aliyun.com/node": "n1" },
            "annotations": { "k8s.aliyun.com/pod-uid": "uid-pod" },
            "finalizers": ["network.alibabacloud.com/pod-eni"],
        },
        "spec": {
            "zone": "h",
            "allocations": [{
                "eni": { "vSwitchID": "vsw-1", "securityGroupIDs": ["sg-1"], "attachmentOptions": { "trunk": true } },
                "creation": {
                    "attempt": 1, "startedAt": time.to_string(),
                    "parameters": { "vSwitchID": "vsw-1", "securityGroupIDs": ["sg-1"], "ipv4Count": 1 },
                },
            }],
        },
    }))
    .unwrap()
}

/// A record whose ENI was made.
fn made() -> PodEni {
    let mut record = record();
    record.spec.allocations[0].eni.id = "eni-1".into();
    record
}

fn leaving(mut record: PodEni) -> PodEni {
    record.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
    record
}

/// The NetworkInterface of the record's ENI, with this status.
fn interface(status: Value) -> NetworkInterface {
    serde_json::from_value(json!({
        "apiVersion": "network.alibabacloud.com/v1beta1", "kind": "NetworkInterface",
        "metadata": { "name": "eni-1", "finalizers": ["network.alibabacloud.com/eni"] },
        "spec": {
            "podENIRef": { "kind": "PodENI", "namespace": "shop", "name": "db-0", "uid": "uid-record" },
            "attachTo": { "instanceID": "i-1", "trunkENIID": "eni-trunk", "nodeName": "n1" },
        },
        "status": status,
    }))
    .unwrap()
}

fn bound() -> NetworkInterface {
    interface(json!({ "phase": "Bind", "instanceID": "i-1", "trunkENIID": "eni-trunk", "nodeName": "n1" }))
}

/// A stage with a node that has a trunk, and with the living pod.
async fn stage() -> Stage {
    let stage = Stage::set().await;
    stage.context.caches.nodes.apply(shop::node(), false);
    stage.put_pod(shop::pod());
    stage.context.attempts.written("uid-record", "0", 1);
    stage
}

fn pod_is_gone(stage: &Stage) {
    stage.context.caches.pods.remove(&key(), 2);
}

async fn reconcile(stage: &Stage) -> Result<Next, ReconcileError> {
    let controller = PodEniController::new(&stage.context);
    controller.reconcile(&key(), &mut Slot::alone()).await
}

fn the_record(stage: &Stage) -> Arc<PodEni> {
    stage.context.caches.pod_enis.get(&key()).unwrap()
}

fn phase(stage: &Stage) -> Phase {
    let record = the_record(stage);
    record
        .status
        .as_ref()
        .map(|status| status.phase.clone())
        .unwrap_or_default()
}

fn evidence(stage: &Stage, attempt: i32) -> Evidence {
    let id = terway_core::intent::IntentId {
        owner_uid: "uid-record".to_owned(),
        index: "0".to_owned(),
        attempt,
    };
    stage.context.attempts.of(&id)
}

/// The cloud makes this ENI at the next create.
fn makes(stage: &Stage, id: &str) {
    let eni = json!({
        "NetworkInterfaceId": id, "Status": "Available", "Type": "Secondary", "VSwitchId": "vsw-1",
        "MacAddress": "00:16:3e:00:00:01", "PrivateIpAddress": "10.0.0.5", "ZoneId": "h",
    });
    stage.cloud.will_answer("CreateNetworkInterface", 200, eni);
}

fn writes_from(stage: &Stage, first: usize) -> Vec<String> {
    stage.api.writes().split_off(first)
}

#[tokio::test]
async fn an_eni_is_made_from_the_recorded_request_and_its_owner_is_written_before_its_id() {
    let stage = stage().await;
    stage.put(&record());
    makes(&stage, "eni-1");
    assert_eq!(reconcile(&stage).await.unwrap(), Next::OnChange);
    let calls = stage.cloud.log();
    let create = calls
        .iter()
        .find(|call| call.action == "CreateNetworkInterface")
        .unwrap();
    assert_eq!(create.parameters["VSwitchId"], "vsw-1");
    assert_eq!(
        stage.api.writes(),
        ["POST networkinterfaces", &format!("PATCH {RECORD}")]
    );
    let allocation = the_record(&stage).spec.allocations[0].clone();
    assert_eq!(
        (allocation.eni.id.as_str(), allocation.ipv4.as_str()),
        ("eni-1", "10.0.0.5")
    );
    let interface = stage
        .context
        .caches
        .interfaces
        .get(&Key::cluster("eni-1"))
        .unwrap();
    let target = interface.spec.attach_to.clone().unwrap();
    assert_eq!(
        (target.instance_id.as_str(), target.trunk_eni_id.as_str()),
        ("i-1", "eni-trunk")
    );
    assert!(stage.context.fresh.was_never_attached("eni-1"));
    assert_eq!(
        evidence(&stage, 1),
        Evidence::inherited(1),
        "a resolved intent needs no evidence"
    );
    let events = stage.events().await;
    assert_eq!(
        events,
        ["CreateENISucceed: created ENI eni-1 with address 10.0.0.5 in vSwitch vsw-1"]
    );
}

/// The user deletes the record between the two writes. The second one meets the deletion, and the pod still lives.
#[tokio::test]
async fn a_deletion_that_meets_the_write_of_the_id_leaves_the_pod_its_network() {
    let stage = stage().await;
    stage.put(&record());
    stage.put_unseen(&leaving(record()));
    makes(&stage, "eni-1");
    assert_eq!(reconcile(&stage).await.unwrap_err().retry(), Retry::Conflict);
    assert_eq!(the_record(&stage).spec.allocations[0].eni.id, "");

    // The watch shows the deletion.
    stage.put(&leaving(record()));
    assert_eq!(reconcile(&stage).await.unwrap(), Next::OnChange);
    assert_eq!(the_record(&stage).spec.allocations[0].eni.id, "eni-1");
    assert_eq!(
        stage.cloud.changes(),
        ["CreateNetworkInterface"],
        "nothing is made twice"
    );

    stage.put(&bound());
    assert_eq!(reconcile(&stage).await.unwrap(), Next::OnChange);
    assert_eq!(phase(&stage), Phase::Bind);
    let said = stage.api.writes().len();
    reconcile(&stage).await.unwrap();
    assert_eq!(writes_from(&stage, said), [""; 0], "what is said is said once");

    pod_is_gone(&stage);
    assert_eq!(reconcile(&stage).await.unwrap(), Next::OnChange);
    assert_eq!(
        writes_from(&stage, said),
        ["DELETE networkinterfaces/eni-1", &format!("PATCH {RECORD}")]
    );
    assert_eq!(
        stage.api.object(RECORD),
        None,
        "the finalizer is gone, and the record with it"
    );
}

#[tokio::test]
async fn a_refused_create_is_told_and_its_next_attempt_is_recorded_before_it_is_sent() {
    let stage = stage().await;
    stage.put(&record());
    stage
        .cloud
        .will_refuse("CreateNetworkInterface", 403, "SecurityGroupInstanceLimitExceed");
    let next = reconcile(&stage).await.unwrap();
    assert!(matches!(next, Next::After(_)), "{next:?}");
    let creation = the_record(&stage).spec.allocations[0].creation.clone().unwrap();
    assert_eq!(creation.attempt, 2);
    assert_eq!(
        creation.last_error.unwrap().code,
        "SecurityGroupInstanceLimitExceed"
    );
    assert_eq!(evidence(&stage, 2), Evidence::fresh(2));
    assert_eq!(stage.cloud.changes(), ["CreateNetworkInterface"]);
    let status = the_record(&stage).status.clone().unwrap();
    assert!(
        status.msg.contains("SecurityGroupInstanceLimitExceed"),
        "{}",
        status.msg
    );
    let events = stage.events().await;
    assert_eq!(events.len(), 1, "{events:?}");
    assert!(events[0].starts_with("CreateENIFailed: "), "{events:?}");
}

#[tokio::test]
async fn a_create_without_an_answer_is_sent_again_with_the_same_token() {
    let stage = stage().await;
    stage.put(&begun_at(Timestamp::now()));
    stage
        .cloud
        .will_refuse("CreateNetworkInterface", 500, "InternalError");
    let error = reconcile(&stage).await.unwrap_err();
    assert!(matches!(error.retry(), Retry::Cloud(_)), "{error}");
    makes(&stage, "eni-1");
    reconcile(&stage).await.unwrap();
    let calls = stage.cloud.log().into_iter();
    let tokens: Vec<String> = calls
        .filter(|call| call.action == "CreateNetworkInterface")
        .map(|call| call.parameters["ClientToken"].clone())
        .collect();
    assert_eq!(tokens.len(), 2);
    assert_eq!(tokens[0], tokens[1]);
}

#[tokio::test]
async fn an_old_intent_is_searched_for_by_its_tag_before_anything_is_made() {
    let stage = stage().await;
    stage.put(&record());
    // The process that recorded the intent is gone, and the token is too old.
    stage.context.attempts.forget_all("uid-record");
    let next = reconcile(&stage).await.unwrap();
    assert!(matches!(next, Next::After(_)), "{next:?}");
    let calls = stage.cloud.log();
    let search = calls
        .iter()
        .find(|call| call.action == "DescribeNetworkInterfaces")
        .unwrap();
    assert_eq!(search.parameters["Tag.1.Key"], tag::INTENT);
    assert_eq!(search.parameters["Tag.1.Value"], "uid-record/0/1");
    assert_eq!(stage.cloud.changes(), [""; 0]);
    assert_eq!(evidence(&stage, 1).lookups.len(), 1);
}

#[tokio::test]
async fn a_search_that_fails_proves_nothing() {
    let stage = stage().await;
    stage.put(&record());
    stage.context.attempts.forget_all("uid-record");
    stage
        .cloud
        .will_refuse("DescribeNetworkInterfaces", 403, "Forbidden.RAM");
    assert!(reconcile(&stage).await.is_err());
    assert_eq!(evidence(&stage, 1).lookups, []);
    assert_eq!(stage.api.writes(), [""; 0]);
}

#[tokio::test]
async fn an_eni_that_the_cloud_lost_gives_up_its_object_before_the_record_forgets_it() {
    let stage = stage().await;
    stage.put(&made());
    let lost = json!({
        "phase": "",
        "conditions": [{
            "type": "Ready", "status": "False", "reason": "ENINotFound", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }],
    });
    stage.put(&interface(lost));
    stage.api.refuse("PATCH", "podenis", 500, 1);
    assert!(reconcile(&stage).await.is_err());
    assert_eq!(
        stage.api.writes(),
        ["DELETE networkinterfaces/eni-1", &format!("PATCH {RECORD}")]
    );
    assert_eq!(
        the_record(&stage).spec.allocations[0].eni.id,
        "eni-1",
        "nothing is forgotten yet"
    );
}

#[tokio::test]
async fn a_record_without_room_for_its_eni_in_the_cloud_marks_the_vswitch() {
    let stage = stage().await;
    stage.cloud.will_describe(&[shop::vswitch("vsw-1", "h", 9)]);
    let ids = ["vsw-1".to_owned()];
    stage.context.vswitches.resolve(&ids).await.unwrap();
    stage.put(&record());
    stage
        .cloud
        .will_refuse("CreateNetworkInterface", 403, "InvalidVSwitchId.IpNotEnough");
    reconcile(&stage).await.unwrap();
    assert_eq!(
        stage.context.vswitches.remembered(&ids).candidates[0].available,
        0
    );
}

#[tokio::test]
async fn a_released_record_forgets_what_this_process_knew() {
    let stage = stage().await;
    pod_is_gone(&stage);
    stage.put(&leaving(record()));
    stage.context.attempts.written("uid-record", "0", 1);
    assert_eq!(reconcile(&stage).await.unwrap(), Next::OnChange);
    assert_eq!(stage.api.writes(), [format!("PATCH {RECORD}")]);
    assert!(stage.context.attempts.of_owner("uid-record").is_empty());
    assert_eq!(stage.context.caches.pod_enis.get(&key()), None);
}

#[tokio::test]
async fn a_bound_record_is_told_on_its_pod_once() {
    let stage = stage().await;
    stage.put(&made());
    stage.put(&bound());
    for _ in 0..3 {
        assert_eq!(reconcile(&stage).await.unwrap(), Next::OnChange);
    }
    assert_eq!(stage.api.writes(), [format!("PATCH {RECORD}/status")]);
    let api = stage.api.clone();
    let events = stage.events().await;
    assert_eq!(
        events,
        ["AttachENISucceed: attached ENI eni-1 with address  to instance i-1"]
    );
    let log = api.log();
    let told = log.iter().find(|asked| asked.path.ends_with("/events")).unwrap();
    assert_eq!(told.body["regarding"]["kind"], "Pod");
    assert_eq!(told.body["related"]["kind"], "PodENI");
}

/// Somebody removed the finalizer by hand while the record waited.
#[tokio::test]
async fn a_record_that_vanishes_takes_its_evidence_along() {
    let stage = stage().await;
    stage.put(&record());
    assert!(!stage.context.attempts.of_owner("uid-record").is_empty());
    stage.context.caches.pod_enis.remove(&key(), 1_000);
    assert!(stage.context.attempts.of_owner("uid-record").is_empty());
    assert_eq!(reconcile(&stage).await.unwrap(), Next::OnChange);
}
