//! Listings over HTTP: both styles of paging, filters, and sizes of pages.

use std::collections::BTreeSet;

use crate::bench::{Bench, quick_world};
use cloudsim::World;
use cloudsim::world::PresetEni;
use serde_json::Value;

const LIST: &str = "DescribeNetworkInterfaces";

fn ids(answer: &Value) -> Vec<String> {
    let set = answer["NetworkInterfaceSets"]["NetworkInterfaceSet"]
        .as_array()
        .expect("a list");
    set.iter()
        .map(|eni| eni["NetworkInterfaceId"].as_str().expect("an id").to_owned())
        .collect()
}

fn crowded(count: u32) -> World {
    let mut world = quick_world();
    world.network_interfaces.push(PresetEni {
        count,
        v_switch: "vsw-pod-h".into(),
        security_groups: vec!["sg-web".into()],
        tags: [("creator".to_owned(), "test".to_owned())].into(),
    });
    world
}

#[tokio::test]
async fn a_token_walk_sees_every_eni_once_though_others_come_and_go() {
    let bench = Bench::start(crowded(95)).await;
    let (mut seen, mut token) = (Vec::new(), String::new());
    loop {
        let (status, answer) = bench
            .call(LIST, &[("MaxResults", "10"), ("NextToken", &token)])
            .await;
        assert_eq!(status, 200, "{answer}");
        let page = ids(&answer);
        assert!(page.len() <= 10);
        // A listed ENI goes and a new one comes. Neither may shift the pages.
        if seen.len() == 30 {
            assert_eq!(
                bench
                    .call("DeleteNetworkInterface", &[("NetworkInterfaceId", &page[0])])
                    .await
                    .0,
                200
            );
            bench.create(&[]).await;
        }
        seen.extend(page);
        token = answer["NextToken"].as_str().expect("a token").to_owned();
        if token.is_empty() {
            break;
        }
    }
    let distinct: BTreeSet<_> = seen.iter().collect();
    assert_eq!((seen.len(), distinct.len()), (99, 99));
    bench
        .refused(LIST, &[("NextToken", "odd")], 400, "InvalidParameter.NextToken")
        .await;
    // A size beyond the limits is moved to the nearer limit.
    let (_, answer) = bench.call(LIST, &[("MaxResults", "9")]).await;
    assert_eq!((ids(&answer).len(), answer["PageSize"].as_u64()), (10, Some(10)));
    let (_, answer) = bench.call(LIST, &[("MaxResults", "501")]).await;
    assert_eq!(answer["PageSize"], 500);
}

#[tokio::test]
async fn a_page_holds_ten_unless_more_is_asked_for_also_with_ids() {
    let bench = Bench::start(crowded(101)).await;
    let all: Vec<String> = bench
        .running
        .enis()
        .iter()
        .map(|eni| eni.id.to_string())
        .collect();
    let named: Vec<(String, &String)> = all
        .iter()
        .enumerate()
        .map(|(n, id)| (format!("NetworkInterfaceId.{}", n + 1), id))
        .collect();
    let parameters: Vec<(&str, &str)> = named
        .iter()
        .map(|(name, id)| (name.as_str(), id.as_str()))
        .collect();
    bench
        .refused(LIST, &parameters[..101], 400, "InvalidParameter")
        .await;
    let (_, answer) = bench.call(LIST, &parameters[..100]).await;
    assert_eq!(ids(&answer).len(), 10);
    let mut wide = parameters[..100].to_vec();
    wide.push(("MaxResults", "100"));
    let (_, answer) = bench.call(LIST, &wide).await;
    assert_eq!(
        (ids(&answer).len(), answer["NextToken"].as_str()),
        (100, Some(""))
    );

    let (_, answer) = bench
        .call(
            LIST,
            &[("PageNumber", "2"), ("PageSize", "50"), ("Tag.1.Key", "creator")],
        )
        .await;
    assert_eq!(
        (ids(&answer).len(), answer["TotalCount"].as_u64()),
        (50, Some(101))
    );
    let (_, answer) = bench
        .call(
            LIST,
            &[("PageNumber", "4"), ("PageSize", "50"), ("Tag.1.Key", "creator")],
        )
        .await;
    assert_eq!(ids(&answer).len(), 0);
}

