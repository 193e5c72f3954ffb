//! What is sent for an ENI, what its object says afterwards, and what people are told.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use terway_cloud::Expect;
use terway_core::pod::PodFacts;
use terway_crds::{NetworkInterface, Phase, PodEni};

use super::*;
use crate::error::Retry;
use crate::testing::Stage;

/// An ENI that is to be attached to instance `i-1` by its trunk.
fn wanted() -> NetworkInterface {
    from(
        json!({ "attachTo": { "instanceID": "i-1", "trunkENIID": "eni-trunk", "nodeName": "n1" } }),
        json!(null),
    )
}

/// The status of an ENI that is attached as wanted, by a term before.
fn bound_status() -> serde_json::Value {
    json!({ "phase": "Bind", "instanceID": "i-1", "trunkENIID": "eni-trunk", "nodeName": "n1" })
}

fn from(spec: serde_json::Value, status: serde_json::Value) -> NetworkInterface {
    let mut spec = spec;
    spec["podENIRef"] = json!({ "kind": "PodENI", "namespace": "shop", "name": "db-0", "uid": "uid-record" });
    serde_json::from_value(json!({
        "apiVersion": "network.alibabacloud.com/v1beta1", "kind": "NetworkInterface",
        "metadata": { "name": "eni-1", "generation": 1, "finalizers": ["network.alibabacloud.com/eni"] },
        "spec": spec,
        "status": status,
    }))
    .unwrap()
}

fn bound() -> NetworkInterface {
    let mut interface = wanted();
    interface.status = serde_json::from_value(bound_status()).unwrap();
    interface
}

fn leaving(mut interface: NetworkInterface) -> NetworkInterface {
    interface.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
    interface
}

fn record() -> PodEni {
    serde_json::from_value(json!({
        "apiVersion": "network.alibabacloud.com/v1beta1", "kind": "PodENI",
        "metadata": {
            "namespace": "shop", "name": "db-0", "uid": "uid-record",
            "annotations": { "k8s.aliyun.com/pod-uid": "uid-pod" },
        },
        "spec": {},
    }))
    .unwrap()
}

struct Play {
    stage: Stage,
    controller: NetworkInterfaceController,
}

impl Play {
    async fn with(interface: NetworkInterface) -> Self {
        let stage = Stage::set().await;
        stage.put(&record());
        stage.put(&interface);
        Self::on(stage)
    }

    fn on(stage: Stage) -> Self {
        let controller = NetworkInterfaceController::new(&stage.context);
        // This process has seen the ENI with the cluster's tag, when it was attached.
        controller.note_owner("eni-1", true);
        Self { stage, controller }
    }

    async fn reconcile(&self) -> Result<Next, ReconcileError> {
        self.controller
            .reconcile(&Key::cluster("eni-1"), &mut Slot::alone())
            .await
    }

    fn interface(&self) -> Arc<NetworkInterface> {
        self.stage
            .context
            .caches
            .interfaces
            .get(&Key::cluster("eni-1"))
            .unwrap()
    }

    /// Reason and message of the condition Ready.
    fn condition(&self) -> Option<(String, String)> {
        let interface = self.interface();
        let ready = interface
            .status
            .as_ref()?
            .conditions
            .iter()
            .find(|c| c.type_ == "Ready")?;
        Some((ready.reason.clone(), ready.message.clone()))
    }
}

#[tokio::test]
async fn an_eni_that_was_made_a_moment_ago_is_attached_without_a_look() {
    let stage = Stage::set().await;
    stage.context.fresh.object_is_made("eni-1");
    let play = Play::on(stage);
    play.stage.put(&wanted());
    assert_eq!(
        play.reconcile().await.unwrap(),
        Next::After(Duration::from_secs(15))
    );
    let calls = play.stage.cloud.log();
    let attach = calls
        .iter()
        .find(|call| call.action == "AttachNetworkInterface")
        .unwrap();
    for (parameter, value) in [
        ("NetworkInterfaceId", "eni-1"),
        ("InstanceId", "i-1"),
        ("TrunkNetworkInstanceId", "eni-trunk"),
    ] {
        assert_eq!(attach.parameters.get(parameter).map(String::as_str), Some(value));
    }
    assert_eq!(play.stage.cloud.changes(), ["AttachNetworkInterface"]);
    assert_eq!(play.stage.api.writes(), [""; 0]);
}

