//! What becomes of a node's ENIs when its Node object goes.

use std::sync::Arc;

use serde_json::{Value, json};
use terway_core::intent::Evidence;
use terway_core::pod::PodFacts;
use terway_crds::{Operation, TerwayNode};

use super::*;
use crate::error::Retry;
use crate::testing::Stage;

/// The Node object of node `n1`, which is being deleted, with this status.
fn leaving(status: Value) -> TerwayNode {
    serde_json::from_value(json!({
        "apiVersion": "network.alibabacloud.com/v1beta1", "kind": "Node",
        "metadata": {
            "name": "n1", "uid": "uid-record", "deletionTimestamp": "2026-01-01T00:00:00Z",
            "finalizers": [finalizer::NODE],
            "ownerReferences": [{ "apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "uid-node" }],
        },
        "spec": { "nodeMetadata": { "instanceID": "i-1" } },
        "status": status,
    }))
    .unwrap()
}

fn with_enis(ids: &[&str]) -> Value {
    let nics: serde_json::Map<String, Value> = ids
        .iter()
        .map(|id| ((*id).to_owned(), json!({ "id": id, "status": "InUse" })))
        .collect();
    json!({ "networkInterfaces": nics })
}

async fn release_now(stage: &Stage, record: &TerwayNode) -> Result<Next, ReconcileError> {
    release(&NodeController::new(&stage.context), record, None).await
}

#[tokio::test]
async fn every_eni_has_an_object_that_is_being_deleted_before_the_finalizer_goes() {
    let stage = Stage::set().await;
    let record = stage.put(&leaving(with_enis(&["eni-1", "eni-2"])));
    stage.context.attempts.written("uid-record", "a", 1);
    assert_eq!(release_now(&stage, &record).await.unwrap(), Next::OnChange);
    assert_eq!(
        stage.api.writes(),
        [
            "POST networkinterfaces",
            "DELETE networkinterfaces/eni-1",
            "POST networkinterfaces",
            "DELETE networkinterfaces/eni-2",
            "PATCH nodes/n1",
        ]
    );
    assert_eq!(stage.api.object("nodes/n1"), None);
    assert!(stage.context.attempts.of_owner("uid-record").is_empty());
    assert_eq!(
        stage.cloud.changes(),
        [""; 0],
        "only the objects' controller touches ENIs"
    );
}

#[tokio::test]
async fn a_hand_over_that_fails_keeps_the_finalizer() {
    let stage = Stage::set().await;
    let record = stage.put(&leaving(with_enis(&["eni-1", "eni-2"])));
    stage.api.refuse("DELETE", "networkinterfaces/eni-2", 500, 1);
    assert!(release_now(&stage, &record).await.is_err());
    assert!(stage.api.object("nodes/n1").is_some());
    // The next round repeats what may be repeated.
    assert_eq!(release_now(&stage, &record).await.unwrap(), Next::OnChange);
    assert_eq!(stage.api.object("nodes/n1"), None);
}

#[tokio::test]
async fn a_finalizer_of_somebody_else_is_none_of_ours() {
    let stage = Stage::set().await;
    let mut record = leaving(with_enis(&["eni-1"]));
    record.metadata.finalizers = Some(vec!["somebody.else/holds".into()]);
    let record = stage.put(&record);
    assert_eq!(release_now(&stage, &record).await.unwrap(), Next::OnChange);
    assert_eq!(stage.api.writes(), [""; 0]);
}

/// A record whose create may have been sent by an earlier leader.
fn with_a_create() -> TerwayNode {
    let mut record = leaving(json!({}));
    record.status.get_or_insert_default().operations = vec![Operation {
        id: "a".into(),
        kind: terway_crds::OperationKind::CreateEni,
        attempt: 1,
        ..Operation::default()
    }];
    record
}

#[tokio::test]
async fn an_eni_that_may_have_been_made_is_searched_for_by_its_tag() {
    let mut stage = Stage::set().await;
    let record = stage.put(&with_a_create());
    // A call of the term before may still be under way.
    let next = release_now(&stage, &record).await.unwrap();
    assert!(matches!(next, Next::After(_)), "{next:?}");
    assert_eq!(stage.cloud.log(), []);

    let context = Arc::get_mut(&mut stage.context).unwrap();
    context.term.since = Timestamp::now() - Duration::from_secs(60);
    let found = json!({ "NetworkInterfaceId": "eni-made", "Status": "Available" });
    let body = json!({ "NetworkInterfaceSets": { "NetworkInterfaceSet": [found] } });
    stage.cloud.will_answer("DescribeNetworkInterfaces", 200, body);
    assert_eq!(
        release_now(&stage, &record).await.unwrap(),
        Next::After(Duration::from_millis(1))
    );
    let search = stage.cloud.log().remove(0);
    assert_eq!(search.parameters["Tag.1.Value"], "uid-record/a/1");
    assert_eq!(stage.api.writes(), [""; 0]);

    release_now(&stage, &record).await.unwrap();
    assert_eq!(
        stage.api.writes(),
        [
            "POST networkinterfaces",
            "DELETE networkinterfaces/eni-made",
            "PATCH nodes/n1"
        ]
    );
}

#[tokio::test]
async fn a_search_that_fails_gives_nothing_up() {
    let mut stage = Stage::set().await;
    let record = stage.put(&with_a_create());
    let context = Arc::get_mut(&mut stage.context).unwrap();
    context.term.since = Timestamp::now() - Duration::from_secs(60);
    stage
        .cloud
        .will_refuse("DescribeNetworkInterfaces", 403, "Forbidden.RAM");
    let error = release_now(&stage, &record).await.unwrap_err();
    assert!(matches!(error.retry(), Retry::Cloud(_)), "{error}");
    let known = stage.context.attempts.of_owner("uid-record");
    assert_eq!(known["a"].lookups, []);
    assert!(known["a"].not_before.is_some());
    assert_eq!(stage.api.writes(), [""; 0]);
}

#[tokio::test]
async fn a_call_that_was_never_sent_needs_no_search() {
    let stage = Stage::set().await;
    let record = stage.put(&with_a_create());
    stage.context.attempts.written("uid-record", "a", 1);
    assert_eq!(
        stage.context.attempts.of_owner("uid-record")["a"],
        Evidence::fresh(1)
    );
    release_now(&stage, &record).await.unwrap();
    assert_eq!(stage.api.writes(), ["PATCH nodes/n1"]);
    assert_eq!(stage.cloud.log(), []);
}

#[tokio::test]
async fn a_node_that_the_cache_does_not_show_is_asked_for_before_its_object_goes() {
    for there in [true, false] {
        let stage = Stage::set().await;
        let mut record = leaving(json!({}));
        record.metadata.deletion_timestamp = None;
        let record = stage.put(&record);
        if there {
            let node = json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": "n1" } });
            stage.api.put_at("/api/v1/nodes/n1", node);
        }
        assert_eq!(
            node_gone(&NodeController::new(&stage.context), &record)
                .await
                .unwrap(),
            Next::OnChange
        );
        let writes: &[&str] = if there { &[] } else { &["DELETE nodes/n1"] };
        assert_eq!(stage.api.writes(), writes);
    }
    let stage = Stage::set().await;
    let record = stage.put(&leaving(json!({})));
    stage.api.refuse("GET", "/api/v1/nodes/n1", 500, 1);
    assert!(
        node_gone(&NodeController::new(&stage.context), &record)
            .await
            .is_err()
    );
    assert_eq!(stage.api.writes(), [""; 0], "a failed read is no absent node");
}

#[tokio::test]
async fn pods_that_use_the_enis_hold_the_object_back_and_are_named_once() {
    let stage = Stage::set().await;
    let status = json!({ "networkInterfaces": { "eni-1": {
        "id": "eni-1", "status": "InUse",
        "ipv4": { "10.0.0.5": { "ip": "10.0.0.5", "status": "Valid", "podID": "shop/a", "podUID": "uid-a" } },
    } } });
    let record = stage.put(&leaving(status));
    let node = NodeFacts {
        name: "n1".into(),
        uid: "uid-node".into(),
        instance_id: "i-1".into(),
        ..NodeFacts::default()
    };
    stage.put_pod(PodFacts {
        namespace: "shop".into(),
        name: "a".into(),
        uid: "uid-a".into(),
        version: 1,
        node: "n1".into(),
        ..PodFacts::default()
    });
    let held = held_back(&NodeController::new(&stage.context), Some(&node), &record)
        .await
        .unwrap();
    assert_eq!(held, Some(Next::OnChange));
    assert_eq!(stage.api.writes(), ["PATCH nodes/n1/status"]);
    let record = stage
        .context
        .caches
        .node_records
        .get(&Key::cluster("n1"))
        .unwrap();
    let conditions = &record.status.as_ref().unwrap().conditions;
    assert_eq!(conditions[0].reason, "PodsStillRun");
    assert!(
        conditions[0].message.contains("shop/a"),
        "{}",
        conditions[0].message
    );
    held_back(&NodeController::new(&stage.context), Some(&node), &record)
        .await
        .unwrap();
    assert_eq!(stage.api.writes().len(), 1);
}
