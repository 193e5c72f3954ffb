//! The life of an ENI over HTTP: create, attach, detach, delete, and what each refuses.

use std::time::{Duration, Instant};

use crate::bench::{Bench, Signer, quick_world};
use cloudsim::World;
use cloudsim::world::{ActionTiming, Latency, Span};
use serde_json::json;

async fn with_trunk(bench: &Bench, instance: &str) -> String {
    let trunk = bench.create(&[("InstanceType", "Trunk")]).await;
    let (status, answer) = bench
        .call(
            "AttachNetworkInterface",
            &[("NetworkInterfaceId", &trunk), ("InstanceId", instance)],
        )
        .await;
    assert_eq!(status, 200, "{answer}");
    trunk
}

#[tokio::test]
async fn a_member_gets_the_smallest_free_vlan_of_its_trunk_and_loses_it_on_detach() {
    let bench = Bench::start(quick_world()).await;
    let trunk = with_trunk(&bench, "i-node1").await;
    let mut members = Vec::new();
    for vlan in 1..=3 {
        let eni = bench.create(&[]).await;
        let attach = [
            ("NetworkInterfaceId", eni.as_str()),
            ("InstanceId", "i-node1"),
            ("TrunkNetworkInstanceId", &trunk),
        ];
        assert_eq!(bench.call("AttachNetworkInterface", &attach).await.0, 200);
        let seen = bench.describe(&eni).await;
        assert_eq!(seen["Type"], "Member");
        assert_eq!(seen["Status"], "InUse");
        assert_eq!(seen["Attachment"]["DeviceIndex"], json!(vlan));
        assert_eq!(seen["Attachment"]["TrunkNetworkInterfaceId"], json!(trunk));
        members.push(eni);
    }
    let detach = [
        ("NetworkInterfaceId", members[1].as_str()),
        ("InstanceId", "i-node1"),
    ];
    assert_eq!(bench.call("DetachNetworkInterface", &detach).await.0, 200);
    let free = bench.describe(&members[1]).await;
    assert_eq!(
        (&free["Type"], &free["Status"]),
        (&json!("Secondary"), &json!("Available"))
    );
    assert_eq!(free["Attachment"], json!({}));
    let again = [
        ("NetworkInterfaceId", members[1].as_str()),
        ("InstanceId", "i-node1"),
        ("TrunkNetworkInstanceId", &trunk),
    ];
    assert_eq!(bench.call("AttachNetworkInterface", &again).await.0, 200);
    assert_eq!(
        bench.describe(&members[1]).await["Attachment"]["DeviceIndex"],
        json!(2)
    );
    // A trunk with members is not detached.
    let detach = [("NetworkInterfaceId", trunk.as_str()), ("InstanceId", "i-node1")];
    bench
        .refused(
            "DetachNetworkInterface",
            &detach,
            400,
            "InvalidOperation.InvalidEniState",
        )
        .await;
}

#[tokio::test]
async fn limits_of_the_instance_type_hold_for_members_and_for_nics() {
    let bench = Bench::start(quick_world()).await;
    let trunk = with_trunk(&bench, "i-node1").await;
    for slot in 0..=14 {
        let eni = bench.create(&[]).await;
        let attach = [
            ("NetworkInterfaceId", eni.as_str()),
            ("InstanceId", "i-node1"),
            ("TrunkNetworkInstanceId", &trunk),
        ];
        if slot < 14 {
            assert_eq!(bench.call("AttachNetworkInterface", &attach).await.0, 200);
        } else {
            bench
                .refused(
                    "AttachNetworkInterface",
                    &attach,
                    403,
                    "EniPerInstanceLimitExceeded",
                )
                .await;
        }
    }
    // The instance has its primary ENI and the trunk. Two more NICs fit.
    for slot in 0..=2 {
        let eni = bench.create(&[]).await;
        let attach = [("NetworkInterfaceId", eni.as_str()), ("InstanceId", "i-node1")];
        if slot < 2 {
            assert_eq!(bench.call("AttachNetworkInterface", &attach).await.0, 200);
        } else {
            bench
                .refused(
                    "AttachNetworkInterface",
                    &attach,
                    403,
                    "EniPerInstanceLimitExceeded",
                )
                .await;
        }
    }
}

