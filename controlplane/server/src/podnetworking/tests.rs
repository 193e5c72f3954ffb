//! What a PodNetworking says after a look, whom it is told to, and what is asked for that.

use std::time::Duration;

use serde_json::{Value, json};
use terway_core::pod::PodFacts;
use terway_crds::PodNetworking;

use super::*;
use crate::testing::{Stage, shop};

fn networking(spec: Value) -> PodNetworking {
    let mut spec = spec;
    spec["vSwitchOptions"] = json!(["vsw-1"]);
    serde_json::from_value(json!({
        "apiVersion": "network.alibabacloud.com/v1beta1", "kind": "PodNetworking",
        "metadata": { "name": "db", "generation": 1 },
        "spec": spec,
    }))
    .unwrap()
}

fn knows_the_vswitch(stage: &Stage) {
    stage
        .cloud
        .will_describe(&[shop::vswitch("vsw-1", "cn-hangzhou-h", 9)]);
}

async fn reconcile(stage: &Stage) -> Result<Next, ReconcileError> {
    let controller = PodNetworkingController::new(&stage.context, stage.api.client());
    controller
        .reconcile(&Key::cluster("db"), &mut Slot::alone())
        .await
}

fn status(stage: &Stage) -> Value {
    stage.api.object("podnetworkings/db").unwrap()["status"].clone()
}

#[tokio::test]
async fn one_whose_vswitches_are_known_becomes_ready_and_is_left_alone() {
    let stage = Stage::set().await;
    stage.put(&networking(json!({})));
    knows_the_vswitch(&stage);
    assert_eq!(reconcile(&stage).await.unwrap(), Next::OnChange);
    assert_eq!(status(&stage)["status"], "Ready");
    assert_eq!(
        status(&stage)["vSwitches"],
        json!([{ "id": "vsw-1", "zone": "cn-hangzhou-h" }])
    );
    let (written, asked) = (stage.api.writes().len(), stage.cloud.log().len());
    assert_eq!(written, 1);
    reconcile(&stage).await.unwrap();
    assert_eq!(
        (stage.api.writes().len(), stage.cloud.log().len()),
        (written, asked)
    );
    assert_eq!(
        stage.events().await,
        ["SyncPodNetworkingSucceed: vSwitches found in cn-hangzhou-h"]
    );
}

#[tokio::test]
async fn a_vswitch_that_the_cloud_does_not_know_is_named_and_looked_for_again() {
    let stage = Stage::set().await;
    stage.put(&networking(json!({})));
    assert_eq!(
        reconcile(&stage).await.unwrap(),
        Next::After(Duration::from_secs(2))
    );
    assert_eq!(status(&stage)["status"], "Fail");
    let events = stage.events().await;
    assert!(
        events[0].starts_with("SyncPodNetworkingFailed: ") && events[0].contains("vsw-1"),
        "{events:?}"
    );
}

#[tokio::test]
async fn a_cloud_that_refuses_is_quoted() {
    let stage = Stage::set().await;
    stage.put(&networking(json!({})));
    stage.cloud.will_refuse("DescribeVSwitches", 403, "Forbidden.RAM");
    reconcile(&stage).await.unwrap();
    let message = status(&stage)["message"].to_string();
    assert!(
        message.contains("Forbidden.RAM: refused by the test"),
        "{message}"
    );
}

#[tokio::test]
async fn security_groups_are_checked_where_the_cloud_allows_the_question() {
    for (refused, state) in [(false, "Fail"), (true, "Ready")] {
        let stage = Stage::set().await;
        stage.put(&networking(json!({ "securityGroupIDs": ["sg-none"] })));
        knows_the_vswitch(&stage);
        if refused {
            stage
                .cloud
                .will_refuse("DescribeSecurityGroups", 403, "Forbidden.RAM");
        }
        reconcile(&stage).await.unwrap();
        assert_eq!(status(&stage)["status"], state);
    }
}

