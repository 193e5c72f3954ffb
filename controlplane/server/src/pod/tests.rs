//! What is written for a pod, and what the pod is told.

use std::time::Duration;

use serde_json::json;
use terway_core::pod::PodFacts;
use terway_crds::{PodEni, PodNetworking};

use super::*;
use crate::error::Retry;
use crate::testing::{Stage, shop};

fn key() -> Key {
    Key::namespaced("shop", "db-0")
}

fn pod() -> PodFacts {
    PodFacts {
        fixed_name: true,
        pod_networking: Some("db".into()),
        ..shop::pod()
    }
}

fn networking() -> PodNetworking {
    serde_json::from_value(json!({
        "apiVersion": "network.alibabacloud.com/v1beta1", "kind": "PodNetworking",
        "metadata": { "name": "db" },
        "spec": { "vSwitchOptions": ["vsw-1"], "securityGroupIDs": ["sg-1"] },
    }))
    .unwrap()
}

/// A record of an earlier pod, detached and kept for twenty seconds.
fn kept(last_seen: &str) -> PodEni {
    serde_json::from_value(json!({
        "apiVersion": "network.alibabacloud.com/v1beta1", "kind": "PodENI",
        "metadata": { "namespace": "shop", "name": "db-0" },
        "spec": {
            "zone": "h",
            "allocations": [{
                "eni": { "id": "eni-1" },
                "allocationType": { "type": "Fixed", "releaseStrategy": "TTL", "releaseAfter": "20s" },
            }],
        },
        "status": { "phase": "Unbind", "podLastSeen": last_seen },
    }))
    .unwrap()
}

async fn stage() -> Stage {
    let stage = Stage::set().await;
    stage.context.caches.nodes.apply(shop::node(), false);
    stage
}

fn knows_the_vswitch(stage: &Stage) {
    stage.cloud.will_describe(&[shop::vswitch("vsw-1", "h", 9)]);
}

fn evidence(stage: &Stage, uid: &str) -> terway_core::intent::Evidence {
    let id = terway_core::intent::IntentId {
        owner_uid: uid.to_owned(),
        index: "0".to_owned(),
        attempt: 1,
    };
    stage.context.attempts.of(&id)
}

async fn reconcile(stage: &Stage) -> Result<Next, ReconcileError> {
    let controller = PodController::new(&stage.context);
    controller.reconcile(&key(), &mut Slot::alone()).await
}

#[tokio::test]
async fn a_pod_that_wants_an_eni_gets_a_record_with_the_whole_request() {
    let stage = stage().await;
    stage.put(&networking());
    stage.put_pod(pod());
    knows_the_vswitch(&stage);
    assert_eq!(reconcile(&stage).await.unwrap(), Next::OnChange);
    assert_eq!(stage.api.writes(), ["POST namespaces/shop/podenis"]);
    let record = stage.context.caches.pod_enis.get(&key()).unwrap();
    let creation = record.spec.allocations[0].creation.as_ref().unwrap();
    assert_eq!(creation.parameters.vswitch_id, "vsw-1");
    assert_eq!(creation.parameters.security_group_ids, ["sg-1"]);
    assert_eq!(stage.context.queues.pod_enis.depth(), 1);
    // This process has written the intent, so nobody has sent it yet.
    let uid = record.metadata.uid.clone().unwrap();
    assert_eq!(evidence(&stage, &uid), terway_core::intent::Evidence::fresh(1));
    assert_eq!(stage.cloud.changes(), [""; 0]);
}

#[tokio::test]
async fn a_record_that_somebody_else_wrote_is_not_taken_for_an_unsent_intent() {
    let stage = stage().await;
    stage.put(&networking());
    stage.put_pod(pod());
    knows_the_vswitch(&stage);
    let mut other = kept("2026-01-01T00:00:00Z");
    other.metadata.uid = Some("uid-other".into());
    stage.put_unseen(&other);
    reconcile(&stage).await.unwrap();
    let evidence = evidence(&stage, "uid-other");
    assert_eq!(evidence, terway_core::intent::Evidence::inherited(1));
}

#[tokio::test]
async fn a_vswitch_that_the_cloud_does_not_know_is_named_to_the_pod() {
    let stage = stage().await;
    stage.put(&networking());
    stage.put_pod(pod());
    assert!(reconcile(&stage).await.is_err());
    assert_eq!(stage.api.writes(), [""; 0]);
    let events = stage.events().await;
    assert_eq!(events.len(), 1);
    assert!(
        events[0].starts_with("PodCreateFailed: ") && events[0].contains("vSwitch vsw-1"),
        "{events:?}"
    );
}

