//! Node objects on their way out.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use terway_crds::node::{Ip, Nic};
use terway_crds::node_runtime::{RUNTIME_DELETED, RuntimePod, RuntimePodStatus};
use terway_crds::{NodeRuntime, NodeRuntimeStatus, Operation, OperationKind};

use super::*;
use crate::degradation::Degradation;
use crate::intent::{Evidence, Limits, Lookup, Reply};
use crate::pod::PodFacts;
use crate::testing::cloud_eni;

fn at(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1_000_000 + seconds)
}

fn nic(id: &str, addresses: &[(&str, &str)]) -> Nic {
    let ip = |(number, (pod_id, pod_uid)): (usize, &(&str, &str))| {
        let ip = Ip {
            ip: format!("10.0.0.{number}"),
            pod_id: (*pod_id).into(),
            pod_uid: (*pod_uid).into(),
            ..Ip::default()
        };
        (ip.ip.clone(), ip)
    };
    Nic {
        id: id.into(),
        ipv4: addresses.iter().enumerate().map(ip).collect(),
        ..Nic::default()
    }
}

fn with_nics(nics: Vec<Nic>) -> TerwayNode {
    let mut record = record();
    record.metadata.uid = Some("record".into());
    let status = record.status.get_or_insert_default();
    status.network_interfaces = nics.into_iter().map(|nic| (nic.id.clone(), nic)).collect();
    record
}

fn pod(name: &str, wants_pod_eni: bool, exited: bool) -> PodFacts {
    PodFacts {
        namespace: "ns".into(),
        name: name.into(),
        uid: format!("uid-{name}"),
        wants_pod_eni,
        exited,
        ..PodFacts::default()
    }
}

/// The agent's word that the sandbox of a pod is gone.
fn gone(uid: &str) -> NodeRuntime {
    let deleted = RuntimePodStatus {
        last_update_time: Some(Time(at(-1))),
    };
    let pod = RuntimePod {
        status: [(RUNTIME_DELETED.to_owned(), deleted)].into(),
        ..RuntimePod::default()
    };
    let mut runtime = NodeRuntime::default();
    runtime.status.get_or_insert_with(NodeRuntimeStatus::default).pods = [(uid.to_owned(), pod)].into();
    runtime
}

#[test]
fn pods_that_use_the_enis_of_a_living_node_hold_its_object_back() {
    let bound = || with_nics(vec![nic("eni-1", &[("ns/a", "uid-a"), ("", "")])]);
    let free = || with_nics(vec![nic("eni-1", &[("", "")])]);
    let (living, other) = (
        facts(),
        NodeFacts {
            instance_id: "i-other".into(),
            ..facts()
        },
    );
    let registered_again = NodeFacts {
        uid: "other".into(),
        ..facts()
    };
    let none = Vec::new();
    let cases = [
        ("nobody has an address", free(), Some(&living), &none, None, None),
        (
            "a pod has an address",
            bound(),
            Some(&living),
            &vec![pod("a", false, false)],
            None,
            Some("ns/a"),
        ),
        (
            "its sandbox may live",
            bound(),
            Some(&living),
            &none,
            None,
            Some("ns/a"),
        ),
        (
            "its sandbox is gone",
            bound(),
            Some(&living),
            &none,
            Some(gone("uid-a")),
            None,
        ),
        (
            "a pod has an ENI",
            free(),
            Some(&living),
            &vec![pod("b", true, false)],
            None,
            Some("ns/b"),
        ),
        (
            "that pod has exited",
            free(),
            Some(&living),
            &vec![pod("b", true, true)],
            None,
            None,
        ),
        (
            "a new pod waits",
            free(),
            Some(&living),
            &vec![pod("c", false, false)],
            None,
            None,
        ),
        (
            "the node is registered again",
            bound(),
            Some(&registered_again),
            &none,
            None,
            Some("ns/a"),
        ),
        (
            "another instance has the name",
            bound(),
            Some(&other),
            &vec![pod("a", false, false)],
            None,
            None,
        ),
    ];
    check_holds(cases);
}

#[test]
fn living_pods_of_a_node_that_is_gone_hold_its_object_back() {
    let bound = || with_nics(vec![nic("eni-1", &[("ns/a", "uid-a"), ("", "")])]);
    let free = || with_nics(vec![nic("eni-1", &[("", "")])]);
    let none = Vec::new();
    check_holds([
        ("the node and its pods are gone", bound(), None, &none, None, None),
        (
            "the node is gone and a pod with an address is not",
            bound(),
            None,
            &vec![pod("a", false, false)],
            None,
            Some("ns/a"),
        ),
        (
            "the node is gone and a pod with an ENI is not",
            free(),
            None,
            &vec![pod("b", true, false)],
            None,
            Some("ns/b"),
        ),
        (
            "the node is gone and its pods have exited",
            bound(),
            None,
            &vec![pod("a", false, true), pod("b", true, true)],
            None,
            None,
        ),
    ]);
}

type Case<'a> = (
    &'a str,
    TerwayNode,
    Option<&'a NodeFacts>,
    &'a Vec<PodFacts>,
    Option<NodeRuntime>,
    Option<&'a str>,
);

