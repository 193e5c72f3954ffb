//! Which ENIs and nodes a list of the cluster's ENIs contradicts.

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::testing::cloud_eni;

fn interface(status: Value) -> Arc<NetworkInterface> {
    let interface = json!({
        "metadata": { "name": "eni-1" },
        "spec": { "attachTo": { "instanceID": "i-1", "trunkENIID": "trunk" } },
        "status": status,
    });
    Arc::new(serde_json::from_value(interface).unwrap())
}

fn bound() -> Arc<NetworkInterface> {
    interface(json!({ "phase": "Bind", "instanceID": "i-1", "trunkENIID": "trunk" }))
}

fn lost() -> Arc<NetworkInterface> {
    interface(json!({ "phase": "Unbind", "conditions": [{
        "type": "Ready", "status": "False", "reason": "ENINotFound", "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }] }))
}

fn node() -> Arc<TerwayNode> {
    let node = json!({
        "metadata": { "name": "n1" },
        "spec": { "nodeMetadata": { "instanceID": "i-1" } },
        "status": { "networkInterfaces": { "eni-n": {
            "id": "eni-n", "status": "InUse",
            "ipv4": { "10.0.0.5": { "ip": "10.0.0.5", "status": "Valid" } },
        } } },
    });
    Arc::new(serde_json::from_value(node).unwrap())
}

/// A member of the trunk.
fn member() -> CloudEni {
    CloudEni {
        status: EniStatus::InUse,
        instance_id: Some("i-1".into()),
        trunk_eni_id: Some("trunk".into()),
        ..cloud_eni("eni-1")
    }
}

/// The node's ENI.
fn shared() -> CloudEni {
    CloudEni {
        status: EniStatus::InUse,
        instance_id: Some("i-1".into()),
        private_ips: vec![crate::cloud::PrivateIp::primary([10, 0, 0, 5])],
        ..cloud_eni("eni-n")
    }
}

fn found(interface: Arc<NetworkInterface>, node: Arc<TerwayNode>, listed: &[CloudEni]) -> Contradictions {
    let (interfaces, nodes) = ([interface], [node]);
    let mut drift = Drift::new(&interfaces, &nodes);
    listed.iter().for_each(|eni| drift.see(eni));
    drift.end()
}

fn one(node: &str, eni: &str) -> BTreeMap<String, BTreeSet<String>> {
    [(node.to_owned(), [eni.to_owned()].into())].into()
}

#[test]
fn a_list_that_agrees_contradicts_nothing() {
    let others = cloud_eni("eni-of-somebody");
    assert_eq!(
        found(bound(), node(), &[member(), shared(), others]),
        Contradictions::default()
    );
}

#[test]
fn an_eni_of_a_pod_that_is_elsewhere_or_nowhere_is_looked_at() {
    let free = cloud_eni("eni-1");
    let moved = CloudEni {
        instance_id: Some("i-9".into()),
        ..member()
    };
    let other_trunk = CloudEni {
        trunk_eni_id: Some("trunk-9".into()),
        ..member()
    };
    for listed in [vec![free], vec![moved], vec![other_trunk], vec![]] {
        let listed: Vec<CloudEni> = listed.into_iter().chain([shared()]).collect();
        let found = found(bound(), node(), &listed);
        assert_eq!(found.enis, ["eni-1".to_owned()].into(), "{listed:?}");
        assert!(found.nodes.is_empty() && found.unlisted.is_empty());
    }
}

#[test]
fn an_eni_that_was_lost_and_is_listed_again_is_looked_at() {
    assert_eq!(found(lost(), node(), &[shared()]), Contradictions::default());
    let again = found(lost(), node(), &[shared(), member()]);
    assert_eq!(again.enis, ["eni-1".to_owned()].into());
}

#[test]
fn an_eni_that_is_on_its_way_is_left_to_its_controller() {
    let binding = interface(json!({ "phase": "Binding" }));
    let mut leaving = (*bound()).clone();
    leaving.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
    let mut retargeted = (*bound()).clone();
    retargeted.spec.attach_to.as_mut().unwrap().trunk_eni_id = "trunk-2".into();
    for interface in [binding, Arc::new(leaving), Arc::new(retargeted)] {
        assert_eq!(found(interface, node(), &[shared()]), Contradictions::default());
    }
}

#[test]
fn an_eni_or_address_of_a_node_that_is_not_there_has_the_node_compared() {
    let free = cloud_eni("eni-n");
    let moved = CloudEni {
        instance_id: Some("i-9".into()),
        ..shared()
    };
    let poorer = CloudEni {
        private_ips: Vec::new(),
        ..shared()
    };
    for eni in [free, moved, poorer] {
        let found = found(bound(), node(), &[member(), eni.clone()]);
        assert_eq!(found.nodes, one("n1", "eni-n"), "{eni:?}");
    }
    let missing = found(bound(), node(), &[member()]);
    assert_eq!(
        (missing.nodes, missing.unlisted),
        (BTreeMap::new(), one("n1", "eni-n"))
    );
}

#[test]
fn an_eni_of_a_node_that_is_left_alone_or_busy_is_not_compared() {
    let mut alone = (*node()).clone();
    let status = alone.status.as_mut().unwrap();
    status.network_interfaces.get_mut("eni-n").unwrap().unschedulable = true;
    let mut busy = (*node()).clone();
    busy.status.as_mut().unwrap().operations =
        serde_json::from_value(json!([{ "kind": "AssignIPs", "id": "a", "eniID": "eni-n", "attempt": 1 }]))
            .unwrap();
    for node in [alone, busy] {
        assert_eq!(
            found(bound(), Arc::new(node), &[member()]),
            Contradictions::default()
        );
    }
}

#[test]
fn an_eni_without_the_clusters_tag_has_its_node_compared_once() {
    let mut missed = BTreeMap::new();
    let missing = found(bound(), node(), &[member()]);
    assert_eq!(nodes_to_compare(&missing, &mut missed), ["n1".to_owned()].into());
    assert_eq!(nodes_to_compare(&missing, &mut missed), BTreeSet::new());
    // The list had it meanwhile, so it has the tag.
    let all_there = found(bound(), node(), &[member(), shared()]);
    assert_eq!(nodes_to_compare(&all_there, &mut missed), BTreeSet::new());
    assert_eq!(nodes_to_compare(&missing, &mut missed), ["n1".to_owned()].into());
}