#[tokio::test]
async fn a_status_that_was_not_written_is_not_told() {
    let stage = Stage::set().await;
    let read = stage.put(&networking(json!({})));
    stage.put_unseen(&*read);
    knows_the_vswitch(&stage);
    assert!(reconcile(&stage).await.is_err());
    assert_eq!(stage.events().await, [""; 0]);
}

/// A Fixed PodNetworking that selects the pods of a Deployment, which do not keep their names.
async fn with_a_deployment() -> Stage {
    let stage = Stage::set().await;
    let selector = json!({ "podSelector": { "matchLabels": { "app": "web" } } });
    stage.put(&networking(
        json!({ "allocationType": { "type": "Fixed" }, "selector": selector }),
    ));
    knows_the_vswitch(&stage);
    let owner = |kind: &str, name: &str| {
        json!([{
            "apiVersion": "apps/v1", "kind": kind, "name": name, "uid": format!("uid-{name}"), "controller": true,
        }])
    };
    for pod in ["web-x-1", "web-x-2"] {
        let metadata = json!({
            "namespace": "shop", "name": pod, "labels": { "app": "web" },
            "ownerReferences": owner("ReplicaSet", "web-x"),
        });
        stage.api.put_at(
            &format!("/api/v1/namespaces/shop/pods/{pod}"),
            json!({ "metadata": metadata }),
        );
        stage.put_pod(PodFacts {
            namespace: "shop".into(),
            name: pod.into(),
            version: 1,
            ..PodFacts::default()
        });
    }
    let metadata =
        json!({ "namespace": "shop", "name": "web-x", "ownerReferences": owner("Deployment", "web") });
    let path = "/apis/apps/v1/namespaces/shop/replicasets/web-x";
    stage.api.put_at(path, json!({ "metadata": metadata }));
    stage
}

fn passed_over(stage: &Stage) -> Option<String> {
    let status = status(stage);
    let mut conditions = status["conditions"].as_array()?.iter();
    let found = conditions.find(|condition| condition["type"] == "WorkloadsPassedOver")?;
    Some(format!("{} {}", found["status"], found["message"]))
}

#[tokio::test]
async fn a_deployment_that_cannot_be_served_is_named_once_and_told() {
    let stage = with_a_deployment().await;
    reconcile(&stage).await.unwrap();
    let said = passed_over(&stage).unwrap();
    assert!(
        said.starts_with("\"True\"") && said.contains("Deployment shop/web selected"),
        "{said}"
    );
    let api = stage.api.clone();
    let events = stage.events().await;
    assert_eq!(
        events
            .iter()
            .filter(|event| event.starts_with("ConfigError: "))
            .count(),
        1
    );
    let on: Vec<String> = api
        .log()
        .iter()
        .filter(|asked| asked.body["reason"] == "ConfigError")
        .map(|asked| format!("{}", asked.body["regarding"]["name"]))
        .collect();
    assert_eq!(on, ["\"web\""]);
}

#[tokio::test]
async fn without_the_right_to_read_replicasets_the_replicaset_is_named() {
    let stage = with_a_deployment().await;
    stage.api.refuse("GET", "/replicasets/", 403, 1);
    reconcile(&stage).await.unwrap();
    let said = passed_over(&stage).unwrap();
    assert!(said.contains("ReplicaSet shop/web-x selected"), "{said}");
}

#[tokio::test]
async fn pods_that_cannot_be_listed_are_not_no_pods() {
    let stage = with_a_deployment().await;
    stage.api.refuse("GET", "/pods", 500, 1);
    assert!(reconcile(&stage).await.is_err());
    assert_eq!(stage.api.writes(), [""; 0]);
}

/// A PodNetworking that selects `app: db`, and a pod of that kind that no webhook saw.
async fn with_an_unseen_pod(change: impl FnOnce(&mut PodFacts)) -> Stage {
    let stage = Stage::set().await;
    let selector = json!({ "podSelector": { "matchLabels": { "app": "db" } } });
    stage.put(&networking(json!({ "selector": selector })));
    knows_the_vswitch(&stage);
    stage.api.put_at(
        "/api/v1/namespaces/shop/pods/db-0",
        json!({ "metadata": { "namespace": "shop", "name": "db-0", "labels": { "app": "db" } } }),
    );
    let mut pod = PodFacts {
        namespace: "shop".into(),
        name: "db-0".into(),
        uid: "uid-0".into(),
        version: 1,
        ..PodFacts::default()
    };
    change(&mut pod);
    stage.put_pod(pod);
    stage
}