#[tokio::test]
async fn an_eni_of_a_term_before_is_looked_at_first() {
    let play = Play::with(wanted()).await;
    assert_eq!(
        play.reconcile().await.unwrap(),
        Next::After(Duration::from_secs(60))
    );
    assert_eq!(play.stage.cloud.changes(), [""; 0]);
    assert_eq!(play.stage.context.cloud.watch().waiting(), 1);
}

#[tokio::test]
async fn an_attach_that_the_cloud_has_dealt_with_gives_room_to_the_next_eni() {
    // A refusal may last as long as the pod, so it gives room too. A call that did not get through does not.
    for (refused, has_room) in [
        (None, true),
        (Some("EniPerInstanceLimitExceeded"), true),
        (Some("InvalidOperation.InvalidEcsState"), true),
        (Some("Throttling.User"), false),
        (Some("Forbidden.RAM"), false),
    ] {
        let stage = Stage::set().await;
        let fresh = stage.context.fresh.clone();
        for number in 0..10 {
            fresh.enter(&format!("uid/{number}"), &format!("n{number}")).await;
        }
        fresh.made("uid/0", "eni-1");
        fresh.object_is_made("eni-1");
        if let Some(code) = refused {
            stage.cloud.will_refuse("AttachNetworkInterface", 403, code);
        }
        let play = Play::on(stage);
        play.stage.put(&wanted());
        assert_eq!(play.reconcile().await.is_err(), refused.is_some());
        let entered = tokio::time::timeout(Duration::from_millis(1), fresh.enter("uid/next", "n1")).await;
        assert_eq!(entered.is_ok(), has_room, "{refused:?}");
    }
}

#[tokio::test]
async fn a_refused_attach_is_told_on_the_record_in_the_clouds_words() {
    let stage = Stage::set().await;
    stage.context.fresh.object_is_made("eni-1");
    stage
        .cloud
        .will_refuse("AttachNetworkInterface", 403, "EniPerInstanceLimitExceeded");
    let play = Play::on(stage);
    play.stage.put(&record());
    play.stage.put(&wanted());
    let error = play.reconcile().await.unwrap_err();
    assert!(matches!(error.retry(), Retry::Cloud(_)), "{error}");
    let api = play.stage.api.clone();
    let events = play.stage.events().await;
    assert_eq!(
        events,
        ["AttachENIFailed: AttachNetworkInterface: EniPerInstanceLimitExceeded: refused by the test"]
    );
    let told = api
        .log()
        .into_iter()
        .find(|asked| asked.path.ends_with("/events"))
        .unwrap();
    assert_eq!(told.body["regarding"]["kind"], "PodENI");
    assert_eq!(told.body["related"]["name"], "eni-1");
}

#[tokio::test]
async fn an_attach_that_meets_another_operation_is_not_repeated_before_a_look() {
    let stage = Stage::set().await;
    stage.context.fresh.object_is_made("eni-1");
    stage
        .cloud
        .will_refuse("AttachNetworkInterface", 400, "InvalidOperation.InvalidEniState");
    let play = Play::on(stage);
    play.stage.put(&wanted());
    assert!(play.reconcile().await.is_err());
    play.reconcile().await.unwrap();
    assert_eq!(play.stage.cloud.changes(), ["AttachNetworkInterface"]);
}

