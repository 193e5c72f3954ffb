//! Answers as the cloud sends them, as it may send them one day, and as nobody should.

use proptest::prelude::*;
use serde_json::json;

use super::*;

const V6: [u16; 8] = [0x2001, 0xdb8, 0, 0, 0, 0, 0, 7];

fn member() -> Value {
    json!({
        "NetworkInterfaceId": "eni-1", "Status": "InUse", "Type": "Member", "MacAddress": "00:16:3e:00:00:01",
        "ZoneId": "cn-hangzhou-h", "VpcId": "vpc-1", "VSwitchId": "vsw-1", "PrivateIpAddress": "10.0.0.7",
        "PrivateIpSets": {"PrivateIpSet": [{"PrivateIpAddress": "10.0.0.7", "Primary": true}, {"PrivateIpAddress": "10.0.0.8"}]},
        "Ipv6Sets": {"Ipv6Set": [{"Ipv6Address": "2001:db8::7"}]},
        "SecurityGroupIds": {"SecurityGroupId": ["sg-1", "sg-2"]}, "InstanceId": "i-1", "ResourceGroupId": "rg-1",
        "Attachment": {"InstanceId": "i-1", "TrunkNetworkInterfaceId": "eni-t", "DeviceIndex": 17, "NetworkCardIndex": 0},
        "Tags": {"Tag": [{"TagKey": "creator", "TagValue": "terway-controller"}, {"Key": "other", "Value": "x"}]},
        "CreationTime": "2026-01-01T00:00:00Z", "SomethingNew": {"Deep": [1, 2]},
    })
}

#[test]
fn a_member_is_read_whole() {
    let body = json!({"NetworkInterfaceSets": {"NetworkInterfaceSet": [member()]}, "NextToken": "more"});
    let page = enis(&body).unwrap();
    assert_eq!(page.next_token.as_deref(), Some("more"));
    let eni = &page.items[0];
    assert_eq!(
        (eni.id.as_str(), &eni.status, &eni.kind),
        ("eni-1", &EniStatus::InUse, &EniKind::Member)
    );
    assert_eq!(eni.device_index, Some(17));
    assert_eq!(eni.trunk_eni_id.as_deref(), Some("eni-t"));
    assert_eq!(
        eni.private_ips,
        [
            PrivateIp::primary([10, 0, 0, 7]),
            PrivateIp::secondary([10, 0, 0, 8]),
            PrivateIp::secondary(V6)
        ]
    );
    assert_eq!(
        eni.secondary_ips().collect::<Vec<_>>(),
        [IpAddr::from([10, 0, 0, 8]), V6.into()]
    );
    assert_eq!(eni.addresses(Family::V6).collect::<Vec<_>>(), [IpAddr::from(V6)]);
    assert_eq!(eni.security_group_ids, ["sg-1", "sg-2"]);
    assert_eq!(eni.tags["creator"], "terway-controller");
    assert_eq!(eni.tags["other"], "x");
}

#[test]
fn new_values_and_other_spellings_are_taken() {
    let mut value = member();
    value["Status"] = json!("Hibernating");
    value["Type"] = json!("Quantum");
    value["Attachment"]["DeviceIndex"] = json!("18");
    value["PrivateIpSets"] = json!("?");
    value["Ipv6Sets"] = json!({});
    value["Tags"] = json!(null);
    value["SecurityGroupIds"] = json!(["sg-1"]);
    let eni = &enis(&json!({"NetworkInterfaceSets": [value]})).unwrap().items[0];
    assert_eq!(eni.status, EniStatus::Other("Hibernating".into()));
    assert_eq!(eni.kind, EniKind::Other("Quantum".into()));
    assert_eq!(eni.device_index, Some(18));
    assert_eq!(eni.private_ips, [PrivateIp::primary([10, 0, 0, 7])]);
    assert_eq!(eni.security_group_ids, ["sg-1"]);
}

