//! Pods that wait for their ENI: for a vSwitch with room, and for somebody who corrects what the cloud refused.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use terway_core::pod::PodFacts;
use terway_crds::{Creation, PodEni, PodNetworking};

use super::*;
use crate::error::Retry;
use crate::runtime::{Key, Next, Reconciler};
use crate::testing::{Stage, shop};

fn key() -> Key {
    Key::namespaced("shop", "db-0")
}

/// A record of a pod of the PodNetworking `db`, with this creation.
fn record(creation: Value) -> PodEni {
    serde_json::from_value(json!({
        "apiVersion": "network.alibabacloud.com/v1beta1", "kind": "PodENI",
        "metadata": {
            "namespace": "shop", "name": "db-0", "uid": "uid-record",
            "labels": { "k8s.aliyun.com/node": "n1" },
            "annotations": { "k8s.aliyun.com/pod-uid": "uid-pod" },
            "finalizers": ["network.alibabacloud.com/pod-eni"],
        },
        "spec": { "zone": "h", "allocations": [{
            "eni": { "vSwitchID": "vsw-1", "securityGroupIDs": ["sg-1"], "attachmentOptions": { "trunk": true } },
            "creation": creation,
        }] },
    }))
    .unwrap()
}

fn first_attempt() -> Value {
    json!({
        "attempt": 1, "startedAt": "2026-01-01T00:00:00Z",
        "parameters": { "vSwitchID": "vsw-1", "securityGroupIDs": ["sg-1"] },
    })
}

fn vswitch(id: &str, available: i64) -> Value {
    shop::vswitch(id, "h", available)
}

/// The living pod on its node, its PodNetworking with these vSwitches, and a cloud that has these.
async fn stage(options: &[&str], vswitches: &[Value]) -> Stage {
    let stage = Stage::set().await;
    stage.context.caches.nodes.apply(shop::node(), false);
    stage.put_pod(PodFacts {
        // The webhook wrote this when the pod was created.
        networks: Some(
            r#"{"podNetworks":[{"interface":"eth0","vSwitchOptions":["vsw-1"],"securityGroupIDs":["sg-1"]}]}"#.into(),
        ),
        pod_networking: Some("db".into()),
        ..shop::pod()
    });
    let networking: PodNetworking = serde_json::from_value(json!({
        "apiVersion": "network.alibabacloud.com/v1beta1", "kind": "PodNetworking", "metadata": { "name": "db" },
        "spec": { "vSwitchOptions": options, "securityGroupIDs": ["sg-1"] },
    }))
    .unwrap();
    stage.put(&networking);
    stage.cloud.will_describe(vswitches);
    let ids: Vec<String> = options.iter().map(ToString::to_string).collect();
    stage.context.vswitches.resolve(&ids).await.unwrap();
    stage
}

async fn reconcile(stage: &Stage) -> Result<Next, ReconcileError> {
    let controller = PodEniController::new(&stage.context);
    controller.reconcile(&key(), &mut Slot::alone()).await
}

fn creation(stage: &Stage) -> Creation {
    let record = stage.context.caches.pod_enis.get(&key()).unwrap();
    record.spec.allocations[0].creation.clone().unwrap()
}

/// The parameters of each CreateNetworkInterface so far.
fn creates(stage: &Stage) -> Vec<std::collections::BTreeMap<String, String>> {
    let log = stage.cloud.log().into_iter();
    log.filter(|called| called.action == "CreateNetworkInterface")
        .map(|called| called.parameters)
        .collect()
}

#[tokio::test]
async fn a_pod_waits_for_a_full_vswitch_without_a_call_and_starts_when_an_address_comes_back() {
    let stage = stage(&["vsw-1"], &[vswitch("vsw-1", 0)]).await;
    stage.put(&record(first_attempt()));
    stage.context.attempts.written("uid-record", "0", 1);
    for _ in 0..3 {
        let error = reconcile(&stage).await.unwrap_err();
        assert_eq!(error.retry(), Retry::Waiting, "{error}");
    }
    assert_eq!(creates(&stage).len(), 0);
    stage.context.vswitches.used("vsw-1", -1);
    // What the cloud answers does not matter here.
    let _ = reconcile(&stage).await;
    assert_eq!(creates(&stage).len(), 1);
}

#[tokio::test]
async fn a_vswitch_that_is_added_to_the_podnetworking_reaches_a_pod_that_waits() {
    let stage = stage(&["vsw-1", "vsw-2"], &[vswitch("vsw-1", 0), vswitch("vsw-2", 9)]).await;
    stage.put(&record(first_attempt()));
    stage.context.attempts.written("uid-record", "0", 1);
    let _ = reconcile(&stage).await;
    assert_eq!(creation(&stage).parameters.vswitch_id, "vsw-2");
    let created = creates(&stage);
    assert_eq!(created[0]["VSwitchId"], "vsw-2");
}

#[tokio::test]
async fn a_request_that_may_have_been_sent_is_repeated_in_its_vswitch_however_full_it_is() {
    let stage = stage(&["vsw-1", "vsw-2"], &[vswitch("vsw-1", 0), vswitch("vsw-2", 9)]).await;
    let mut begun = first_attempt();
    begun["startedAt"] = json!(Timestamp::now().to_string());
    stage.put(&record(begun));
    let _ = reconcile(&stage).await;
    let created = creates(&stage);
    assert_eq!(created[0]["VSwitchId"], "vsw-1");
}

#[tokio::test]
async fn what_the_cloud_refused_is_asked_for_as_the_settings_say_now() {
    let stage = stage(&["vsw-1"], &[vswitch("vsw-1", 9)]).await;
    // An earlier process tried this nine times, with a setting that was wrong.
    let later = Timestamp::now() + Duration::from_secs(200);
    stage.put(&record(json!({
        "attempt": 9, "startedAt": later.to_string(),
        "parameters": { "vSwitchID": "vsw-1", "securityGroupIDs": ["sg-1"], "ipv6Count": 1 },
        "lastError": { "code": "InvalidParameter.Ipv6", "message": "no" },
    })));
    let _ = reconcile(&stage).await;
    let creation = creation(&stage);
    assert_eq!((creation.attempt, creation.parameters.ipv6_count), (10, 0));
    let created = creates(&stage);
    assert_eq!(created.len(), 1, "it is sent at once");
    assert!(!created[0].contains_key("Ipv6AddressCount"), "{created:?}");
}

#[tokio::test]
async fn a_refusal_that_nothing_corrects_is_repeated_at_its_time_only() {
    let stage = stage(&["vsw-1"], &[vswitch("vsw-1", 9)]).await;
    stage.put(&record(first_attempt()));
    stage.context.attempts.written("uid-record", "0", 1);
    // The recorded request is an old one, so it is corrected once, and then nothing helps.
    for _ in 0..2 {
        let cloud = &stage.cloud;
        cloud.will_refuse("CreateNetworkInterface", 403, "Account.Arrearage");
    }
    reconcile(&stage).await.unwrap();
    let after_refusal = creation(&stage);
    for _ in 0..3 {
        let next = reconcile(&stage).await.unwrap();
        assert!(matches!(next, Next::After(_)), "{next:?}");
    }
    assert_eq!(creation(&stage), after_refusal);
    assert_eq!(creates(&stage).len(), 2);
}