#[tokio::test]
async fn nothing_is_sent_for_an_eni_that_is_as_wanted() {
    let play = Play::with(bound()).await;
    assert_eq!(play.reconcile().await.unwrap(), Next::OnChange);
    assert_eq!(play.stage.api.writes(), [""; 0]);
    assert_eq!(play.stage.cloud.log(), []);
}

#[tokio::test]
async fn an_eni_is_detached_after_this_term_was_written_and_deleted_only_when_its_pod_is_gone() {
    let play = Play::with(leaving(bound())).await;
    let pod = PodFacts {
        namespace: "shop".into(),
        name: "db-0".into(),
        uid: "uid-pod".into(),
        version: 1,
        ..PodFacts::default()
    };
    play.stage.put_pod(pod);
    assert_eq!(play.reconcile().await.unwrap(), Next::OnChange);
    assert_eq!(play.stage.cloud.log(), []);
    let (reason, message) = play.condition().unwrap();
    assert_eq!(reason, "PodStillRuns");
    assert!(message.contains("when the pod is gone"), "{message}");
    let said = play.stage.api.writes().len();
    play.reconcile().await.unwrap();
    assert_eq!(
        play.stage.api.writes().len(),
        said,
        "the same wait is written once"
    );

    play.stage
        .context
        .caches
        .pods
        .remove(&Key::namespaced("shop", "db-0"), 2);
    play.reconcile().await.unwrap();
    assert_eq!(play.interface().status.as_ref().unwrap().term, "term-1");
    assert_eq!(play.stage.cloud.changes(), ["DetachNetworkInterface"]);
}

#[tokio::test]
async fn no_call_is_sent_when_the_write_before_it_meets_a_newer_object() {
    let play = Play::with(leaving(bound())).await;
    // Somebody else writes, and the watch has not shown it.
    let mut newer = (*play.interface()).clone();
    newer.metadata.labels = Some([("by".to_owned(), "others".to_owned())].into());
    play.stage.put_unseen(&newer);
    let error = play.reconcile().await.unwrap_err();
    assert_eq!(error.retry(), Retry::Conflict);
    assert_eq!(play.stage.cloud.changes(), [""; 0]);
    // The watch shows it: planned again, on what is there now.
    play.stage.put(&newer);
    play.reconcile().await.unwrap();
    assert_eq!(play.stage.cloud.changes(), ["DetachNetworkInterface"]);
}

#[tokio::test]
async fn an_eni_that_the_cloud_does_not_know_goes_at_once() {
    let play = Play::with(leaving(bound())).await;
    play.stage
        .cloud
        .will_refuse("DetachNetworkInterface", 404, "InvalidEniId.NotFound");
    assert_eq!(play.reconcile().await.unwrap(), Next::OnChange);
    assert_eq!(play.stage.cloud.changes(), ["DetachNetworkInterface"]);
    assert_eq!(play.stage.api.object("networkinterfaces/eni-1"), None);
    assert!(
        play.stage
            .context
            .caches
            .interfaces
            .get(&Key::cluster("eni-1"))
            .is_none()
    );
}

#[tokio::test]
async fn a_refused_detach_has_the_eni_looked_at_anew() {
    let play = Play::with(leaving(bound())).await;
    play.stage
        .cloud
        .will_refuse("DetachNetworkInterface", 400, "InvalidInstanceId.NotFound");
    assert!(play.reconcile().await.is_err());
    assert_eq!(play.stage.context.cloud.watch().waiting(), 1);
    assert_eq!(play.stage.events().await.len(), 1);
}

#[tokio::test]
async fn a_cloud_that_is_too_busy_is_told_of_elsewhere_once_for_all() {
    let play = Play::with(leaving(bound())).await;
    play.stage
        .cloud
        .will_refuse("DetachNetworkInterface", 400, "Throttling.User");
    assert!(play.reconcile().await.is_err());
    assert_eq!(play.stage.events().await, [""; 0]);
}

