//! The pod controller's decisions, one by one; the life of a record as a whole is in tests/life.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use terway_crds::names::{annotation, label};
use terway_crds::{AllocationTypeKind, Phase, PodEni, PodEniStatus, PodNetwork};

use super::*;
use crate::node::NodeFacts;
use crate::vswitch::Candidate;

fn pod(uid: &str) -> PodFacts {
    PodFacts {
        namespace: "ns".into(),
        name: "db-0".into(),
        uid: uid.into(),
        node: "node1".into(),
        wants_pod_eni: true,
        fixed_name: true,
        ..PodFacts::default()
    }
}

fn node() -> NodeFacts {
    NodeFacts {
        name: "node1".into(),
        zone: "h".into(),
        ..NodeFacts::default()
    }
}

fn network() -> PodNetwork {
    PodNetwork {
        security_group_ids: vec!["sg".into()],
        ..PodNetwork::default()
    }
}

fn vswitch() -> Candidate {
    Candidate {
        id: "vsw".into(),
        zone: "h".into(),
        cidrs: ["10.0.0.0/24".parse().unwrap()].into_iter().collect(),
        available: 1,
    }
}

fn settings() -> Settings {
    Settings {
        cluster_id: "c".into(),
        vpc_id: "v".into(),
        enable_trunk: true,
    }
}

/// A record for pod `old` in a phase; it has its ENI.
fn record(fixed: bool, phase: Phase) -> PodEni {
    let mut record = build(
        &pod("old"),
        &node(),
        &[network()],
        &[vswitch()],
        &settings(),
        Timestamp::UNIX_EPOCH,
    )
    .unwrap();
    record.spec.allocations[0].eni.id = "eni-1".into();
    if fixed {
        record.spec.allocations[0].allocation_type.kind = AllocationTypeKind::Fixed;
    }
    record.status = Some(PodEniStatus {
        phase,
        ..PodEniStatus::default()
    });
    record
}

fn planned(pod: Option<PodFacts>, record: Option<PodEni>) -> Action {
    plan(pod.as_ref(), record.as_ref(), Some(&node()))
}

#[test]
fn a_scheduled_pod_that_wants_enis_gets_a_record() {
    assert_eq!(planned(Some(pod("new")), None), Action::Create);
    let unscheduled = PodFacts {
        node: String::new(),
        ..pod("new")
    };
    assert_eq!(
        planned(Some(unscheduled), None),
        Action::Nothing(Idle::NotScheduled)
    );
    assert_eq!(
        plan(Some(&pod("new")), None, None),
        Action::Nothing(Idle::NodeUnknown)
    );
}

#[test]
fn pods_that_want_none_or_run_no_more_get_none() {
    for pod in [
        PodFacts {
            wants_pod_eni: false,
            ..pod("new")
        },
        PodFacts {
            host_network: true,
            ..pod("new")
        },
        PodFacts {
            ignored: true,
            ..pod("new")
        },
        PodFacts {
            exited: true,
            ..pod("new")
        },
    ] {
        assert_eq!(planned(Some(pod), None), Action::Nothing(Idle::NotWanted));
    }
}

#[test]
fn a_leaving_pod_keeps_its_record_until_it_is_gone() {
    let leaving = PodFacts {
        deleting: true,
        ..pod("old")
    };
    assert_eq!(
        planned(Some(leaving), Some(record(false, Phase::Binding))),
        Action::Nothing(Idle::SandboxMayLive)
    );
    let leaving = PodFacts {
        deleting: true,
        ..pod("old")
    };
    assert_eq!(
        planned(Some(leaving), Some(record(false, Phase::Bind))),
        Action::Nothing(Idle::Bound)
    );
}

#[test]
fn the_record_of_a_gone_or_exited_pod_goes_or_is_detached() {
    let exited = PodFacts {
        exited: true,
        ..pod("old")
    };
    for pod in [None, Some(exited)] {
        assert_eq!(
            planned(pod.clone(), Some(record(false, Phase::Bind))),
            Action::Delete
        );
        assert_eq!(
            planned(pod, Some(record(true, Phase::Bind))),
            Action::SetPhase(Phase::Detaching)
        );
    }
    assert_eq!(
        planned(None, Some(record(true, Phase::Unbind))),
        Action::Nothing(Idle::Kept)
    );
    assert_eq!(
        planned(None, Some(record(true, Phase::Detaching))),
        Action::Nothing(Idle::BeingDetached)
    );
}

#[test]
fn a_fixed_record_without_an_eni_has_nothing_to_keep() {
    let mut record = record(true, Phase::Initial);
    record.spec.allocations[0].eni.id.clear();
    assert_eq!(planned(None, Some(record)), Action::Delete);
}

#[test]
fn a_new_pod_of_the_name_takes_a_fixed_record_over_and_replaces_an_elastic_one() {
    let new = || Some(pod("new"));
    assert_eq!(planned(new(), Some(record(false, Phase::Bind))), Action::Delete);
    assert_eq!(
        planned(new(), Some(record(true, Phase::Bind))),
        Action::SetPhase(Phase::Detaching)
    );
    assert_eq!(planned(new(), Some(record(true, Phase::Unbind))), Action::Rebind);
    let mut rebound = record(true, Phase::Unbind);
    rebound
        .metadata
        .annotations
        .get_or_insert_default()
        .insert(annotation::POD_UID.into(), "new".into());
    assert_eq!(
        planned(new(), Some(rebound.clone())),
        Action::SetPhase(Phase::Binding)
    );
    rebound
        .metadata
        .labels
        .get_or_insert_default()
        .insert(label::NODE.into(), "node2".into());
    assert_eq!(planned(new(), Some(rebound)), Action::Rebind);
}

#[test]
fn a_kept_eni_goes_only_to_a_name_that_lasts_and_to_its_own_zone() {
    let passing = PodFacts {
        fixed_name: false,
        ..pod("new")
    };
    assert_eq!(
        planned(Some(passing), Some(record(true, Phase::Unbind))),
        Action::Nothing(Idle::NameNotFixed)
    );
    let mut elsewhere = record(true, Phase::Unbind);
    elsewhere.spec.zone = "i".into();
    assert_eq!(
        planned(Some(pod("new")), Some(elsewhere)),
        Action::Nothing(Idle::OtherZone)
    );
}

#[test]
fn nothing_is_done_to_a_record_on_its_way_out() {
    let mut leaving = record(false, Phase::Bind);
    leaving.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
    assert_eq!(
        planned(Some(pod("new")), Some(leaving)),
        Action::Nothing(Idle::RecordBeingDeleted)
    );
}

#[test]
fn the_record_carries_the_whole_request_before_it_is_sent() {
    let record = record(true, Phase::Initial);
    let creation = record.spec.allocations[0].creation.as_ref().unwrap();
    assert_eq!(
        (creation.attempt, creation.parameters.vswitch_id.as_str()),
        (1, "vsw")
    );
    assert_eq!(creation.parameters.security_group_ids, ["sg"]);
    assert_eq!(
        record.metadata.finalizers.as_deref().unwrap(),
        ["network.alibabacloud.com/pod-eni"]
    );
    assert_eq!(record.spec.zone, "h");
}

#[test]
fn no_record_is_made_for_a_carrier_that_the_node_does_not_serve() {
    let whole_only = NodeFacts {
        eni_only: true,
        ..node()
    };
    let refused = build(
        &pod("p"),
        &whole_only,
        &[network()],
        &[vswitch()],
        &settings(),
        Timestamp::UNIX_EPOCH,
    );
    assert!(matches!(refused, Err(BuildError::NotServed { index: 0, .. })));
}