#[test]
fn a_free_interface_has_no_vlan_and_no_instance() {
    let mut value = member();
    value["Status"] = json!("Available");
    value["InstanceId"] = json!("");
    value["Attachment"] = json!({"InstanceId": "", "DeviceIndex": 0});
    let eni = created_eni(&value).unwrap();
    assert_eq!(
        (eni.instance_id, eni.device_index, eni.trunk_eni_id),
        (None, None, None)
    );
}

#[test]
fn a_list_that_is_not_there_is_no_empty_list() {
    assert_eq!(enis(&json!({})), Err(AnswerError::NoList("NetworkInterfaceSets")));
    assert_eq!(
        enis(&json!({"NetworkInterfaceSets": null})),
        Err(AnswerError::NoList("NetworkInterfaceSets"))
    );
    assert!(
        enis(&json!({"NetworkInterfaceSets": {}}))
            .unwrap()
            .items
            .is_empty()
    );
    assert!(
        enis(&json!({"NetworkInterfaceSets": {"NetworkInterfaceSet": []}}))
            .unwrap()
            .items
            .is_empty()
    );
}

#[test]
fn an_entry_without_id_spoils_the_answer() {
    let body = json!({"NetworkInterfaceSets": {"NetworkInterfaceSet": [member(), {"Status": "InUse"}]}});
    assert!(matches!(
        enis(&body),
        Err(AnswerError::NoField {
            field: "NetworkInterfaceId",
            ..
        })
    ));
    assert!(created_eni(&json!({"RequestId": "r", "NetworkInterfaceId": ""})).is_err());
}

#[test]
fn limits_vswitches_instances_and_groups_are_read() {
    let body = json!({"InstanceTypes": {"InstanceType": [{"InstanceTypeId": "ecs.g7.2xlarge", "EniQuantity": 4,
        "EniTotalQuantity": "18", "EniPrivateIpAddressQuantity": 15, "EniTrunkSupported": true}]}});
    let limits = &instance_types(&body).unwrap().items[0];
    assert_eq!(
        (
            limits.eni_quantity,
            limits.eni_total_quantity,
            limits.trunk_supported
        ),
        (4, 18, true)
    );

    let body = json!({"VSwitches": {"VSwitch": [{"VSwitchId": "vsw-1", "ZoneId": "z", "CidrBlock": "10.0.0.0/24",
        "AvailableIpAddressCount": 250, "Ipv6CidrBlock": ""}]}, "TotalCount": 1});
    let vswitch = &vswitches(&body).unwrap().items[0];
    assert_eq!(vswitch.available_ips, 250);
    assert_eq!(vswitch.cidrs, [net("10.0.0.0/24")].into_iter().collect());
    let mut both = body.clone();
    both["VSwitches"]["VSwitch"][0]["Ipv6CidrBlock"] = json!("2001:db8:0:7::/64");
    assert_eq!(
        vswitches(&both).unwrap().items[0].cidrs.of(Family::V6),
        Some(net("2001:db8:0:7::/64"))
    );
    both["VSwitches"]["VSwitch"][0]["CidrBlock"] = json!("2001:db8:0:7::/64");
    assert!(vswitches(&both).is_err(), "an IPv6 network is no CidrBlock");

    let body = json!({"Instances": {"Instance": [{"InstanceId": "i-1", "Status": "Running",
        "VpcAttributes": {"VpcId": "vpc-1", "VSwitchId": "vsw-1"}}]}});
    assert_eq!(instances(&body).unwrap().items[0].vswitch_id, "vsw-1");

    let body = json!({"SecurityGroups": {"SecurityGroup": [{"SecurityGroupId": "sg-1", "SecurityGroupType": "normal"}]}});
    assert_eq!(security_groups(&body).unwrap().items[0].kind, "normal");
}