#[tokio::test]
async fn a_cloud_that_cannot_be_asked_is_no_cloud_without_vswitches() {
    let stage = stage().await;
    stage.put(&networking());
    stage.put_pod(pod());
    stage.cloud.will_refuse("DescribeVSwitches", 403, "Forbidden.RAM");
    let error = reconcile(&stage).await.unwrap_err();
    assert!(matches!(error, ReconcileError::Cloud(_)), "{error}");
    assert_eq!(stage.api.writes(), [""; 0]);
    let events = stage.events().await;
    assert!(events[0].contains("Forbidden.RAM"), "{events:?}");
}

#[tokio::test]
async fn a_pod_whose_podnetworking_does_not_exist_is_told_so() {
    let stage = stage().await;
    stage.put_pod(pod());
    assert!(reconcile(&stage).await.is_err());
    let events = stage.events().await;
    assert!(
        events[0].contains("PodNetworking db does not exist"),
        "{events:?}"
    );
}

#[tokio::test]
async fn nothing_is_sent_and_told_for_a_pod_that_wants_nothing() {
    for pod in [
        PodFacts {
            wants_pod_eni: false,
            ..pod()
        },
        PodFacts {
            node: String::new(),
            ..pod()
        },
        PodFacts {
            exited: true,
            ..pod()
        },
    ] {
        let stage = stage().await;
        stage.put_pod(pod);
        assert_eq!(reconcile(&stage).await.unwrap(), Next::OnChange);
        assert_eq!(stage.api.log(), []);
        assert_eq!(stage.events().await, [""; 0]);
    }
}

#[tokio::test]
async fn a_kept_record_is_deleted_when_its_time_is_over_and_looked_at_again_before() {
    let stage = stage().await;
    stage.put(&kept("2026-01-01T00:00:00Z"));
    assert_eq!(reconcile(&stage).await.unwrap(), Next::OnChange);
    assert_eq!(stage.api.writes(), ["DELETE namespaces/shop/podenis/db-0"]);
    assert_eq!(stage.context.metrics.collected.get(), 1);

    let stage = self::stage().await;
    stage.put(&kept(&jiff::Timestamp::now().to_string()));
    let Next::After(left) = reconcile(&stage).await.unwrap() else {
        panic!("a time that runs is looked at again")
    };
    assert!(
        left > Duration::from_secs(10) && left <= Duration::from_secs(20),
        "{left:?}"
    );
    assert_eq!(stage.api.log(), []);
}

#[tokio::test]
async fn a_record_that_changed_meanwhile_is_not_deleted() {
    let stage = stage().await;
    let read = stage.put(&kept("2026-01-01T00:00:00Z"));
    stage.put_unseen(&*read);
    assert_eq!(reconcile(&stage).await.unwrap_err().retry(), Retry::Conflict);
    assert!(stage.api.object("namespaces/shop/podenis/db-0").is_some());
    assert_eq!(stage.context.metrics.collected.get(), 0);
}

#[tokio::test]
async fn a_pod_that_waits_for_a_node_keeps_the_time_of_its_record_from_running_out() {
    let stage = stage().await;
    stage.put(&kept("2026-01-01T00:00:00Z"));
    stage.put_pod(PodFacts {
        node: String::new(),
        ..pod()
    });
    assert_eq!(
        reconcile(&stage).await.unwrap(),
        Next::After(Duration::from_secs(5))
    );
    assert_eq!(stage.api.writes(), ["PATCH namespaces/shop/podenis/db-0/status"]);
    // Written a moment ago: nothing to do until the next look.
    assert_eq!(
        reconcile(&stage).await.unwrap(),
        Next::After(Duration::from_secs(5))
    );
    assert_eq!(stage.api.writes().len(), 1);
}

#[tokio::test]
async fn a_pod_in_another_zone_than_its_kept_eni_is_told_once() {
    let stage = stage().await;
    let mut elsewhere = kept("2026-01-01T00:00:00Z");
    elsewhere.spec.zone = "i".into();
    stage.put(&elsewhere);
    stage.put_pod(pod());
    reconcile(&stage).await.unwrap();
    reconcile(&stage).await.unwrap();
    assert_eq!(
        stage.events().await,
        ["PodCreateFailed: the pod's node is in another zone than its kept ENI: move the pod"]
    );
}

#[tokio::test]
async fn a_kept_record_goes_to_the_next_pod_of_its_name() {
    let stage = stage().await;
    stage.put(&kept("2026-01-01T00:00:00Z"));
    stage.put_pod(pod());
    reconcile(&stage).await.unwrap();
    reconcile(&stage).await.unwrap();
    assert_eq!(
        stage.api.writes(),
        [
            "PATCH namespaces/shop/podenis/db-0",
            "PATCH namespaces/shop/podenis/db-0/status"
        ]
    );
    let record = stage.context.caches.pod_enis.get(&key()).unwrap();
    assert_eq!(terway_core::pod::pod_uid(&record), "uid-pod");
    assert_eq!(record.status.as_ref().unwrap().phase, terway_crds::Phase::Binding);
}
