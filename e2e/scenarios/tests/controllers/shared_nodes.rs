//! Shared ENIs when nodes go, when the record of a node goes, and while the control plane is degraded.

use std::collections::BTreeSet;

use cloudsim::model::Eni;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Node, NodeCondition, Pod};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;
use terway_crds::names::annotation;
use terway_crds::node::NicStatus;

use crate::replica::Replica;
use crate::shared::{bound, bound_are, cloud_agrees, configure, idle, pods, pool_is, records, report, stage};
use crate::stage::{NAMESPACE, Stage, elastic, found, until};

fn nodes(stage: &Stage) -> Api<Node> {
    Api::all(stage.client.clone())
}

fn enis_of(stage: &Stage, instance: &str) -> BTreeSet<String> {
    let of_node = |eni: &&Eni| eni.instance().is_some_and(|id| **id == *instance);
    let enis = stage.cloud.enis();
    enis.iter()
        .filter(of_node)
        .map(|eni| eni.id.to_string())
        .collect()
}

/// Calls after this number that take something away.
fn taken_away(stage: &Stage, since: u64) -> Vec<String> {
    let takes = |action: &str| {
        ["Detach", "Delete", "Unassign"]
            .iter()
            .any(|verb| action.starts_with(verb))
    };
    let calls = stage.cloud.calls_since(since).into_iter();
    calls
        .map(|call| call.action)
        .filter(|action| takes(action))
        .collect()
}

/// The kubelet says with which address a pod runs.
async fn runs_with(stage: &Stage, pod: &str, address: &str) {
    let pods: Api<Pod> = Api::namespaced(stage.client.clone(), NAMESPACE);
    let status = json!({"status": {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]}});
    pods.patch_status(pod, &PatchParams::default(), &Patch::Merge(&status))
        .await
        .expect("the pod's status can be written");
}

/// The message of the condition Ready of a node's record, if it has this reason.
async fn said(stage: &Stage, node: &str, reason: &str) -> String {
    found(&format!("{node} says {reason}"), || async {
        let record = records(stage).get(node).await.ok()?;
        let conditions = record.status.unwrap_or_default().conditions;
        let ready = conditions.into_iter().find(|c| c.type_ == "Ready");
        ready.filter(|c| c.reason == reason).map(|c| c.message)
    })
    .await
}

