//! The record of a new pod: the request for the ENI of each network, and networks that are refused.

use terway_crds::names::tag;
use terway_crds::{AllocationType, AllocationTypeKind, EniOptions, EniType, Route};

use super::*;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn node() -> NodeFacts {
    NodeFacts {
        name: "node1".into(),
        zone: "h".into(),
        ..NodeFacts::default()
    }
}

fn network(kind: EniType) -> PodNetwork {
    PodNetwork {
        security_group_ids: vec!["sg".into()],
        eni_options: EniOptions { eni_type: kind },
        ..PodNetwork::default()
    }
}

fn vswitch(id: &str) -> Candidate {
    Candidate {
        id: id.into(),
        zone: "h".into(),
        cidrs: ["10.0.0.0/24".parse().unwrap()].into_iter().collect(),
        available: 9,
    }
}

fn built(networks: &[PodNetwork], chosen: &[Candidate]) -> Result<PodEni, BuildError> {
    let pod = PodFacts {
        namespace: "shop".into(),
        name: "db-0".into(),
        uid: "uid".into(),
        node: "node1".into(),
        ..PodFacts::default()
    };
    let settings = Settings {
        cluster_id: "c".into(),
        vpc_id: "vpc".into(),
        enable_trunk: true,
    };
    build(&pod, &node(), networks, chosen, &settings, NOW)
}

#[test]
fn each_network_has_its_allocation_and_the_whole_request_for_its_eni() {
    let second = PodNetwork {
        interface: "eth1".into(),
        default_route: true,
        extra_routes: vec![Route {
            dst: "10.9.0.0/16".into(),
        }],
        resource_group_id: "rg".into(),
        traffic_mode: "HighPerformance".into(),
        ..network(EniType::Trunk)
    };
    let networks = [network(EniType::Default), second.clone()];
    let record = built(&networks, &[vswitch("vsw-a"), vswitch("vsw-b")]).unwrap();
    let vswitches: Vec<_> = record
        .spec
        .allocations
        .iter()
        .map(|a| a.eni.vswitch_id.as_str())
        .collect();
    assert_eq!(vswitches, ["vsw-a", "vsw-b"]);
    let allocation = &record.spec.allocations[1];
    assert_eq!(
        (
            &allocation.interface,
            allocation.default_route,
            &allocation.extra_routes
        ),
        (&second.interface, true, &second.extra_routes)
    );
    assert_eq!(allocation.eni.attachment_options.trunk, Some(true));
    let creation = allocation.creation.as_ref().unwrap();
    assert_eq!(
        (creation.attempt, creation.started_at.clone()),
        (1, Some(Time(NOW)))
    );
    let parameters = &creation.parameters;
    assert_eq!(
        [
            &*parameters.vswitch_id,
            &*parameters.resource_group_id,
            &*parameters.traffic_mode
        ],
        ["vsw-b", "rg", "HighPerformance"]
    );
    assert_eq!(parameters.security_group_ids, ["sg"]);
    assert_eq!(parameters.tags[tag::CLUSTER], "c");
}

#[test]
fn an_eni_that_outlives_its_pod_outlives_the_instance_too() {
    for (kind, with_instance) in [
        (AllocationTypeKind::Elastic, true),
        (AllocationTypeKind::Fixed, false),
    ] {
        let network = PodNetwork {
            allocation_type: Some(AllocationType {
                kind: kind.clone(),
                ..AllocationType::default()
            }),
            ..network(EniType::Default)
        };
        let record = built(&[network], &[vswitch("vsw")]).unwrap();
        let creation = record.spec.allocations[0].creation.as_ref().unwrap();
        assert_eq!(creation.parameters.delete_on_release, with_instance, "{kind:?}");
    }
}

#[test]
fn networks_that_cannot_be_made_are_refused_by_their_number() {
    let groupless = PodNetwork {
        security_group_ids: Vec::new(),
        ..network(EniType::Default)
    };
    let one = [vswitch("vsw")];
    assert_eq!(built(&[], &[]), Err(BuildError::NoNetwork));
    assert_eq!(
        built(&[network(EniType::Default)], &[]),
        Err(BuildError::NoNetwork)
    );
    assert_eq!(
        built(&[groupless], &one),
        Err(BuildError::NoSecurityGroup { index: 0 })
    );
    let whole = built(&[network(EniType::Eni)], &one).unwrap_err().to_string();
    assert!(
        whole.contains("network 0") && whole.contains("eniType ENI"),
        "{whole}"
    );
}
