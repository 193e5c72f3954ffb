//! Nodes: who they are, their limits, and what is published about them.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use serde_json::json;
use terway_crds::TerwayNode;

use super::*;
use crate::cloud::InstanceTypeLimits;

mod publish;
mod release;

fn limits() -> InstanceTypeLimits {
    InstanceTypeLimits {
        instance_type: "ecs.g7.2xlarge".into(),
        eni_quantity: 4,
        eni_total_quantity: 18,
        private_ips_per_eni: 15,
        ipv6_per_eni: 15,
        trunk_supported: true,
        eri_quantity: 0,
        network_cards: 1,
    }
}

fn facts() -> NodeFacts {
    let node: Node = serde_json::from_value(json!({
        "metadata": {"name": "node1", "uid": "u", "resourceVersion": "7", "labels": {
            "topology.kubernetes.io/region": "cn-hangzhou",
            "topology.kubernetes.io/zone": "cn-hangzhou-h",
            "node.kubernetes.io/instance-type": "ecs.g7.2xlarge",
        }},
        "spec": {"providerID": "cn-hangzhou.i-1"},
    }))
    .unwrap();
    NodeFacts::from_node(&node, &Default::default())
}

fn record() -> TerwayNode {
    let mut record = TerwayNode::default();
    record.spec.node_metadata.instance_id = "i-1".into();
    record.spec.node_cap = node_cap(&limits());
    record
}

#[test]
fn a_node_says_who_it_is() {
    let facts = facts();
    assert_eq!(
        (facts.instance_id.as_str(), facts.zone.as_str(), facts.version),
        ("i-1", "cn-hangzhou-h", 7)
    );
    assert!(facts.is_managed(&Default::default()));
    let white_list = [("pool".to_owned(), "a".to_owned())].into();
    assert!(!facts.is_managed(&white_list));
    assert!(
        !NodeFacts {
            ignored: true,
            ..facts
        }
        .is_managed(&Default::default())
    );
}

#[test]
fn capacities_follow_from_the_instance_type() {
    let cap = node_cap(&limits());
    assert_eq!(
        (
            cap.adapters,
            cap.member_adapter_limit,
            cap.max_member_adapter_limit
        ),
        (4, 14, 16)
    );
    let without = InstanceTypeLimits {
        trunk_supported: false,
        ..limits()
    };
    assert_eq!(node_cap(&without).member_adapter_limit, 0);
}

#[test]
fn the_spec_is_written_once() {
    let mut record = TerwayNode::default();
    assert_eq!(
        plan_spec(&facts(), &record, None),
        NodeSpecPlan::NeedsLimits("ecs.g7.2xlarge".into())
    );
    let NodeSpecPlan::Write(spec) = plan_spec(&facts(), &record, Some(&limits())) else {
        panic!("no write")
    };
    record.spec = *spec;
    assert_eq!(
        plan_spec(&facts(), &record, Some(&limits())),
        NodeSpecPlan::Unchanged
    );
}

#[test]
fn the_condition_is_said_again_after_five_minutes_and_not_by_all_nodes_at_once() {
    let now = Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_secs(1_000);
    let said = |ago: i64| {
        Some(SufficientIp {
            holds: true,
            heartbeat: Some(now - jiff::SignedDuration::from_secs(ago)),
        })
    };
    let due = |known, holds, seed| heartbeat_due(known, holds, now, seed).as_secs();
    assert_eq!(due(None, true, 0), 0);
    assert_eq!(due(said(1), false, 0), 0, "it says otherwise");
    assert_eq!(due(said(100), true, 0), 200);
    assert_eq!(due(said(299), true, 30_000), 31);
    assert_eq!(due(said(400), true, 59_999), 0);
}

#[test]
fn the_node_is_told_along_with_the_rest_whether_it_has_addresses() {
    let now = Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_secs(1_000);
    let said = |known: Option<bool>, holds| {
        let mut publication = Publication::default();
        let heartbeat = Some(now);
        let node = NodeFacts {
            sufficient_ip: known.map(|holds| SufficientIp { holds, heartbeat }),
            ..facts()
        };
        let left = publication.say_sufficient(&node, holds, now, 0);
        (left.as_secs(), publication.sufficiency)
    };
    let turns = |holds| Some(Sufficiency { holds, turns: true });
    assert_eq!(said(None, true), (0, turns(true)));
    assert_eq!(said(Some(true), false), (0, turns(false)));
    assert_eq!(said(Some(true), true), (300, None));
}

#[test]
fn a_node_that_should_be_managed_and_is_not_says_what_it_lacks() {
    let none = Default::default();
    assert_eq!(facts().why_unmanaged(&none), None);
    let without = |change: fn(&mut NodeFacts)| {
        let mut node = facts();
        change(&mut node);
        assert!(!node.is_managed(&none));
        node.why_unmanaged(&none)
    };
    let region = without(|node| node.region.clear()).unwrap();
    assert!(
        region.contains("topology.kubernetes.io/region") && region.contains("node1"),
        "{region}"
    );
    let instance = without(|node| node.instance_id.clear()).unwrap();
    assert!(instance.contains("providerID"), "{instance}");
    for left_alone in [
        without(|node| (node.ignored, node.region) = (true, String::new())),
        without(|node| (node.lingjun, node.region) = (true, String::new())),
    ] {
        assert_eq!(left_alone, None);
    }
    let white_list = [("pool".to_owned(), "a".to_owned())].into();
    assert_eq!(
        facts().why_unmanaged(&white_list),
        None,
        "the settings exclude it"
    );
}

#[test]
fn no_number_of_the_cloud_fills_the_record_of_a_node() {
    for number in [i32::MIN, -1, 0, 1, i32::MAX] {
        let odd = InstanceTypeLimits {
            eni_quantity: number,
            eni_total_quantity: i32::MAX.wrapping_sub(number),
            private_ips_per_eni: number,
            network_cards: number,
            ..limits()
        };
        let cap = node_cap(&odd);
        assert!((1..=64).contains(&cap.network_cards.len()), "{number}");
        assert!(cap.member_adapter_limit >= 0 && cap.max_member_adapter_limit >= 0);
        let mut record = record();
        record.spec.node_cap = cap;
        // Both only have to come to an end.
        large_enough(&facts(), &record.spec);
        max_available_ip(&record.spec);
    }
}