#[tokio::test]
async fn asynchronous_acts_show_their_states_and_refuse_what_does_not_fit_them() {
    let mut world = quick_world();
    let slow = ActionTiming {
        done: Latency::Fixed(Span::millis(150)),
        ..ActionTiming::default()
    };
    for action in [
        "AttachNetworkInterface",
        "DetachNetworkInterface",
        "DeleteNetworkInterface",
    ] {
        world.latency.insert(action.into(), slow);
    }
    let bench = Bench::start(world).await;
    let eni = bench.create(&[]).await;
    let on_node = [("NetworkInterfaceId", eni.as_str()), ("InstanceId", "i-node1")];
    let alone = [("NetworkInterfaceId", eni.as_str())];

    assert_eq!(bench.call("AttachNetworkInterface", &on_node).await.0, 200);
    let seen = bench.describe(&eni).await;
    assert_eq!(
        (&seen["Status"], &seen["InstanceId"]),
        (&json!("Attaching"), &json!("i-node1"))
    );
    bench
        .refused(
            "AttachNetworkInterface",
            &on_node,
            400,
            "InvalidOperation.InvalidEniState",
        )
        .await;
    bench
        .refused(
            "DetachNetworkInterface",
            &on_node,
            400,
            "InvalidOperation.InvalidEniState",
        )
        .await;
    bench
        .refused(
            "DeleteNetworkInterface",
            &alone,
            400,
            "InvalidOperation.InvalidEniState",
        )
        .await;
    until(&bench, &eni, "InUse").await;
    bench
        .refused(
            "DeleteNetworkInterface",
            &alone,
            400,
            "InvalidOperation.InvalidEniState",
        )
        .await;
    let elsewhere = [("NetworkInterfaceId", eni.as_str()), ("InstanceId", "i-node2")];
    bench
        .refused(
            "DetachNetworkInterface",
            &elsewhere,
            400,
            "InvalidOperation.InvalidEniState",
        )
        .await;

    assert_eq!(bench.call("DetachNetworkInterface", &on_node).await.0, 200);
    assert_eq!(bench.describe(&eni).await["Status"], "Detaching");
    until(&bench, &eni, "Available").await;
    assert_eq!(bench.call("DeleteNetworkInterface", &alone).await.0, 200);
    assert_eq!(bench.describe(&eni).await["Status"], "Deleting");
    let deadline = Instant::now() + Duration::from_secs(5);
    while bench.describe(&eni).await.is_object() {
        assert!(Instant::now() < deadline, "the ENI never went");
    }
    bench
        .refused("DeleteNetworkInterface", &alone, 404, "InvalidEniId.NotFound")
        .await;
    bench
        .refused("AttachNetworkInterface", &on_node, 404, "InvalidEniId.NotFound")
        .await;
}

async fn until(bench: &Bench, eni: &str, status: &str) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while bench.describe(eni).await["Status"] != status {
        assert!(Instant::now() < deadline, "{eni} never became {status}");
    }
}

#[tokio::test]
async fn places_that_do_not_fit_are_refused_with_the_api_s_own_codes() {
    let bench = Bench::start(quick_world()).await;
    let group = ("SecurityGroupIds.1", "sg-web");
    let create = "CreateNetworkInterface";
    bench
        .refused(
            create,
            &[("VSwitchId", "vsw-none"), group],
            404,
            "InvalidVSwitchId.NotFound",
        )
        .await;
    bench.refused(create, &[group], 400, "MissingVSwitchId").await;
    let vswitch = ("VSwitchId", "vsw-pod-h");
    bench
        .refused(create, &[vswitch], 400, "MissingSecurityGroupId")
        .await;
    bench
        .refused(
            create,
            &[vswitch, ("SecurityGroupId", "sg-none")],
            404,
            "InvalidSecurityGroupId.NotFound",
        )
        .await;
    bench
        .refused(
            create,
            &[vswitch, group, ("InstanceType", "Odd")],
            400,
            "InvalidParameter",
        )
        .await;
    bench
        .refused(
            create,
            &[vswitch, group, ("EnhancedNetwork.EnableRss", "true")],
            400,
            "UnsupportedParameter",
        )
        .await;
    bench
        .refused(
            create,
            &[vswitch, group, ("RegionId", "cn-beijing")],
            404,
            "InvalidRegionId.NotFound",
        )
        .await;
    let outside = ("PrimaryIpAddress", "10.0.32.9");
    bench
        .refused(
            create,
            &[vswitch, group, outside],
            403,
            "InvalidVSwitchId.IpInvalid",
        )
        .await;
    let reserved = ("PrimaryIpAddress", "10.0.19.253");
    bench
        .refused(
            create,
            &[vswitch, group, reserved],
            403,
            "InvalidVSwitchId.IpInvalid",
        )
        .await;
    bench.create(&[("PrimaryIpAddress", "10.0.16.77")]).await;
    let taken = ("PrimaryIpAddress", "10.0.16.77");
    bench
        .refused(create, &[vswitch, group, taken], 403, "InvalidIp.IpAssigned")
        .await;
}

#[tokio::test]
async fn too_many_groups_and_tags_are_refused() {
    let bench = Bench::start(quick_world()).await;
    let (group, vswitch) = (("SecurityGroupIds.1", "sg-web"), ("VSwitchId", "vsw-pod-h"));
    let create = "CreateNetworkInterface";
    let many: Vec<(String, &str)> = (1..=11)
        .map(|n| (format!("SecurityGroupIds.{n}"), "sg-web"))
        .collect();
    let mut parameters: Vec<(&str, &str)> = many.iter().map(|(name, id)| (name.as_str(), *id)).collect();
    parameters.push(vswitch);
    bench
        .refused(create, &parameters, 400, "InvalidParameter.SecurityGroupIds")
        .await;
    let many: Vec<(String, String)> = (1..=21)
        .map(|n| (format!("Tag.{n}.Key"), format!("k{n}")))
        .collect();
    let mut parameters: Vec<(&str, &str)> = many
        .iter()
        .map(|(name, key)| (name.as_str(), key.as_str()))
        .collect();
    parameters.extend([vswitch, group]);
    bench
        .refused(create, &parameters, 400, "InvalidParameter.TagsLimitExceeded")
        .await;
}