/// S-073: a release needs no node that answers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn addresses_that_no_agent_reports_on_are_released_when_the_node_itself_is_gone() {
    let stage = stage(json!({})).await;
    let replica = Replica::start(&stage, "one");
    pool_is(&stage, "node1", 5).await;
    pods(&stage, "node1", ["a".into(), "b".into()].into_iter()).await;
    bound_are(&stage, "node1", 2).await;
    pool_is(&stage, "node1", 5).await;
    // The node is drained, and nobody reports the end of the sandboxes.
    stage.remove_pod("a").await;
    stage.remove_pod("b").await;
    pods(&stage, "node1", ["c".into()].into_iter()).await;
    bound_are(&stage, "node1", 3).await;
    stage.remove_pod("c").await;
    assert_eq!(bound(&stage, "node1").await.len(), 3);
    let gone = nodes(&stage).delete("node1", &DeleteParams::default()).await;
    gone.expect("the node can be deleted");
    until("the record of the node is gone", || async {
        let record = records(&stage).get_opt("node1").await;
        record.expect("records can be read").is_none()
    })
    .await;
    until("its ENIs are gone, but the one it came with", || async {
        enis_of(&stage, "i-node1") == ["eni-node1".to_owned()].into()
    })
    .await;
    pool_is(&stage, "node2", 5).await;
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_control_plane_without_records_takes_over_what_pods_run_with() {
    let stage = stage(json!({})).await;
    let replica = Replica::start(&stage, "one");
    pool_is(&stage, "node1", 5).await;
    pods(&stage, "node1", (0..8).map(|n| format!("p{n}"))).await;
    let before = bound_are(&stage, "node1", 8).await;
    pool_is(&stage, "node1", 5).await;
    for (pod, (address, _)) in &before {
        runs_with(&stage, pod.trim_start_matches("default/"), address).await;
    }
    let enis = enis_of(&stage, "i-node1");
    replica.stop().await;
    // All records are lost, as when the definitions were removed.
    for node in ["node1", "node2"] {
        let none = json!({"metadata": {"finalizers": null}});
        let freed = records(&stage)
            .patch(node, &PatchParams::default(), &Patch::Merge(&none))
            .await;
        freed.expect("the record can be written");
        let gone = records(&stage).delete(node, &DeleteParams::default()).await;
        gone.expect("the record can be deleted");
    }
    // One pod runs with an address that is none of the node's.
    pods(&stage, "node1", ["stranger".into()].into_iter()).await;
    runs_with(&stage, "stranger", "10.0.99.9").await;
    let since = stage.cloud.call_count();
    let replica = Replica::start(&stage, "two");
    let after = bound_are(&stage, "node1", 8).await;
    assert_eq!(after, before, "each pod keeps its address");
    pool_is(&stage, "node1", 5).await;
    cloud_agrees(&stage, "node1").await;
    assert_eq!(enis_of(&stage, "i-node1"), enis);
    assert_eq!(taken_away(&stage, since), [""; 0]);
    until("the stranger is told of", || async {
        let events: Api<k8s_openapi::api::events::v1::Event> = Api::all(stage.client.clone());
        let events = events
            .list(&Default::default())
            .await
            .expect("events can be read");
        let tells = |note: &String| note.contains("default/stranger runs with 10.0.99.9");
        events
            .items
            .iter()
            .any(|event| event.note.as_ref().is_some_and(tells))
    })
    .await;
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_somebody_deletes_stays_while_pods_use_its_enis() {
    let stage = stage(json!({"max_pool_size": 2, "min_pool_size": 2})).await;
    let replica = Replica::start(&stage, "one");
    pool_is(&stage, "node1", 2).await;
    stage.nodes_serve().await;
    pods(&stage, "node1", ["a".into()].into_iter()).await;
    let uid = bound_are(&stage, "node1", 1).await["default/a"].1.clone();
    stage.pod("own", "node1", elastic()).await;
    stage.phase("own", terway_crds::Phase::Bind).await;
    pool_is(&stage, "node1", 2).await;
    report(&stage, "node1", &[], &[&uid]).await;
    let enis = enis_of(&stage, "i-node1");
    let since = stage.cloud.call_count();
    let asked = records(&stage).delete("node1", &DeleteParams::default()).await;
    asked.expect("the record can be deleted");
    let message = said(&stage, "node1", "PodsStillRun").await;
    assert!(message.contains("default/a, default/own"), "{message}");
    stage.remove_pod("a").await;
    // Its sandbox is not reported gone yet.
    stage.remove_pod("own").await;
    stage.record_gone("own").await;
    let message = said(&stage, "node1", "PodsStillRun").await;
    assert!(message.contains("default/a"), "{message}");
    assert!(
        enis.iter().filter(|id| !taken(&stage, since, id)).count() >= 2,
        "trunk and primary stay"
    );
    report(&stage, "node1", &[&uid], &[]).await;
    // Then the record goes, and the node gets a new one.
    until("the node has a record and a pool again", || async {
        let record = records(&stage)
            .get_opt("node1")
            .await
            .expect("records can be read");
        record.is_some_and(|record| record.metadata.deletion_timestamp.is_none())
            && idle(&stage, "node1").await == 2
    })
    .await;
    replica.stop().await;
}

fn taken(stage: &Stage, since: u64, eni: &str) -> bool {
    let calls = stage.cloud.calls_since(since);
    calls.iter().any(|call| {
        call.eni_id.as_deref() == Some(eni)
            && call.action.starts_with("De")
            && call.action != "DescribeNetworkInterfaces"
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_degradation_nothing_is_given_back_and_in_l0_nothing_is_begun() {
    let mut stage = stage(json!({"max_pool_size": 2, "min_pool_size": 2, "ip_pool_sync_period": "1s"})).await;
    let replica = Replica::start(&stage, "one");
    pool_is(&stage, "node1", 2).await;
    stage.nodes_serve().await;
    pods(&stage, "node1", (0..6).map(|n| format!("p{n}"))).await;
    let served = bound_are(&stage, "node1", 6).await;
    stage.pod("own", "node1", elastic()).await;
    stage.phase("own", terway_crds::Phase::Bind).await;
    replica.stop().await;

    // Nothing is given back: no addresses, no ENI of a pod that went, no ENIs of a node.
    stage.extra = json!({"degradation": "l1"});
    let since = stage.cloud.call_count();
    let replica = Replica::start(&stage, "two");
    let uids: Vec<&str> = served.values().map(|(_, uid)| uid.as_str()).collect();
    for name in served.keys() {
        stage.remove_pod(name.trim_start_matches("default/")).await;
    }
    report(&stage, "node1", &uids, &[]).await;
    bound_are(&stage, "node1", 0).await;
    stage.remove_pod("own").await;
    until("the ENI of the pod that went says why it stays", || async {
        let interfaces = stage
            .interfaces()
            .list(&Default::default())
            .await
            .expect("a list");
        let says = |i: &terway_crds::NetworkInterface| {
            let conditions = i.status.iter().flat_map(|status| &status.conditions);
            conditions.into_iter().any(|c| c.reason == "Degraded")
        };
        interfaces.items.iter().any(says)
    })
    .await;
    let gone = nodes(&stage).delete("node2", &DeleteParams::default()).await;
    gone.expect("the node can be deleted");
    said(&stage, "node2", "Degraded").await;
    // Addresses for new pods are still asked for.
    pods(&stage, "node1", (0..16).map(|n| format!("q{n}"))).await;
    bound_are(&stage, "node1", 16).await;
    // Calls under way are brought to their end even in l0, so nothing may be under way when l0 begins.
    until("the pool is full again", || async {
        let record = records(&stage).get_opt("node1").await.expect("a record");
        let status = record.and_then(|record| record.status).unwrap_or_default();
        status.operations.is_empty() && idle(&stage, "node1").await >= 2
    })
    .await;
    assert_eq!(taken_away(&stage, since), [""; 0]);
    replica.stop().await;

    // In l0 nothing is begun.
    stage.extra = json!({"degradation": "l0"});
    let replica = Replica::start(&stage, "three");
    let free = idle(&stage, "node1").await;
    let since = stage.cloud.call_count();
    pods(&stage, "node1", (0..free + 3).map(|n| format!("r{n}"))).await;
    bound_are(&stage, "node1", 16 + free).await;
    stage.pod("later", "node1", elastic()).await;
    until("the record of the pod says why it waits", || async {
        let record = stage.record("later").await;
        let status = record.and_then(|record| record.status).unwrap_or_default();
        status.conditions.iter().any(|c| c.reason == "Degraded")
    })
    .await;
    let changes = |call: &cloudsim::call_log::CallRecord| !call.action.starts_with("Describe");
    let made: Vec<_> = stage
        .cloud
        .calls_since(since)
        .into_iter()
        .filter(changes)
        .collect();
    assert!(made.is_empty(), "{made:?}");
    replica.stop().await;

    // The degradation is over: everything is made up for.
    stage.extra = json!({});
    let replica = Replica::start(&stage, "four");
    bound_are(&stage, "node1", 16 + free + 3).await;
    stage.phase("later", terway_crds::Phase::Bind).await;
    stage.record_gone("own").await;
    until("node2 and its ENIs are gone", || async {
        let record = records(&stage)
            .get_opt("node2")
            .await
            .expect("records can be read");
        record.is_none() && enis_of(&stage, "i-node2") == ["eni-node2".to_owned()].into()
    })
    .await;
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_eni_that_is_given_back_is_gone_from_record_and_cloud() {
    let stage = stage(json!({"max_pool_size": 2, "min_pool_size": 2, "ip_pool_sync_period": "1s"})).await;
    let replica = Replica::start(&stage, "one");
    pods(&stage, "node1", (0..20).map(|n| format!("p{n}"))).await;
    let served = bound_are(&stage, "node1", 20).await;
    let uids: Vec<&str> = served.values().map(|(_, uid)| uid.as_str()).collect();
    for name in served.keys() {
        stage.remove_pod(name.trim_start_matches("default/")).await;
    }
    report(&stage, "node1", &uids, &[]).await;
    pool_is(&stage, "node1", 2).await;
    until("one shared ENI is left", || async {
        let status = records(&stage).get("node1").await.expect("the record").status;
        let nics = status.unwrap_or_default().network_interfaces;
        nics.len() == 1 && nics.values().all(|nic| nic.status == NicStatus::InUse)
    })
    .await;
    cloud_agrees(&stage, "node1").await;
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_are_annotated_with_their_addresses_where_the_configuration_asks_for_it() {
    let stage = stage(json!({})).await;
    let replica = Replica::start(&stage, "one");
    pods(&stage, "node1", ["a".into()].into_iter()).await;
    let address = bound_are(&stage, "node1", 1).await["default/a"].0.clone();
    let api: Api<Pod> = Api::namespaced(stage.client.clone(), NAMESPACE);
    let noted = || async {
        let pod = api.get("a").await.expect("the pod");
        pod.metadata
            .annotations
            .unwrap_or_default()
            .get(annotation::POD_IPS)
            .cloned()
    };
    pool_is(&stage, "node1", 5).await;
    assert_eq!(noted().await, None);
    configure(&stage, json!({"enable_patch_pod_ips": true})).await;
    until("the annotation is there", || async {
        noted().await == Some(address.clone())
    })
    .await;
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_condition_of_a_node_is_said_again_when_it_is_old_and_not_before() {
    let stage = stage(json!({})).await;
    let replica = Replica::start(&stage, "one");
    let condition = |node: Node| -> Option<NodeCondition> {
        let conditions = node.status?.conditions?;
        conditions.into_iter().find(|c| c.type_ == "SufficientIP")
    };
    let now = || async { condition(nodes(&stage).get("node1").await.expect("the node")) };
    let first = found("the condition is there", now).await;
    let (heartbeat, since) = (
        first.last_heartbeat_time.expect("a time").0,
        first.last_transition_time,
    );
    // As it was ten minutes ago, and true since then.
    let long_ago =
        Timestamp::from_second(heartbeat.as_second()).expect("a time") - SignedDuration::from_mins(10);
    let old = json!({"type": "SufficientIP", "status": "True", "lastHeartbeatTime": long_ago});
    let patch = Patch::Strategic(json!({"status": {"conditions": [old]}}));
    nodes(&stage)
        .patch_status("node1", &PatchParams::default(), &patch)
        .await
        .expect("the condition can be written");
    let second = found("it is said again", || async {
        let condition = now().await?;
        let said = condition.last_heartbeat_time.as_ref()?.0;
        (said >= heartbeat).then_some(condition)
    })
    .await;
    assert_eq!(second.last_transition_time, since, "it did not change");
    // Pods on the node are no reason to write the condition again.
    pods(&stage, "node1", (0..5).map(|n| format!("p{n}"))).await;
    bound_are(&stage, "node1", 5).await;
    pool_is(&stage, "node1", 5).await;
    let third = now().await.expect("the condition");
    assert_eq!(third.last_heartbeat_time, second.last_heartbeat_time);
    replica.stop().await;
}
