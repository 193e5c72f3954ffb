//! Tests of the tables and of what a PodENI looks like from here.

use kube::runtime::watcher::Event;
use serde_json::json;
use terway_crds::Phase;
use terway_node_core::carrier::Carrier;

use super::{Cluster, PodEniView, PodKey, Table};
use crate::testing::member;

fn key(name: &str) -> PodKey {
    PodKey::new("default", name)
}

#[test]
fn a_repeated_list_replaces_the_content_at_its_end() {
    let mut table = Table::default();
    assert!(!table.apply(Event::Init));
    assert!(!table.apply(Event::InitApply((key("a"), 1))));
    assert!(!table.synced());
    assert!(table.apply(Event::InitDone));
    assert!(table.synced() && table.get(&key("a")) == Some(&1));

    table.apply(Event::Init);
    table.apply(Event::InitApply((key("b"), 2)));
    assert_eq!(
        table.get(&key("a")),
        Some(&1),
        "visible until the new list is complete"
    );
    assert!(table.apply(Event::InitDone));
    assert_eq!((table.get(&key("a")), table.get(&key("b"))), (None, Some(&2)));
}

#[test]
fn updates_that_change_nothing_wake_nobody() {
    let mut table = Table::default();
    assert!(table.apply(Event::Apply((key("a"), 1))));
    assert!(!table.apply(Event::Apply((key("a"), 1))));
    assert!(table.apply(Event::Delete((key("a"), 1))));
    assert!(!table.apply(Event::Delete((key("a"), 1))));
}

#[tokio::test]
async fn synced_waits_for_every_watch() {
    let cluster = Cluster::default();
    let waiting = tokio::spawn({
        let cluster = cluster.clone();
        async move { cluster.synced().await }
    });
    cluster.update_if(|state| state.pods.apply(Event::InitDone));
    cluster.update_if(|state| state.pod_enis.apply(Event::InitDone));
    cluster.update_if(|state| state.node.apply(Event::InitDone));
    assert_eq!(cluster.read(|state| state.unsynced()), ["noderuntimes"]);
    assert!(!waiting.is_finished());
    cluster.update_if(|state| state.runtime.apply(Event::InitDone));
    waiting.await.unwrap();
}

fn pod_eni(spec: serde_json::Value, status: serde_json::Value) -> PodEniView {
    let object = json!({
        "apiVersion": "network.alibabacloud.com/v1beta1", "kind": "PodENI",
        "metadata": { "name": "db-0", "namespace": "shop", "annotations": { "k8s.aliyun.com/pod-uid": "u-1" } },
        "spec": spec, "status": status,
    });
    PodEniView::new(&serde_json::from_value(object).unwrap())
}

#[test]
fn a_bound_pod_eni_is_parsed() {
    let view = pod_eni(
        json!({ "allocations": [{ "eni": { "id": "eni-9" }, "ipv4": "10.0.16.7", "ipv4CIDR": "10.0.16.0/22",
            "extraRoutes": [{ "dst": "172.16.0.0/12" }] }] }),
        json!({ "phase": "Bind", "trunkENIID": "eni-2", "eniInfos": { "eni-9": { "id": "eni-9", "type": "Member", "vid": 7 } } }),
    );
    assert_eq!(
        (view.key.to_string().as_str(), view.pod_uid.as_str()),
        ("shop/db-0", "u-1")
    );
    assert_eq!(view.phase, Phase::Bind);
    let allocation = &view.allocations.unwrap()[0];
    assert_eq!(allocation.carrier, Some(member("eni-2", 7)));
    assert_eq!(allocation.ip.unwrap().to_string(), "10.0.16.7");
    assert_eq!(allocation.extra_routes[0].to_string(), "172.16.0.0/12");
}

#[test]
fn a_bad_value_is_named_and_stops_nothing_else() {
    let view = pod_eni(
        json!({ "allocations": [{ "eni": { "id": "eni-9" }, "ipv4": "10.0.16" }] }),
        json!({}),
    );
    assert_eq!(view.pod_uid, "u-1");
    assert_eq!(
        view.allocations.unwrap_err().to_string(),
        "ipv4 \"10.0.16\" is not an IPv4 address"
    );
}

#[test]
fn the_clouds_refusal_is_part_of_the_message() {
    let creation = json!({ "attempt": 2, "parameters": {}, "lastError": {
        "code": "InvalidVSwitchId.IpNotEnough", "message": "no address left", "requestID": "r-1" } });
    let view = pod_eni(
        json!({ "allocations": [{ "creation": creation }] }),
        json!({ "msg": "waiting for an ENI" }),
    );
    assert_eq!(
        view.message,
        "waiting for an ENI; the cloud said InvalidVSwitchId.IpNotEnough: no address left (request r-1)"
    );
}

#[test]
fn an_address_of_a_family_that_is_not_served_is_refused_by_name() {
    let view = |allocation: serde_json::Value| {
        let eni = json!({ "eni": { "id": "eni-9" } });
        let mut spec = eni.as_object().unwrap().clone();
        spec.extend(allocation.as_object().unwrap().clone());
        pod_eni(json!({ "allocations": [spec] }), json!({ "phase": "Bind" })).allocations
    };
    let ipv6 = json!({ "ipv6": "fd00::7", "ipv6CIDR": "fd00::/64" });
    let why = view(ipv6.clone()).unwrap_err().to_string();
    assert!(why.contains("ENI eni-9: fd00::7 is an IPv6 address"), "{why}");
    let mut dual = ipv6.as_object().unwrap().clone();
    dual.insert("ipv4".into(), "10.0.16.7".into());
    let allocations = view(dual.into()).unwrap();
    assert_eq!(allocations[0].ip.unwrap().to_string(), "10.0.16.7");
}

#[test]
fn an_eni_without_a_trunk_is_the_pods_alone() {
    let spec = json!({ "allocations": [{ "eni": { "id": "eni-9" } }] });
    let view = pod_eni(spec, json!({ "phase": "Bind" }));
    let whole = Carrier::Whole { nic: "eni-9".into() };
    assert_eq!(view.allocations.unwrap()[0].carrier, Some(whole));
}
