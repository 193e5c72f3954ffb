//! What a Kubernetes node is told.

use terway_crds::node::{Flavor, Nic, NicStatus, NodeEni};
use terway_crds::{EniKind, TrafficMode};

use super::*;

fn with_trunk(status: NicStatus) -> TerwayNode {
    let mut record = record();
    let nic = Nic {
        id: "trunk-1".into(),
        kind: Some(EniKind::Trunk),
        status,
        ..Nic::default()
    };
    let nics = &mut record.status.get_or_insert_default().network_interfaces;
    nics.insert("trunk-1".into(), nic);
    record
}

/// A node that says what its Node object with the trunk says.
fn told() -> NodeFacts {
    NodeFacts {
        trunk_on: Some("trunk-1".into()),
        max_member_annotation: Some("14".into()),
        member_capacity: Some("14".into()),
        member_allocatable: Some("14".into()),
        ..facts()
    }
}

#[test]
fn nothing_is_published_before_the_trunk_is_in_use() {
    assert!(plan_publication(&facts(), &record()).is_empty());
    for status in [NicStatus::Attaching, NicStatus::Detaching, NicStatus::Deleting] {
        let record = with_trunk(status);
        assert!(
            plan_publication(&facts(), &record).is_empty(),
            "{:?}",
            record.status
        );
    }
    let wanted = plan_publication(&facts(), &with_trunk(NicStatus::InUse));
    let annotated = |name| wanted.annotations[name].as_deref();
    assert_eq!(annotated("k8s.aliyun.com/trunk-on"), Some("trunk-1"));
    assert_eq!(annotated("k8s.aliyun.com/max-member-eni-ip"), Some("14"));
    assert_eq!(wanted.resources["aliyun/member-eni"], "14");
}

#[test]
fn each_thing_that_a_node_says_wrongly_is_repaired_alone() {
    let record = with_trunk(NicStatus::InUse);
    assert!(plan_publication(&told(), &record).is_empty());
    let zero = || Some("0".to_owned());
    type Change = fn(&mut NodeFacts, Option<String>);
    let cases: [(Change, &str, bool); 4] = [
        (|n, v| n.trunk_on = v, "k8s.aliyun.com/trunk-on", true),
        (
            |n, v| n.max_member_annotation = v,
            "k8s.aliyun.com/max-member-eni-ip",
            true,
        ),
        (|n, v| n.member_capacity = v, "aliyun/member-eni", false),
        (|n, v| n.member_allocatable = v, "aliyun/member-eni", false),
    ];
    for (change, name, is_annotation) in cases {
        for value in [None, zero()] {
            let mut node = told();
            change(&mut node, value);
            let repair = plan_publication(&node, &record);
            let annotations: Vec<&str> = repair.annotations.keys().copied().collect();
            let resources: Vec<&str> = repair.resources.keys().copied().collect();
            let expected = (vec![name], vec![]);
            match is_annotation {
                true => assert_eq!((annotations, resources), expected),
                false => assert_eq!((resources, annotations), expected),
            }
        }
    }
}

#[test]
fn addresses_are_published_once_the_spec_is_worked_out() {
    let mut record = record();
    let flavor = |kind, count| Flavor {
        kind,
        traffic_mode: TrafficMode::Standard,
        count,
    };
    record.spec.flavor = vec![flavor(EniKind::Trunk, 1), flavor(EniKind::Secondary, 2)];
    assert!(plan_publication(&facts(), &record).is_empty());
    record.spec.eni = Some(NodeEni::default());
    let wanted = plan_publication(&facts(), &record);
    assert_eq!(
        wanted.annotations["k8s.aliyun.com/max-available-ip"].as_deref(),
        Some("45")
    );
    assert!(wanted.resources.is_empty());
    let mut whole = NodeFacts {
        eni_only: true,
        ..facts()
    };
    assert!(
        plan_publication(&whole, &record).is_empty(),
        "no agent serves whole ENIs"
    );
    whole.eni_capacity = Some("3".into());
    let withdrawn = plan_publication(&whole, &record);
    assert_eq!(
        withdrawn.resources["aliyun/eni"], "0",
        "what another version advertised is taken back"
    );
}

#[test]
fn a_trunk_that_is_gone_is_withdrawn_with_its_members() {
    let mut record = with_trunk(NicStatus::Detaching);
    assert!(
        plan_publication(&told(), &record).is_empty(),
        "a record that was never compared does not show what is there"
    );
    let time = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(Timestamp::UNIX_EPOCH);
    record.status.as_mut().unwrap().last_sync_openapi_time = Some(time);
    let withdrawn = plan_publication(&told(), &record);
    assert_eq!(withdrawn.annotations["k8s.aliyun.com/trunk-on"], None);
    assert_eq!(withdrawn.annotations["k8s.aliyun.com/max-member-eni-ip"], None);
    assert_eq!(withdrawn.resources["aliyun/member-eni"], "0");
    let told_so = NodeFacts {
        member_capacity: Some("0".into()),
        member_allocatable: Some("0".into()),
        ..facts()
    };
    assert!(plan_publication(&told_so, &record).is_empty());
    assert!(
        plan_publication(&facts(), &record).is_empty(),
        "nothing was ever said"
    );
}

/// Another version advertised whole ENIs while the node had the label.
#[test]
fn whole_enis_are_withdrawn_also_when_the_label_is_gone() {
    let node = NodeFacts {
        eni_capacity: Some("3".into()),
        eni_allocatable: Some("3".into()),
        ..facts()
    };
    assert_eq!(plan_publication(&node, &record()).resources["aliyun/eni"], "0");
}

#[test]
fn a_node_of_whole_enis_does_not_promise_addresses() {
    let mut record = record();
    record.spec.eni = Some(NodeEni::default());
    let node = NodeFacts {
        eni_only: true,
        max_ip_annotation: Some("45".into()),
        ..facts()
    };
    let withdrawn = plan_publication(&node, &record);
    assert_eq!(withdrawn.annotations["k8s.aliyun.com/max-available-ip"], None);
}

#[test]
fn a_node_that_cannot_serve_says_why() {
    let spec = |adapters, ipv4_per_adapter| {
        let mut spec = record().spec;
        spec.node_metadata.instance_type = "ecs.tiny".into();
        spec.node_cap.adapters = adapters;
        spec.node_cap.ipv4_per_adapter = ipv4_per_adapter;
        spec
    };
    for (adapters, per_eni, words) in [
        (3, 6, None),
        (2, 12, None),
        (2, 11, Some("11 addresses")),
        (0, 11, Some("0 addresses")),
    ] {
        let statement = large_enough(&facts(), &spec(adapters, per_eni));
        assert_eq!((statement.kind, statement.holds), (LARGE_ENOUGH, words.is_none()));
        let named = |words| statement.message.contains("ecs.tiny") && statement.message.contains(words);
        assert!(words.is_none_or(named), "{}", statement.message);
    }
    let whole = NodeFacts {
        eni_only: true,
        ..facts()
    };
    let statement = large_enough(&whole, &spec(8, 50));
    assert_eq!((statement.holds, statement.reason), (false, "NotServed"));
    let unknown = unknown_instance_type("ecs.new");
    assert!(!unknown.holds && unknown.message.contains("ecs.new"));
}