/// The poller has asked for the ENI, and has an answer.
async fn looked_at(play: &Play) {
    let watch = play.stage.context.cloud.watch().clone();
    watch.look("eni-1", Expect::Attached);
    let begun = std::time::Instant::now();
    while watch.latest("eni-1").is_none() {
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "the poller has no answer"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The cloud's list of one ENI of this cluster.
fn listed(eni: serde_json::Value) -> serde_json::Value {
    listed_with(eni, &json!([{ "Key": "ack.aliyun.com", "Value": "c1" }]))
}

fn listed_with(mut eni: serde_json::Value, tags: &serde_json::Value) -> serde_json::Value {
    eni["Tags"]["Tag"] = tags.clone();
    json!({ "NetworkInterfaceSets": { "NetworkInterfaceSet": [eni] } })
}

#[tokio::test]
async fn an_eni_that_somebody_took_from_a_living_pod_is_attached_again() {
    let play = Play::with(bound()).await;
    let free = json!({ "NetworkInterfaceId": "eni-1", "Status": "Available" });
    play.stage
        .cloud
        .will_answer("DescribeNetworkInterfaces", 200, listed(free));
    looked_at(&play).await;
    play.reconcile().await.unwrap();
    let (reason, message) = play.condition().unwrap();
    assert_eq!(reason, "DetachedByOthers");
    assert!(message.contains("attached again"), "{message}");
    assert_eq!(play.stage.cloud.changes(), ["AttachNetworkInterface"]);
}

#[tokio::test]
async fn an_eni_that_somebody_attached_elsewhere_is_named_with_its_place() {
    let play = Play::with(bound()).await;
    let moved = json!({ "NetworkInterfaceId": "eni-1", "Status": "InUse", "InstanceId": "i-9" });
    play.stage
        .cloud
        .will_answer("DescribeNetworkInterfaces", 200, listed(moved));
    looked_at(&play).await;
    assert_eq!(
        play.reconcile().await.unwrap(),
        Next::After(Duration::from_secs(30))
    );
    let (reason, message) = play.condition().unwrap();
    assert_eq!(reason, "AttachedElsewhere");
    assert!(message.contains("i-9"), "{message}");
    assert_eq!(play.stage.cloud.changes(), [""; 0]);
    assert_eq!(
        play.stage.context.cloud.watch().latest("eni-1"),
        None,
        "the next look is a new one"
    );
}

#[tokio::test]
async fn an_eni_that_is_gone_is_said_so_and_asked_for_no_more() {
    let play = Play::with(bound()).await;
    looked_at(&play).await;
    let next = play.reconcile().await.unwrap();
    assert!(
        matches!(next, Next::After(_)),
        "one answer without it proves nothing: {next:?}"
    );
    // An earlier look did not show it either.
    let history = History {
        absent_since: Some(Timestamp::now() - Duration::from_secs(60)),
        ..History::default()
    };
    play.controller.remember("eni-1", history);
    assert_eq!(play.reconcile().await.unwrap(), Next::OnChange);
    assert_eq!(play.condition().unwrap().0, "ENINotFound");
    assert_eq!(play.interface().status.as_ref().unwrap().phase, Phase::Unbind);
    assert_eq!(play.stage.context.cloud.watch().waiting(), 0);
    assert_eq!(play.reconcile().await.unwrap(), Next::OnChange);
    assert_eq!(play.stage.context.cloud.watch().waiting(), 0);
    // Its object goes without another question.
    play.stage.put(&leaving((*play.interface()).clone()));
    assert_eq!(play.reconcile().await.unwrap(), Next::OnChange);
    assert_eq!(play.stage.api.object("networkinterfaces/eni-1"), None);
    assert_eq!(play.stage.cloud.changes(), [""; 0]);
}

#[tokio::test]
async fn an_attach_to_a_trunk_that_the_cloud_does_not_know_has_the_node_compared() {
    let stage = Stage::set().await;
    stage.context.fresh.object_is_made("eni-1");
    stage
        .cloud
        .will_refuse("AttachNetworkInterface", 404, "InvalidEniId.NotFound");
    let play = Play::on(stage);
    play.stage.put(&wanted());
    assert!(play.reconcile().await.is_err());
    assert!(play.stage.context.suspects.of(&Key::cluster("n1")).is_some());
    assert_eq!(play.stage.context.queues.nodes.depth(), 1);
}

/// Objects that were restored from another cluster, or edited to name an ENI of somebody else, change nothing there.
#[tokio::test]
async fn an_eni_that_is_not_this_clusters_is_neither_attached_nor_detached_nor_deleted() {
    let foreign = [
        (
            json!([{ "Key": "ack.aliyun.com", "Value": "c2" }]),
            "another cluster's",
        ),
        (json!([]), "did not make it"),
        (
            json!([
                { "Key": "ack.aliyun.com", "Value": "c1" },
                { "Key": "terway.alibabacloud.com/excluded", "Value": "true" },
            ]),
            "until the tag is removed",
        ),
    ];
    let free = json!({ "NetworkInterfaceId": "eni-1", "Status": "Available" });
    let used = json!({ "NetworkInterfaceId": "eni-1", "Status": "InUse", "InstanceId": "i-1" });
    for (tags, words) in &foreign {
        for (interface, eni) in [
            (wanted(), &free),
            (leaving(wanted()), &free),
            (leaving(wanted()), &used),
            (leaving(bound()), &used),
        ] {
            let play = Play::with(interface).await;
            let body = listed_with(eni.clone(), tags);
            play.stage
                .cloud
                .will_answer("DescribeNetworkInterfaces", 200, body);
            looked_at(&play).await;
            assert_eq!(
                play.reconcile().await.unwrap(),
                Next::After(Duration::from_secs(30))
            );
            let (reason, message) = play.condition().unwrap();
            assert_eq!(reason, "ForeignENI");
            assert!(message.contains(words), "{message}");
            assert_eq!(play.stage.cloud.changes(), [""; 0]);
        }
    }
}

#[tokio::test]
async fn an_attached_eni_of_a_term_before_is_looked_at_before_it_is_detached() {
    let play = Play::with(leaving(bound())).await;
    play.controller.note_owner("eni-1", false);
    assert_eq!(
        play.reconcile().await.unwrap(),
        Next::After(Duration::from_secs(60))
    );
    assert_eq!(play.stage.cloud.changes(), [""; 0]);
    assert_eq!(play.stage.context.cloud.watch().waiting(), 1);
}

#[tokio::test]
async fn an_object_that_is_gone_is_forgotten_without_a_request() {
    let play = Play::on(Stage::set().await);
    assert_eq!(play.reconcile().await.unwrap(), Next::OnChange);
    assert_eq!(play.stage.api.log(), []);
}

#[tokio::test]
async fn an_eni_without_an_owner_gets_an_object_that_is_deleted() {
    let stage = Stage::set().await;
    let context = &stage.context;
    hand_over(&context.caches, &context.write, "eni-9", Some("n1"))
        .await
        .unwrap();
    assert_eq!(
        stage.api.writes(),
        ["POST networkinterfaces", "DELETE networkinterfaces/eni-9"]
    );
    let object = stage.api.object("networkinterfaces/eni-9").unwrap();
    assert!(object["metadata"]["deletionTimestamp"].is_string());
    // Again: it is on its way already.
    hand_over(&context.caches, &context.write, "eni-9", Some("n1"))
        .await
        .unwrap();
    assert_eq!(stage.api.writes().len(), 2);
}

#[tokio::test]
async fn nobody_believes_that_an_object_was_deleted_which_the_cache_does_not_show() {
    let stage = Stage::set().await;
    stage.put_unseen(&wanted());
    let context = &stage.context;
    let error = hand_over(&context.caches, &context.write, "eni-1", None)
        .await
        .unwrap_err();
    assert!(matches!(error, ReconcileError::Behind { .. }), "{error}");
}