fn without_network(stage: &Stage) -> Option<String> {
    let status = status(stage);
    let mut conditions = status["conditions"].as_array()?.iter();
    let found = conditions.find(|condition| condition["type"] == "PodsWithoutNetwork")?;
    Some(format!("{} {}", found["status"], found["message"]))
}

#[tokio::test]
async fn a_pod_that_no_webhook_saw_is_told_and_named_until_it_is_gone() {
    let stage = with_an_unseen_pod(|_| {}).await;
    // The first look makes the PodNetworking Ready, so that it serves pods; the second compares.
    reconcile(&stage).await.unwrap();
    reconcile(&stage).await.unwrap();
    let said = without_network(&stage).unwrap();
    assert!(
        said.starts_with("\"True\"") && said.contains("shop/db-0 selected"),
        "{said}"
    );
    // The comparison is made once. Later pods come by the watch.
    let lists = |stage: &Stage| {
        let log = stage.api.log();
        log.iter().filter(|asked| asked.path.ends_with("/pods")).count()
    };
    let before = lists(&stage);
    reconcile(&stage).await.unwrap();
    assert_eq!(lists(&stage), before);
    stage
        .context
        .caches
        .pods
        .remove(&Key::namespaced("shop", "db-0"), 2);
    reconcile(&stage).await.unwrap();
    assert!(without_network(&stage).unwrap().starts_with("\"False\""));
    let api = stage.api.clone();
    let events = stage.events().await;
    let missing = events
        .iter()
        .filter(|event| event.starts_with("NetworkMissing: "));
    assert_eq!(missing.count(), 1, "{events:?}");
    let log = api.log();
    let event = log
        .iter()
        .find(|asked| asked.body["reason"] == "NetworkMissing")
        .unwrap();
    assert_eq!(event.body["regarding"]["name"], "db-0");
}

#[tokio::test]
async fn a_pod_that_has_its_network_or_needs_none_is_no_reason_to_tell_anything() {
    let changes: [fn(&mut PodFacts); 5] = [
        |pod| pod.wants_pod_eni = true,
        |pod| pod.host_network = true,
        |pod| pod.ignored = true,
        |pod| pod.exited = true,
        |pod| pod.deleting = true,
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let stage = with_an_unseen_pod(change).await;
        reconcile(&stage).await.unwrap();
        reconcile(&stage).await.unwrap();
        assert_eq!(without_network(&stage), None, "{number}");
    }
}

#[tokio::test]
async fn a_pod_that_comes_unseen_later_is_told_without_a_list() {
    let stage = with_an_unseen_pod(|pod| pod.wants_pod_eni = true).await;
    crate::triggers::connect(&stage.context.caches, &stage.context.queues);
    reconcile(&stage).await.unwrap();
    reconcile(&stage).await.unwrap();
    let lists = stage
        .api
        .log()
        .iter()
        .filter(|asked| asked.path.ends_with("/pods"))
        .count();
    let queued = stage.context.queues.networkings.depth();
    stage.put_pod(PodFacts {
        namespace: "shop".into(),
        name: "db-1".into(),
        uid: "uid-1".into(),
        version: 2,
        labels: Some([("app".to_owned(), "db".to_owned())].into()),
        ..PodFacts::default()
    });
    // The trigger has put the PodNetworking into the queue for a moment later.
    assert_eq!(stage.context.queues.networkings.depth(), queued + 1);
    reconcile(&stage).await.unwrap();
    assert!(without_network(&stage).unwrap().contains("shop/db-1 selected"));
    let after = stage
        .api
        .log()
        .iter()
        .filter(|asked| asked.path.ends_with("/pods"))
        .count();
    assert_eq!(after, lists);
}
