//! Objects in the form in which they are stored today: reading and writing one back loses nothing,
//! and a word or a field that this version does not know stops nobody.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use kube::core::DeserializeGuard;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use terway_crds::{
    NetworkInterface, NetworkRequest, NodeRuntime, Phase, PodEni, PodNetworking, PodNetworks,
    ReleaseStrategy, TerwayNode,
};

fn survives<T: DeserializeOwned + Serialize>(yaml: &str) -> T {
    let stored: Value = serde_saphyr::from_str(yaml).unwrap();
    let object: T = serde_json::from_value(stored.clone()).unwrap();
    assert_eq!(serde_json::to_value(&object).unwrap(), stored);
    object
}

#[test]
fn a_pod_networking_survives() {
    let object: PodNetworking = survives(include_str!("fixtures/podnetworking.yaml"));
    assert!(object.spec.allocation_type.is_fixed());
    assert_eq!(
        object.spec.allocation_type.release_strategy,
        Some(ReleaseStrategy::Ttl)
    );
    assert!(!object.spec.selector.is_empty());
}

#[test]
fn a_pod_eni_survives() {
    let object: PodEni = survives(include_str!("fixtures/podeni.yaml"));
    let status = object.status.unwrap();
    assert_eq!(status.phase, Phase::Bind);
    assert_eq!(status.eni_infos["eni-bp1"].vid, Some(7));
}

#[test]
fn a_network_interface_survives() {
    let object: NetworkInterface = survives(include_str!("fixtures/networkinterface.yaml"));
    assert!(object.spec.manage_policy.cache && !object.spec.manage_policy.unmanaged);
}

#[test]
fn a_node_survives() {
    let object: TerwayNode = survives(include_str!("fixtures/node.yaml"));
    assert_eq!(object.status.unwrap().network_interfaces["eni-bp0"].ipv4.len(), 2);
}

#[test]
fn a_node_runtime_survives() {
    let object: NodeRuntime = survives(include_str!("fixtures/noderuntime.yaml"));
    assert_eq!(object.status.unwrap().pods.len(), 1);
}

#[test]
fn an_unknown_word_is_read_and_written_back() {
    let mut stored: Value = serde_saphyr::from_str(include_str!("fixtures/podeni.yaml")).unwrap();
    stored["status"]["phase"] = json!("Migrating");
    stored["status"]["eniInfos"]["eni-bp1"]["type"] = json!("SuperTrunk");
    stored["spec"]["allocations"][0]["allocationType"]["releaseStrategy"] = json!("Lunar");
    let object: PodEni = serde_json::from_value(stored.clone()).unwrap();
    assert_eq!(
        object.status.as_ref().unwrap().phase,
        Phase::Other("Migrating".to_owned())
    );
    assert_eq!(serde_json::to_value(&object).unwrap(), stored);
}

#[test]
fn a_field_of_the_future_does_not_stop_reading() {
    let mut stored: Value = serde_saphyr::from_str(include_str!("fixtures/podnetworking.yaml")).unwrap();
    stored["spec"]["orbit"] = json!({ "height": 400 });
    serde_json::from_value::<PodNetworking>(stored).unwrap();
}

#[test]
fn an_object_without_status_has_the_defaults() {
    let object: PodNetworking = serde_json::from_value(json!({
        "apiVersion": "network.alibabacloud.com/v1beta1", "kind": "PodNetworking", "metadata": { "name": "x" }, "spec": {},
    }))
    .unwrap();
    assert_eq!(object, PodNetworking::new("x", Default::default()));
    assert!(object.spec.selector.is_empty());
}

#[test]
fn a_malformed_object_is_set_aside_with_its_name() {
    let guard: DeserializeGuard<PodEni> = serde_json::from_value(json!({
        "apiVersion": "network.alibabacloud.com/v1beta1", "kind": "PodENI",
        "metadata": { "name": "broken", "namespace": "shop" }, "spec": { "allocations": "none" },
    }))
    .unwrap();
    assert_eq!(guard.0.unwrap_err().metadata.name.as_deref(), Some("broken"));
}

#[test]
fn annotations_written_by_go_are_read() {
    let networks = PodNetworks::from_annotation(
        r#"{"podNetworks":[{"vSwitchOptions":["vsw-1"],"securityGroupIDs":null,"interface":"eth0","extraRoutes":null,
            "eniOptions":{"eniType":"Trunk"},"vSwitchSelectOptions":{"vSwitchSelectionPolicy":"ordered"},
            "resourceGroupID":"","networkInterfaceTrafficMode":"","defaultRoute":false,"allocationType":null}]}"#,
    )
    .unwrap();
    assert_eq!(networks.pod_networks[0].vswitch_options, ["vsw-1"]);
    assert_eq!(networks.pod_networks[0].allocation_type, None);

    let requests = NetworkRequest::from_annotation(
        r#"[{"interfaceName":"eth0","network":"a","defaultRoute":true,"routes":[{"dst":"0.0.0.0/0"}]}]"#,
    )
    .unwrap();
    assert!(requests[0].default_route && requests[0].network == "a");
}
