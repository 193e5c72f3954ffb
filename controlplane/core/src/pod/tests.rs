//! The pod controller's decisions, one by one; the life of a record as a whole is in tests/life.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use terway_crds::names::{annotation, label};
use terway_crds::{AllocationTypeKind, Phase, PodEni, PodEniStatus, PodNetwork, ReleaseStrategy};

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

fn planned(pod: Option<&PodFacts>, record: Option<&PodEni>) -> Action {
    plan(pod, record, Some(&node()), at(0)).action
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds)
}

/// What the pod of a record's name may be.
fn pods() -> [(&'static str, Option<PodFacts>); 8] {
    let own = |change: fn(&mut PodFacts)| {
        let mut pod = pod("old");
        change(&mut pod);
        Some(pod)
    };
    let next = |change: fn(&mut PodFacts)| {
        let mut pod = pod("new");
        change(&mut pod);
        Some(pod)
    };
    [
        ("none", None),
        ("own", own(|_| {})),
        ("own, leaving", own(|pod| pod.deleting = true)),
        ("own, exited", own(|pod| pod.exited = true)),
        ("next", next(|_| {})),
        ("next, name does not last", next(|pod| pod.fixed_name = false)),
        ("next, unscheduled", next(|pod| pod.node.clear())),
        ("next, wants no ENI", next(|pod| pod.wants_pod_eni = false)),
    ]
}

/// Checks a table: a row for each phase, a column for each pod.
fn check(fixed: bool, table: [(Phase, [Action; 8]); 6]) {
    for (phase, row) in table {
        let record = record(fixed, phase.clone());
        for ((name, pod), expected) in pods().iter().zip(row) {
            assert_eq!(
                planned(pod.as_ref(), Some(&record)),
                expected,
                "{phase:?}, {name}"
            );
        }
    }
}

#[test]
fn a_record_that_ends_with_its_pod() {
    use Action::{Delete, Nothing, SetPhase};
    use Idle::{BeingDetached, Bound, InProgress, RecordBeingDeleted, SandboxMayLive};
    let gone = || [Delete, Delete, Delete, Delete, Delete];
    let row = |own, leaving| {
        let [exited, next, short, unscheduled, shared] = gone();
        [Delete, own, leaving, exited, next, short, unscheduled, shared]
    };
    check(
        false,
        [
            (Phase::Initial, row(Nothing(InProgress), Nothing(SandboxMayLive))),
            (Phase::Binding, row(Nothing(InProgress), Nothing(SandboxMayLive))),
            (Phase::Bind, row(Nothing(Bound), Nothing(Bound))),
            (
                Phase::Detaching,
                row(Nothing(BeingDetached), Nothing(BeingDetached)),
            ),
            (
                Phase::Unbind,
                row(SetPhase(Phase::Binding), Nothing(SandboxMayLive)),
            ),
            (
                Phase::Deleting,
                std::array::from_fn(|_| Nothing(RecordBeingDeleted)),
            ),
        ],
    );
}

#[test]
fn a_record_that_waits_for_the_next_pod_of_its_name() {
    use Action::{Nothing, Rebind, SetPhase};
    use Idle::{
        BeingDetached, Bound, InProgress, Kept, NameNotFixed, NotScheduled, RecordBeingDeleted,
        SandboxMayLive,
    };
    let detach = || SetPhase(Phase::Detaching);
    let row = |own, leaving| {
        [
            detach(),
            own,
            leaving,
            detach(),
            detach(),
            detach(),
            detach(),
            detach(),
        ]
    };
    let unbound = [
        Nothing(Kept),
        SetPhase(Phase::Binding),
        Nothing(SandboxMayLive),
        Nothing(Kept),
        Rebind,
        Nothing(NameNotFixed),
        Nothing(NotScheduled),
        Nothing(Kept),
    ];
    check(
        true,
        [
            (Phase::Initial, row(Nothing(InProgress), Nothing(SandboxMayLive))),
            (Phase::Binding, row(Nothing(InProgress), Nothing(SandboxMayLive))),
            (Phase::Bind, row(Nothing(Bound), Nothing(Bound))),
            (Phase::Detaching, std::array::from_fn(|_| Nothing(BeingDetached))),
            (Phase::Unbind, unbound),
            (
                Phase::Deleting,
                std::array::from_fn(|_| Nothing(RecordBeingDeleted)),
            ),
        ],
    );
}

#[test]
fn a_pod_without_a_record_gets_one_when_it_is_scheduled_and_wants_enis() {
    use Action::{Create, Nothing};
    use Idle::{NoRecord, NodeUnknown, NotScheduled, NotWanted, SandboxMayLive};
    let expected = [
        Nothing(NoRecord),
        Create,
        Nothing(SandboxMayLive),
        Nothing(NotWanted),
        Create,
        Create,
        Nothing(NotScheduled),
        Nothing(NotWanted),
    ];
    for ((name, pod), expected) in pods().iter().zip(expected) {
        assert_eq!(planned(pod.as_ref(), None), expected, "{name}");
    }
    let ignored_node = NodeFacts {
        ignored: true,
        ..node()
    };
    for node in [None, Some(&ignored_node)] {
        let action = plan(Some(&pod("new")), None, node, at(0)).action;
        assert_eq!(action, Nothing(NodeUnknown));
    }
    for no_pod_of_ours in [
        PodFacts {
            host_network: true,
            ..pod("new")
        },
        PodFacts {
            ignored: true,
            ..pod("new")
        },
    ] {
        assert_eq!(planned(Some(&no_pod_of_ours), None), Nothing(NotWanted));
    }
}

#[test]
fn a_record_on_its_way_out_is_left_alone_in_every_phase() {
    for phase in [Phase::Initial, Phase::Bind, Phase::Unbind] {
        let mut leaving = record(true, phase);
        leaving.metadata.deletion_timestamp = Some(Time(at(0)));
        for (name, pod) in pods() {
            let action = planned(pod.as_ref(), Some(&leaving));
            assert_eq!(action, Action::Nothing(Idle::RecordBeingDeleted), "{name}");
        }
    }
}

#[test]
fn a_fixed_record_without_an_eni_has_nothing_to_keep() {
    let mut record = record(true, Phase::Initial);
    record.spec.allocations[0].eni.id.clear();
    assert_eq!(planned(None, Some(&record)), Action::Delete);
}

#[test]
fn a_kept_eni_goes_to_the_node_of_the_next_pod_if_that_is_in_its_zone() {
    let mut rebound = record(true, Phase::Unbind);
    let annotations = rebound.metadata.annotations.get_or_insert_default();
    annotations.insert(annotation::POD_UID.into(), "new".into());
    assert_eq!(
        planned(Some(&pod("new")), Some(&rebound)),
        Action::SetPhase(Phase::Binding)
    );
    let labels = rebound.metadata.labels.get_or_insert_default();
    labels.insert(label::NODE.into(), "node2".into());
    assert_eq!(planned(Some(&pod("new")), Some(&rebound)), Action::Rebind);
    rebound.spec.zone = "i".into();
    assert_eq!(
        planned(Some(&pod("new")), Some(&rebound)),
        Action::Nothing(Idle::OtherZone)
    );
    let unknown_node = plan(Some(&pod("new")), Some(&rebound), None, at(0)).action;
    assert_eq!(unknown_node, Action::Nothing(Idle::NodeUnknown));
}

/// A record that is kept for 20 s after its pod was last seen, at 0 s.
fn kept_for_20s() -> PodEni {
    let mut record = record(true, Phase::Unbind);
    let kind = &mut record.spec.allocations[0].allocation_type;
    kind.release_strategy = Some(ReleaseStrategy::Ttl);
    kind.release_after = "20s".into();
    let status = record.status.get_or_insert_default();
    status.pod_last_seen = Some(Time(at(0)));
    record
}

#[test]
fn a_kept_record_expires_when_its_time_is_over_and_not_before() {
    let at_second = |second| plan(None, Some(&kept_for_20s()), None, at(second));
    let expected = Plan {
        action: Action::Nothing(Idle::Kept),
        look_again: Some(Duration::from_secs(5)),
    };
    assert_eq!(at_second(15), expected);
    for second in [20, 1_000] {
        let expected = Plan {
            action: Action::Expire,
            look_again: None,
        };
        assert_eq!(at_second(second), expected);
    }
    let for_ever = plan(None, Some(&record(true, Phase::Unbind)), None, at(1_000_000));
    assert_eq!(
        (for_ever.action, for_ever.look_again),
        (Action::Nothing(Idle::Kept), None)
    );
}

#[test]
fn a_kept_record_does_not_expire_while_a_pod_of_its_name_waits() {
    let unscheduled = PodFacts {
        node: String::new(),
        ..pod("new")
    };
    let waits = |node: Option<&NodeFacts>, pod: &PodFacts, second| {
        plan(Some(pod), Some(&kept_for_20s()), node, at(second))
    };
    let elsewhere = NodeFacts {
        zone: "i".into(),
        ..node()
    };
    for (idle, pod, node) in [
        (Idle::NotScheduled, &unscheduled, None),
        (Idle::NodeUnknown, &pod("new"), None),
        (Idle::OtherZone, &pod("new"), Some(&elsewhere)),
    ] {
        // A quarter of 20 s, so that two writes can be lost.
        let interval = Some(Duration::from_secs(5));
        let early = waits(node, pod, 4);
        assert_eq!(
            (early.action, early.look_again),
            (Action::Nothing(idle), interval)
        );
        let due = waits(node, pod, 5);
        assert_eq!((due.action, due.look_again), (Action::KeepAlive(idle), interval));
        let late = waits(node, pod, 500);
        assert_eq!(late.action, Action::KeepAlive(idle));
    }
}

#[test]
fn a_record_whose_time_does_not_run_is_not_written_while_a_pod_waits() {
    let unscheduled = PodFacts {
        node: String::new(),
        ..pod("new")
    };
    let waits = plan(
        Some(&unscheduled),
        Some(&record(true, Phase::Unbind)),
        None,
        at(500),
    );
    assert_eq!(
        (waits.action, waits.look_again),
        (Action::Nothing(Idle::NotScheduled), None)
    );
}

#[test]
fn a_wait_that_a_person_has_to_end_says_what_to_do() {
    assert!(
        Idle::OtherZone
            .note()
            .is_some_and(|note| note.contains("move the pod"))
    );
    assert!(
        Idle::NameNotFixed
            .note()
            .is_some_and(|note| note.contains("delete it"))
    );
    for silent in [Idle::Kept, Idle::NotScheduled, Idle::NodeUnknown, Idle::Bound] {
        assert_eq!(silent.note(), None);
    }
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
