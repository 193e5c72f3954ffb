//! Tests of what a Node object looks like from its node.

use serde_json::{Value, json};

use super::*;

fn view(status: Value) -> NodeView {
    with_spec(json!({}), status)
}

fn with_spec(spec: Value, status: Value) -> NodeView {
    let object = json!({ "apiVersion": "network.alibabacloud.com/v1beta1", "kind": "Node",
        "metadata": { "name": "n" }, "spec": spec, "status": status });
    NodeView::new(&serde_json::from_value(object).unwrap())
}

fn nic(id: &str, state: &str, ipv4: Value) -> Value {
    json!({ "id": id, "status": state, "networkInterfaceType": "Secondary",
        "macAddress": "00:16:3e:00:00:03", "ipv4CIDR": "10.0.16.0/22", "ipv4": ipv4 })
}

fn ip(address: &str, uid: &str) -> Value {
    let pod_id = if uid.is_empty() {
        String::new()
    } else {
        format!("shop/{uid}")
    };
    json!({ "ip": address, "primary": false, "status": "Valid", "podUID": uid, "podID": pod_id })
}

#[test]
fn an_attached_trunk_is_found_among_other_enis() {
    let node = view(json!({ "networkInterfaces": {
        "eni-1": { "id": "eni-1", "status": "InUse", "networkInterfaceType": "Primary" },
        "eni-2": { "id": "eni-2", "status": "InUse", "networkInterfaceType": "Trunk",
            "macAddress": "00:16:3e:00:00:02", "ipv4CIDR": "10.0.0.0/24" },
    }}));
    let trunk = node.trunk.unwrap();
    assert_eq!(
        (trunk.eni_id.as_str(), trunk.mac),
        ("eni-2", [0, 0x16, 0x3e, 0, 0, 2])
    );
}

#[test]
fn a_missing_trunk_has_a_reason() {
    let missing = |node: &NodeView| node.trunk.clone().unwrap_err().to_string();
    assert!(missing(&view(json!({}))).contains("has not given it a trunk"));
    let attaching = json!({ "networkInterfaces": { "eni-2": { "id": "eni-2", "status": "Attaching", "networkInterfaceType": "Trunk" } } });
    assert!(missing(&view(attaching)).contains("eni-2 is Attaching"));
    let refused = json!({ "operations": [{ "kind": "CreateTrunk", "attempt": 1,
        "lastError": { "code": "InvalidVSwitchId.IpNotEnough", "message": "no IP left" } }] });
    let node = view(refused);
    assert!(missing(&node).contains("InvalidVSwitchId.IpNotEnough: no IP left"));
    assert!(node.troubles[0].contains("no IP left"), "{:?}", node.troubles);
    let shared = json!({ "operations": [{ "kind": "AssignIPs", "attempt": 1 }] });
    assert!(
        missing(&view(shared)).contains("has not given it a trunk"),
        "no business of the trunk's"
    );
}

#[test]
fn shared_addresses_are_known_by_pod_and_the_others_are_idle() {
    let addresses = json!({ "10.0.16.7": ip("10.0.16.7", "u-1"), "10.0.16.8": ip("10.0.16.8", "") });
    let node = view(json!({ "networkInterfaces": { "eni-3": nic("eni-3", "InUse", addresses) } }));
    let pod = &node.shared["u-1"];
    let address = pod.address.as_ref().unwrap();
    assert_eq!(
        (
            pod.pod_id.as_str(),
            address.ip.to_string().as_str(),
            address.eni.mac[5]
        ),
        ("shop/u-1", "10.0.16.7", 3)
    );
    assert_eq!(node.idle, ["10.0.16.8".parse().unwrap()].into());
}

#[test]
fn an_address_that_cannot_be_used_says_why() {
    let why = |state: &str, address: &str| {
        let addresses = json!({ address: ip(address, "u-1") });
        let node = view(json!({ "networkInterfaces": { "eni-3": nic("eni-3", state, addresses) } }));
        node.shared["u-1"].address.clone().unwrap_err().to_string()
    };
    assert!(why("Attaching", "10.0.16.7").contains("eni-3 is Attaching"));
    assert!(why("InUse", "10.9.9.9").contains("not in 10.0.16.0/22"));
    assert!(why("InUse", "10.0.16").contains("\"10.0.16\" is not an IPv4 address"));
    let mut eni = nic("eni-3", "InUse", json!({}));
    eni["ipv6"] = json!({ "fd00::1": ip("fd00::1", "u-1") });
    let node = view(json!({ "networkInterfaces": { "eni-3": eni } }));
    let why = node.shared["u-1"].address.clone().unwrap_err().to_string();
    assert!(why.contains("ENI eni-3: fd00::1 is an IPv6 address"), "{why}");
}

#[test]
fn a_type_without_a_second_eni_has_no_shared_addresses_to_come() {
    let spec = |adapters: u32| {
        json!({ "nodeMetadata": { "regionID": "r", "instanceType": "ecs.tiny", "instanceID": "i", "zoneID": "z" },
            "nodeCap": { "adapters": adapters } })
    };
    let none = with_spec(spec(1), json!({})).no_shared.unwrap();
    assert!(none.contains("ecs.tiny"), "{none}");
    assert_eq!(with_spec(spec(2), json!({})).no_shared, None);
    assert_eq!(view(json!({})).no_shared, None, "not known yet");
}

#[test]
fn what_is_wrong_is_told_in_the_control_planes_words() {
    let mut full = nic("eni-3", "InUse", json!({}));
    full["conditions"] = json!({ "InsufficientIP": { "message": "vsw-a has no address left" } });
    let node = view(json!({ "networkInterfaces": { "eni-3": full }, "conditions": [
        { "type": "Pool", "status": "False", "reason": "NoVSwitch", "message": "zone h has none",
          "lastTransitionTime": "2026-01-01T00:00:00Z" },
        { "type": "Fine", "status": "True", "reason": "Ok", "message": "",
          "lastTransitionTime": "2026-01-01T00:00:00Z" },
    ] }));
    assert_eq!(
        node.troubles,
        [
            "Pool is False, NoVSwitch: zone h has none",
            "ENI eni-3: InsufficientIP: vsw-a has no address left"
        ]
    );
}

#[test]
fn mac_addresses_are_six_bytes() {
    assert_eq!(
        parse_mac("ee:ff:ff:ff:ff:ff"),
        Some([0xee, 255, 255, 255, 255, 255])
    );
    for bad in [
        "",
        "ee:ff:ff:ff:ff",
        "ee:ff:ff:ff:ff:ff:ff",
        "ee:ff:ff:ff:ff:fg",
        "e:f:f:f:f:f",
    ] {
        assert_eq!(parse_mac(bad), None, "{bad:?}");
    }
}