/// Each case says who holds the object back, if somebody does.
fn check_holds<const N: usize>(cases: [Case<'_>; N]) {
    for (what, record, node, pods, runtime, user) in cases {
        let pods: Vec<&PodFacts> = pods.iter().collect();
        let mut leaving = Leaving {
            record: &record,
            node,
            pods: &pods,
            runtime: runtime.as_ref(),
            degradation: Degradation::None,
            now: at(0),
        };
        let held = held_back(&leaving);
        assert_eq!(held.is_some(), user.is_some(), "{what}: {held:?}");
        if let (Some(held), Some(user)) = (held, user) {
            let reason = if node.is_some() {
                "PodsStillRun"
            } else {
                "NodeGone"
            };
            assert_eq!(held.reason, reason, "{what}");
            assert!(held.message.ends_with(&format!(": {user}")), "{}", held.message);
        }
        leaving.degradation = Degradation::L1;
        let held = held_back(&leaving);
        assert_eq!(held.map(|held| held.reason), Some("Degraded"), "{what}");
    }
}

#[test]
fn five_users_are_named_and_the_object_itself_is_not_changed() {
    let addresses: Vec<(String, String)> = (0..8)
        .map(|n| (format!("ns/p{n}"), format!("uid-p{n}")))
        .collect();
    let addresses: Vec<(&str, &str)> = addresses.iter().map(|(id, uid)| (&**id, &**uid)).collect();
    let record = with_nics(vec![nic("eni-1", &addresses)]);
    let before = record.clone();
    let living = facts();
    let held = held_back(&Leaving {
        record: &record,
        node: Some(&living),
        pods: &[],
        runtime: None,
        degradation: Degradation::None,
        now: at(0),
    });
    let message = held.unwrap().message;
    assert!(
        message.ends_with("ns/p0, ns/p1, ns/p2, ns/p3, ns/p4"),
        "{message}"
    );
    assert_eq!(record, before);
}

#[test]
fn the_instance_tells_whether_a_node_is_the_same() {
    let record = record();
    for (instance, uid, same) in [
        ("i-1", "u", true),
        ("i-1", "another", true),
        ("i-2", "u", false),
        // A node that does not name its instance yet.
        ("", "another", true),
    ] {
        let node = NodeFacts {
            instance_id: instance.into(),
            uid: uid.into(),
            ..facts()
        };
        assert_eq!(is_on_instance_of(&record, &node), same, "{instance} {uid}");
    }
    assert!(is_on_instance_of(&TerwayNode::default(), &facts()));
}

fn operation(id: &str, kind: OperationKind, eni: &str) -> Operation {
    Operation {
        id: id.into(),
        kind,
        eni_id: eni.into(),
        attempt: 1,
        ..Operation::default()
    }
}

fn planned(record: &TerwayNode, known: &BTreeMap<String, Evidence>, now: i64) -> Release {
    plan_release(record, known, at(0), at(now), &Limits::default())
}

fn handed(ids: &[&str]) -> Release {
    Release::HandOver(ids.iter().map(|id| (*id).to_owned()).collect())
}

#[test]
fn every_eni_of_ours_is_handed_over_once_and_others_are_left_alone() {
    let mut alone = nic("eni-alone", &[]);
    alone.unschedulable = true;
    let mut record = with_nics(vec![nic("eni-2", &[]), nic("eni-1", &[]), alone]);
    let status = record.status.get_or_insert_default();
    status.operations = vec![
        operation("a", OperationKind::AttachEni, "eni-3"),
        operation("b", OperationKind::AssignIps, "eni-1"),
    ];
    assert_eq!(
        planned(&record, &BTreeMap::new(), 0),
        handed(&["eni-1", "eni-2", "eni-3"])
    );
    assert_eq!(planned(&TerwayNode::default(), &BTreeMap::new(), 0), handed(&[]));
}

#[test]
fn an_intent_to_make_an_eni_is_resolved_before_the_object_goes() {
    let mut record = with_nics(vec![nic("eni-1", &[])]);
    let status = record.status.get_or_insert_default();
    status.operations = vec![operation("a", OperationKind::CreateEni, "")];
    let mut known = BTreeMap::new();
    assert_eq!(planned(&record, &known, 2), Release::Wait(Duration::from_secs(3)));
    let Release::LookUpByTag(id) = planned(&record, &known, 5) else {
        panic!("no search")
    };
    assert_eq!(id.tag_value(), "record/a/1");

    known.insert("a".into(), Evidence::fresh(1));
    assert_eq!(
        planned(&record, &known, 0),
        handed(&["eni-1"]),
        "it was never sent"
    );

    let mut sent = Evidence::fresh(1);
    sent.sending();
    sent.replied(Reply::Created(Box::new(cloud_eni("eni-made"))), at(0), None);
    known.insert("a".into(), sent);
    assert_eq!(planned(&record, &known, 0), handed(&["eni-1", "eni-made"]));

    let mut searched = Evidence::inherited(1);
    for (seconds, found) in [(5, None), (10, None)] {
        searched.looked_up(Lookup {
            at: at(seconds),
            found,
        });
    }
    known.insert("a".into(), searched);
    assert_eq!(
        planned(&record, &known, 10),
        handed(&["eni-1"]),
        "two searches found nothing"
    );

    known.insert("a".into(), Evidence::fresh(7));
    let of_another = planned(&record, &known, 5);
    assert!(matches!(of_another, Release::LookUpByTag(_)), "{of_another:?}");
}