#[tokio::test]
async fn attachments_that_do_not_fit_are_refused_with_the_api_s_own_codes() {
    let bench = Bench::start(quick_world()).await;
    let (group, create) = (("SecurityGroupIds.1", "sg-web"), "CreateNetworkInterface");
    let far = [("VSwitchId", "vsw-pod-i"), group];
    let (_, answer) = bench.call(create, &far).await;
    let eni = answer["NetworkInterfaceId"].as_str().expect("an id").to_owned();
    let attach = "AttachNetworkInterface";
    let on_node = [("NetworkInterfaceId", eni.as_str()), ("InstanceId", "i-node1")];
    bench
        .refused(attach, &on_node, 403, "InvalidOperation.AvailabilityZoneMismatch")
        .await;
    let nowhere = [("NetworkInterfaceId", eni.as_str()), ("InstanceId", "i-none")];
    bench
        .refused(attach, &nowhere, 404, "InvalidEcsId.NotFound")
        .await;
    bench
        .refused(
            attach,
            &[("NetworkInterfaceId", eni.as_str())],
            400,
            "MissingInstanceId",
        )
        .await;
    let odd = [("NetworkInterfaceId", "nic-1"), ("InstanceId", "i-node1")];
    bench.refused(attach, &odd, 400, "InvalidParams.EniId").await;
    let near = bench.create(&[]).await;
    let no_trunk = [
        ("NetworkInterfaceId", near.as_str()),
        ("InstanceId", "i-node1"),
        ("TrunkNetworkInstanceId", "eni-node1"),
    ];
    bench
        .refused(attach, &no_trunk, 403, "InvalidOperation.InvalidEniType")
        .await;
    let primary = [("NetworkInterfaceId", "eni-node1"), ("InstanceId", "i-node1")];
    bench
        .refused(
            "DetachNetworkInterface",
            &primary,
            400,
            "InvalidOperation.DetachPrimaryEniNotAllowed",
        )
        .await;
    bench
        .refused("MakeCoffee", &[], 404, "InvalidAction.NotFound")
        .await;
}

#[tokio::test]
async fn a_vswitch_gives_out_each_usable_address_once_and_then_refuses() {
    let mut world = quick_world();
    let small = world
        .v_switches
        .iter_mut()
        .find(|v| v.id == "vsw-pod-h")
        .expect("it is there");
    small.cidr = "10.0.16.0/28".parse().expect("a cidr");
    let bench = Bench::start(world).await;
    let mut addresses = std::collections::BTreeSet::new();
    for _ in 0..10 {
        let eni = bench.create(&[]).await;
        let address = bench.describe(&eni).await["PrivateIpAddress"]
            .as_str()
            .expect("an address")
            .to_owned();
        assert!(addresses.insert(address));
    }
    assert!(
        addresses.contains("10.0.16.3") && addresses.contains("10.0.16.12"),
        "{addresses:?}"
    );
    let parameters = [("VSwitchId", "vsw-pod-h"), ("SecurityGroupIds.1", "sg-web")];
    bench
        .refused(
            "CreateNetworkInterface",
            &parameters,
            403,
            "InvalidVSwitchId.IpNotEnough",
        )
        .await;
    let vpc = Signer {
        version: "2016-04-28",
        ..Signer::default()
    };
    let (status, answer) = bench
        .call_as(&vpc, "DescribeVSwitches", &[("VSwitchId", "vsw-pod-h")])
        .await;
    assert_eq!(status, 200);
    assert_eq!(answer["VSwitches"]["VSwitch"][0]["AvailableIpAddressCount"], 0);
    let gone = bench.running.enis().pop().expect("an ENI").id;
    assert_eq!(
        bench
            .call("DeleteNetworkInterface", &[("NetworkInterfaceId", &gone)])
            .await
            .0,
        200
    );
    bench.create(&[]).await;
}

#[tokio::test]
async fn the_example_world_takes_the_time_that_the_benchmarks_count_on() {
    let bench = Bench::start(World::small()).await;
    let begun = Instant::now();
    let eni = bench.create(&[]).await;
    assert!(begun.elapsed() >= Duration::from_millis(250));
    let begun = Instant::now();
    let attach = [("NetworkInterfaceId", eni.as_str()), ("InstanceId", "i-node1")];
    assert_eq!(bench.call("AttachNetworkInterface", &attach).await.0, 200);
    assert!(begun.elapsed() >= Duration::from_millis(200));
    until(&bench, &eni, "InUse").await;
    assert!(begun.elapsed() >= Duration::from_millis(1700));
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}