#[tokio::test]
async fn every_filter_narrows() {
    let bench = Bench::start(crowded(3)).await;
    let trunk = bench
        .create(&[
            ("InstanceType", "Trunk"),
            ("Tag.1.Key", "role"),
            ("Tag.1.Value", "trunk"),
        ])
        .await;
    let attach = [("NetworkInterfaceId", trunk.as_str()), ("InstanceId", "i-node2")];
    assert_eq!(bench.call("AttachNetworkInterface", &attach).await.0, 200);
    let address = bench.describe(&trunk).await["PrivateIpAddress"]
        .as_str()
        .expect("an address")
        .to_owned();
    for (filters, count) in [
        (vec![("InstanceId", "i-node2")], 2),
        (vec![("InstanceId", "i-node2"), ("Type", "Trunk")], 1),
        (vec![("Type", "Primary")], 3),
        (vec![("Status", "InUse")], 4),
        (vec![("Status", "Available"), ("VSwitchId", "vsw-pod-h")], 3),
        (vec![("VSwitchId", "vsw-db-h")], 0),
        (vec![("VpcId", "vpc-lab")], 7),
        (vec![("VpcId", "vpc-other")], 0),
        (vec![("SecurityGroupId", "sg-node")], 3),
        (vec![("PrivateIpAddress.1", address.as_str())], 1),
        (
            vec![
                ("PrivateIpAddress.1", "10.0.0.11"),
                ("PrivateIpAddress.2", "10.0.0.12"),
            ],
            2,
        ),
        (vec![("Tag.1.Key", "creator"), ("Tag.1.Value", "test")], 3),
        (vec![("Tag.1.Key", "role")], 1),
        (vec![("Tag.1.Key", "role"), ("Tag.1.Value", "other")], 0),
        (vec![("NetworkInterfaceId.1", "eni-none")], 0),
    ] {
        let (_, answer) = bench.call(LIST, &filters).await;
        assert_eq!(ids(&answer).len(), count, "{filters:?}");
    }
}

#[tokio::test]
async fn other_listings_show_the_world() {
    let bench = Bench::start(quick_world()).await;
    let (_, answer) = bench
        .call("DescribeInstanceTypes", &[("InstanceTypes.1", "ecs.g7.2xlarge")])
        .await;
    let kind = &answer["InstanceTypes"]["InstanceType"][0];
    assert_eq!(
        (kind["EniQuantity"].as_u64(), kind["EniTotalQuantity"].as_u64()),
        (Some(4), Some(18))
    );
    assert_eq!(kind["EniTrunkSupported"], true);
    let (_, answer) = bench
        .call(
            "DescribeInstances",
            &[("InstanceIds", r#"["i-node1","i-node2"]"#)],
        )
        .await;
    assert_eq!(answer["TotalCount"], 2);
    assert_eq!(
        answer["Instances"]["Instance"][0]["VpcAttributes"]["VSwitchId"],
        "vsw-node-h"
    );
    let (_, answer) = bench
        .call("DescribeSecurityGroups", &[("SecurityGroupId", "sg-db")])
        .await;
    assert_eq!(answer["SecurityGroups"]["SecurityGroup"][0]["VpcId"], "vpc-lab");
    let (_, answer) = bench
        .call("DescribeVSwitches", &[("PageSize", "2"), ("PageNumber", "3")])
        .await;
    assert_eq!(answer["VSwitches"]["VSwitch"].as_array().map(Vec::len), Some(1));
    let (_, answer) = bench
        .call("DescribeVSwitches", &[("VSwitchId", "vsw-none")])
        .await;
    assert_eq!(answer["TotalCount"], 0);
    let (_, answer) = bench.call("DescribeVpcs", &[]).await;
    assert_eq!(answer["Vpcs"]["Vpc"][0]["CidrBlock"], "10.0.0.0/16");
    let vswitches = &answer["Vpcs"]["Vpc"][0]["VSwitchIds"]["VSwitchId"];
    assert_eq!(vswitches.as_array().map(Vec::len), Some(5));
}
