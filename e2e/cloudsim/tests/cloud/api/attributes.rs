//! The attributes of an ENI, a group and a vSwitch, ModifyNetworkInterfaceAttribute, and tags.

use std::collections::BTreeSet;

use crate::bench::{Bench, quick_world};
use serde_json::{Value, json};

const MODIFY: &str = "ModifyNetworkInterfaceAttribute";
const TAG: &str = "TagResources";
const UNTAG: &str = "UntagResources";
const LIST_TAGS: &str = "ListTagResources";

#[tokio::test]
async fn an_eni_s_name_groups_and_flags_change_at_once_and_the_rest_stays() {
    let bench = Bench::start(quick_world()).await;
    let eni = bench
        .create(&[("Description", "as it was"), ("NetworkInterfaceName", "one")])
        .await;
    let id = ("NetworkInterfaceId", eni.as_str());
    let change = [
        id,
        ("NetworkInterfaceName", "two"),
        ("SecurityGroupId.1", "sg-db"),
        ("SecurityGroupId.2", "sg-node"),
        ("DeleteOnRelease", "true"),
        ("QueueNumber", "4"),
    ];
    assert_eq!(bench.call(MODIFY, &change).await.0, 200);
    let seen = bench.describe(&eni).await;
    assert_eq!(seen["NetworkInterfaceName"], "two");
    assert_eq!(seen["Description"], "as it was");
    assert_eq!(
        seen["SecurityGroupIds"]["SecurityGroupId"],
        json!(["sg-db", "sg-node"])
    );
    assert_eq!(
        (&seen["DeleteOnRelease"], &seen["QueueNumber"]),
        (&json!(true), &json!(4))
    );
    assert_eq!(seen["SourceDestCheck"], false);
    // The documentation writes the list in this form.
    let array = [id, ("SecurityGroupId", r#"["sg-web"]"#)];
    assert_eq!(bench.call(MODIFY, &array).await.0, 200);
    let seen = bench.describe(&eni).await;
    assert_eq!(seen["SecurityGroupIds"]["SecurityGroupId"], json!(["sg-web"]));

    for (more, status, code) in [
        (
            ("SecurityGroupId.1", "sg-none"),
            404,
            "InvalidSecurityGroupId.NotFound",
        ),
        (("NetworkInterfaceName", "1"), 400, "InvalidParameter"),
        (("Description", "http://x"), 400, "InvalidParameter"),
        (("DeleteOnRelease", "perhaps"), 400, "InvalidParameter"),
        (
            ("NetworkInterfaceTrafficConfig.QueueNumber", "8"),
            400,
            "UnsupportedParameter",
        ),
    ] {
        bench.refused(MODIFY, &[id, more], status, code).await;
    }
    let primary = [
        ("NetworkInterfaceId", "eni-node1"),
        ("SecurityGroupId.1", "sg-web"),
    ];
    bench
        .refused(MODIFY, &primary, 403, "InvalidOperation.InvalidEniType")
        .await;
    bench.refused(MODIFY, &[], 400, "MissingNetworkInterfaceId").await;
    let attach = [id, ("InstanceId", "i-node1")];
    assert_eq!(bench.call("AttachNetworkInterface", &attach).await.0, 200);
    bench
        .refused(
            MODIFY,
            &[id, ("QueueNumber", "8")],
            400,
            "InvalidOperation.InvalidEniState",
        )
        .await;
}

#[tokio::test]
async fn a_trunk_s_attribute_shows_its_members() {
    let bench = Bench::start(quick_world()).await;
    let trunk = bench.create(&[("InstanceType", "Trunk")]).await;
    let attach = [("NetworkInterfaceId", trunk.as_str()), ("InstanceId", "i-node1")];
    assert_eq!(bench.call("AttachNetworkInterface", &attach).await.0, 200);
    let member = bench.create(&[]).await;
    let attach = [
        ("NetworkInterfaceId", member.as_str()),
        ("InstanceId", "i-node1"),
        ("TrunkNetworkInstanceId", trunk.as_str()),
    ];
    assert_eq!(bench.call("AttachNetworkInterface", &attach).await.0, 200);
    let attribute = "DescribeNetworkInterfaceAttribute";
    let (status, answer) = bench
        .call(
            attribute,
            &[("NetworkInterfaceId", &trunk), ("Attribute", "attachment")],
        )
        .await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(
        (&answer["Type"], &answer["Status"]),
        (&json!("Trunk"), &json!("InUse"))
    );
    assert_eq!(
        answer["Attachment"]["MemberNetworkInterfaceIds"],
        json!({"MemberNetworkInterfaceId": [member]})
    );
    let nobody = [("NetworkInterfaceId", "eni-none")];
    bench
        .refused(attribute, &nobody, 404, "InvalidEniId.NotFound")
        .await;
    // An instance takes one trunk.
    let second = bench.create(&[("InstanceType", "Trunk")]).await;
    let attach = [("NetworkInterfaceId", second.as_str()), ("InstanceId", "i-node1")];
    bench
        .refused(
            "AttachNetworkInterface",
            &attach,
            403,
            "EniPerInstanceLimitExceeded",
        )
        .await;
}

#[tokio::test]
async fn a_group_s_attribute_shows_its_rules() {
    let bench = Bench::start(quick_world()).await;
    let attribute = "DescribeSecurityGroupAttribute";
    let (status, answer) = bench.call(attribute, &[("SecurityGroupId", "sg-db")]).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(
        (&answer["VpcId"], &answer["InnerAccessPolicy"]),
        (&json!("vpc-lab"), &json!("Accept"))
    );
    let rules = answer["Permissions"]["Permission"].as_array().expect("rules");
    assert_eq!(rules.len(), 3);
    assert_eq!(
        (&rules[0]["IpProtocol"], &rules[0]["PortRange"]),
        (&json!("TCP"), &json!("5432/5432"))
    );
    assert_eq!(
        (&rules[0]["SourceGroupId"], &rules[0]["SourceCidrIp"]),
        (&json!("sg-web"), &json!(""))
    );
    assert_eq!(
        (&rules[2]["SourceCidrIp"], &rules[2]["Direction"]),
        (&json!("10.0.0.0/24"), &json!("ingress"))
    );
    let egress = [("SecurityGroupId", "sg-db"), ("Direction", "egress")];
    let (_, answer) = bench.call(attribute, &egress).await;
    assert_eq!(answer["Permissions"]["Permission"], json!([]));
    let nobody = [("SecurityGroupId", "sg-none")];
    bench
        .refused(attribute, &nobody, 404, "InvalidSecurityGroupId.NotFound")
        .await;
}

fn rows(answer: &Value) -> Vec<(String, String, String)> {
    let text = |row: &Value, name: &str| row[name].as_str().expect("a text").to_owned();
    let list = answer["TagResources"]["TagResource"].as_array().expect("rows");
    list.iter()
        .map(|row| {
            (
                text(row, "ResourceId"),
                text(row, "TagKey"),
                text(row, "TagValue"),
            )
        })
        .collect()
}

#[tokio::test]
async fn tags_are_put_on_found_and_taken_off() {
    let bench = Bench::start(quick_world()).await;
    let (one, two) = (
        bench.create(&[("Tag.1.Key", "old")]).await,
        bench.create(&[]).await,
    );
    let put = [
        ("ResourceType", "eni"),
        ("ResourceId.1", one.as_str()),
        ("ResourceId.2", two.as_str()),
        ("Tag.1.Key", "owner"),
        ("Tag.1.Value", "me"),
    ];
    assert_eq!(bench.call(TAG, &put).await.0, 200);
    let (_, found) = bench
        .call(
            "DescribeNetworkInterfaces",
            &[("Tag.1.Key", "owner"), ("Tag.1.Value", "me")],
        )
        .await;
    let found = &found["NetworkInterfaceSets"]["NetworkInterfaceSet"];
    assert_eq!(found.as_array().map(Vec::len), Some(2));
    let by_tag = [("ResourceType", "eni"), ("Tag", r#"[{"Key": "owner"}]"#)];
    let (_, answer) = bench.call(LIST_TAGS, &by_tag).await;
    let row = |id: &str, key: &str, value: &str| (id.to_owned(), key.to_owned(), value.to_owned());
    assert_eq!(
        rows(&answer),
        [row(&one, "owner", "me"), row(&two, "owner", "me")]
    );
    let by_id = [("ResourceType", "eni"), ("ResourceId.1", one.as_str())];
    let (_, answer) = bench.call(LIST_TAGS, &by_id).await;
    assert_eq!(rows(&answer), [row(&one, "old", ""), row(&one, "owner", "me")]);

    let off = [by_id[0], by_id[1], ("TagKey.1", "old")];
    assert_eq!(bench.call(UNTAG, &off).await.0, 200);
    let (_, answer) = bench.call(LIST_TAGS, &by_id).await;
    assert_eq!(rows(&answer), [row(&one, "owner", "me")]);
    assert_eq!(
        bench.call(UNTAG, &[by_id[0], by_id[1], ("All", "true")]).await.0,
        200
    );
    assert_eq!(rows(&bench.call(LIST_TAGS, &by_id).await.1), []);

    let instance = [
        ("ResourceType", "instance"),
        ("ResourceId.1", "i-node2"),
        ("Tag.1.Key", "role"),
        ("Tag.1.Value", "worker"),
    ];
    assert_eq!(bench.call(TAG, &instance).await.0, 200);
    let by_tag = [("ResourceType", "instance"), ("Tag.1.Key", "role")];
    let (_, answer) = bench.call(LIST_TAGS, &by_tag).await;
    assert_eq!(rows(&answer), [row("i-node2", "role", "worker")]);
    let (_, answer) = bench.call("DescribeInstances", &[("Tag.1.Key", "role")]).await;
    assert_eq!(answer["TotalCount"], 1);
}

#[tokio::test]
async fn tags_that_cannot_be_are_refused_and_nothing_is_tagged() {
    let bench = Bench::start(quick_world()).await;
    let eni = bench.create(&[("Tag.1.Key", "a")]).await;
    let (kind, id) = (("ResourceType", "eni"), ("ResourceId.1", eni.as_str()));
    let tag = ("Tag.1.Key", "b");
    for (parameters, status, code) in [
        (vec![id, tag], 404, "MissingParameter.ResourceType"),
        (
            vec![("ResourceType", "moon"), id, tag],
            404,
            "InvalidResourceType.NotFound",
        ),
        (vec![kind, tag], 404, "MissingParameter.ResourceIds"),
        (vec![kind, id], 404, "MissingParameter.Tags"),
        (
            vec![kind, id, ("ResourceId.2", "eni-none"), tag],
            404,
            "InvalidResourceId.NotFound",
        ),
        (vec![kind, id, tag, ("Tag.2.Key", "b")], 400, "Duplicate.TagKey"),
        (
            vec![kind, id, ("Tag.1.Key", "acs:x")],
            400,
            "InvalidTagKey.Malformed",
        ),
        (
            vec![kind, id, tag, ("Tag.1.Value", "http://x")],
            400,
            "InvalidTagValue.Malformed",
        ),
    ] {
        bench.refused(TAG, &parameters, status, code).await;
    }
    let keys: Vec<(String, String)> = (1..=21)
        .map(|n| (format!("Tag.{n}.Key"), format!("k{n}")))
        .collect();
    for (count, code) in [(21, "NumberExceed.Tags"), (20, "OperationDenied.QuotaExceed")] {
        let mut parameters = vec![kind, id];
        parameters.extend(
            keys[..count]
                .iter()
                .map(|(name, key)| (name.as_str(), key.as_str())),
        );
        bench.refused(TAG, &parameters, 400, code).await;
    }
    let (_, answer) = bench.call(LIST_TAGS, &[kind, id]).await;
    assert_eq!(rows(&answer).len(), 1);
    bench
        .refused(LIST_TAGS, &[kind], 404, "MissingParameter.Tags")
        .await;
}

#[tokio::test]
async fn listed_tags_come_in_pages_without_loss() {
    let bench = Bench::start(quick_world()).await;
    let mut made = BTreeSet::new();
    for _ in 0..120 {
        made.insert(
            bench
                .create(&[("Tag.1.Key", "page"), ("Tag.2.Key", "other")])
                .await,
        );
    }
    let (mut seen, mut token) = (BTreeSet::new(), String::new());
    let mut pages = 0;
    loop {
        let parameters = [
            ("ResourceType", "eni"),
            ("Tag.1.Key", "page"),
            ("NextToken", token.as_str()),
        ];
        let (_, answer) = bench.call(LIST_TAGS, &parameters).await;
        for (id, key, _) in rows(&answer) {
            assert_eq!(key, "page");
            assert!(seen.insert(id));
        }
        pages += 1;
        token = answer["NextToken"].as_str().expect("a token").to_owned();
        if token.is_empty() {
            break;
        }
    }
    assert_eq!((seen, pages), (made, 3));
}