fn any_json() -> impl Strategy<Value = Value> {
    let name = prop_oneof![
        Just("NetworkInterfaceSets".to_owned()),
        Just("NetworkInterfaceSet".to_owned()),
        Just("NetworkInterfaceId".to_owned()),
        Just("Attachment".to_owned()),
        Just("Status".to_owned()),
        "[a-zA-Z]{0,6}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::btree_map(name.clone(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn nothing_that_is_json_breaks_a_reader(body in any_json()) {
        let _ = enis(&body);
        let _ = created_eni(&body);
        let _ = vswitches(&body);
        let _ = instance_types(&body);
        let _ = instances(&body);
        let _ = security_groups(&body);
        let _ = assigned_ips(Family::V4, &body);
        let _ = assigned_ips(Family::V6, &body);
    }

    #[test]
    fn every_entry_is_read_or_the_answer_is_refused(drop in proptest::collection::vec(any::<bool>(), 0..12)) {
        let list: Vec<Value> = drop.iter().map(|drop| if *drop { json!({"Status": "InUse"}) } else { member() }).collect();
        let read = enis(&json!({"NetworkInterfaceSets": {"NetworkInterfaceSet": list}}));
        match read {
            Ok(page) => prop_assert_eq!(page.items.len(), drop.len()),
            Err(_) => prop_assert!(drop.contains(&true)),
        }
    }

    /// Fields that this version does not know, anywhere in an answer, change nothing of what it reads.
    #[test]
    fn unknown_fields_do_not_matter(extra in proptest::collection::vec(("X[a-z]{1,8}", any_json()), 1..6)) {
        let plain = json!({"NetworkInterfaceSets": {"NetworkInterfaceSet": [member()]}, "NextToken": "more"});
        let mut grown = plain.clone();
        add_everywhere(&mut grown, &extra);
        prop_assert_ne!(&plain, &grown);
        prop_assert_eq!(enis(&grown), enis(&plain));
    }

    /// New values of an enum are kept as they came, and the rest is read as ever.
    #[test]
    fn new_values_are_kept(status in "[A-Z][A-Za-z ]{0,12}New", kind in "[A-Z][A-Za-z ]{0,12}New") {
        let mut value = member();
        value["Status"] = json!(status);
        value["Type"] = json!(kind);
        let known = created_eni(&member()).unwrap();
        let read = created_eni(&value).unwrap();
        let wanted = CloudEni { status: EniStatus::Other(status), kind: EniKind::Other(kind), ..known };
        prop_assert_eq!(read, wanted);
    }
}

/// Puts the fields into every object of a value.
fn add_everywhere(value: &mut Value, extra: &[(String, Value)]) {
    match value {
        Value::Object(fields) => {
            fields.values_mut().for_each(|field| add_everywhere(field, extra));
            for (name, content) in extra {
                fields.insert(name.clone(), content.clone());
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| add_everywhere(item, extra)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn assigned_addresses_are_read_whole_or_not_at_all() {
    let answer = |ips: Value| {
        assigned_ips(
            Family::V4,
            &json!({"RequestId": "R", "AssignedPrivateIpAddressesSet": {
            "NetworkInterfaceId": "eni-1", "PrivateIpSet": {"PrivateIpAddress": ips}, "Ipv4PrefixSet": {}}}),
        )
    };
    let assigned = answer(json!(["10.0.0.8", "10.0.0.9"])).unwrap();
    assert_eq!(assigned.eni_id, "eni-1");
    assert_eq!(
        assigned.addresses,
        [IpAddr::from([10, 0, 0, 8]), [10, 0, 0, 9].into()]
    );
    // An address that nobody knows of would be lost.
    assert!(answer(json!(["10.0.0.8", "fe80::1"])).is_err());
    assert!(answer(json!([])).is_err());
    assert!(assigned_ips(Family::V4, &json!({"RequestId": "R"})).is_err());
    let answer = |ips: Value| {
        let body = json!({"RequestId": "R", "NetworkInterfaceId": "eni-1", "Ipv6Sets": {"Ipv6Address": ips}});
        assigned_ips(Family::V6, &body)
    };
    assert_eq!(
        answer(json!(["2001:db8::7"])).unwrap().addresses,
        [IpAddr::from(V6)]
    );
    assert!(answer(json!(["2001:db8::7", "10.0.0.8"])).is_err());
    assert!(answer(json!([])).is_err());
}

fn net(text: &str) -> ipnet::IpNet {
    text.parse().unwrap()
}
