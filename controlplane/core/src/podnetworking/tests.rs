//! What is written about PodNetworkings, and when they are looked at again.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::json;
use terway_crds::PodNetworking;
use terway_crds::names::condition;
use terway_crds::pod_networking::PodNetworkingState;

use super::*;
use crate::cloud::{Cidrs, VSwitch};

fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

fn networking() -> PodNetworking {
    serde_json::from_value(json!({
        "apiVersion": "network.alibabacloud.com/v1beta1", "kind": "PodNetworking",
        "metadata": { "name": "db", "generation": 3 },
        "spec": { "vSwitchOptions": ["vsw-1", "vsw-2"], "securityGroupIDs": ["sg-1"] },
    }))
    .unwrap()
}

fn vswitch(id: &str, zone: &str) -> VSwitch {
    VSwitch {
        id: id.into(),
        zone_id: zone.into(),
        vpc_id: "vpc".into(),
        cidrs: Cidrs::default(),
        available_ips: 9,
    }
}

fn known() -> Lookup {
    Lookup::Known(vec![vswitch("vsw-1", "h"), vswitch("vsw-2", "h")])
}

fn findings(lookup: Lookup) -> Findings {
    Findings {
        lookup,
        passed_over: Vec::new(),
        unserved: Vec::new(),
    }
}

fn after(networking: &PodNetworking, plan: &Plan) -> PodNetworking {
    let mut networking = networking.clone();
    if let Ok(status) = &plan.status {
        networking.status = Some(status.clone());
    }
    networking
}

#[test]
fn known_vswitches_make_it_ready_with_their_zones() {
    let plan = plan(&networking(), &findings(known()), now());
    let status = plan.status.as_ref().unwrap();
    assert_eq!(status.status, PodNetworkingState::Ready);
    assert_eq!(
        (status.summary.vswitch_ids.as_str(), status.summary.zones.as_str()),
        ("vsw-1,vsw-2", "h")
    );
    assert_eq!(status.observed_generation, Some(3));
    assert_eq!(
        plan.transition,
        Some(Transition::BecameReady { zones: "h".into() })
    );
    assert_eq!(plan.look_again, None);
    assert!(is_settled(&after(&networking(), &plan)));
}

#[test]
fn a_settled_one_is_left_alone_until_its_spec_changes() {
    let now = now();
    let ready = after(&networking(), &plan(&networking(), &findings(known()), now));
    let again = plan(&ready, &findings(Lookup::NotNeeded), now);
    assert_eq!((again.status, again.transition), (Err(Idle::UpToDate), None));
    let mut edited = ready;
    edited.metadata.generation = Some(4);
    assert!(!is_settled(&edited));
}

#[test]
fn a_failure_has_the_clouds_words_and_is_told_once() {
    let now = now();
    let words = "vSwitch vsw-1: InvalidVSwitchId.NotFound: the vSwitch does not exist".to_owned();
    let first = plan(&networking(), &findings(Lookup::Failed(words.clone())), now);
    assert_eq!(first.status.as_ref().unwrap().message, words);
    assert_eq!(first.status.as_ref().unwrap().conditions[0].status, "False");
    assert_eq!(
        first.transition,
        Some(Transition::Failed {
            message: words.clone()
        })
    );
    let failing = after(&networking(), &first);
    let second = plan(
        &failing,
        &findings(Lookup::Failed(words)),
        now + SignedDuration::from_secs(5),
    );
    assert_eq!((second.status, second.transition), (Err(Idle::UpToDate), None));
}

/// The webhook passes over a PodNetworking that is not Ready, and the pods of this moment would run for ever in the
/// node's network.
#[test]
fn a_change_that_the_cloud_could_not_be_asked_about_takes_no_pod_its_network() {
    let ready = after(&networking(), &plan(&networking(), &findings(known()), now()));
    let mut changed = ready.clone();
    changed.metadata.generation = Some(2);
    let unanswered = || findings(Lookup::Failed("no answer from vpc".into()));
    let first = plan(&changed, &unanswered(), now());
    assert!(
        first
            .look_again
            .is_some_and(|after| after <= Duration::from_secs(10))
    );
    assert!(
        matches!(&first.transition, Some(Transition::Failed { message }) if message.contains("no answer from vpc"))
    );
    let told = after(&changed, &first);
    let status = told.status.as_ref().unwrap();
    assert_eq!(status.status, PodNetworkingState::Ready);
    let condition = status
        .conditions
        .iter()
        .find(|one| one.type_ == condition::READY)
        .unwrap();
    assert_eq!(condition.reason, "ChangeNotChecked");
    assert!(!is_settled(&told), "the change is looked at again");
    let again = plan(&told, &unanswered(), now());
    assert_eq!((again.status, again.transition), (Err(Idle::UpToDate), None));
    let checked = plan(&told, &findings(known()), now());
    assert!(matches!(checked.transition, Some(Transition::BecameReady { .. })));
    let checked = after(&told, &checked);
    assert!(is_settled(&checked) && checked.status.unwrap().message.is_empty());
}

#[test]
fn what_is_unknown_is_named_with_the_field_to_correct() {
    let message = |lookup| {
        plan(&networking(), &findings(lookup), now())
            .status
            .unwrap()
            .message
    };
    let vswitches = message(Lookup::UnknownVSwitches(vec!["vsw-2".into()]));
    assert!(
        vswitches.contains("vsw-2") && vswitches.contains("vSwitchOptions"),
        "{vswitches}"
    );
    let groups = message(Lookup::UnknownSecurityGroups(vec!["sg-1".into()]));
    assert!(
        groups.contains("sg-1") && groups.contains("securityGroupIDs"),
        "{groups}"
    );
}

#[test]
fn it_repairs_itself_soon_at_first_and_rarely_later() {
    let now = now();
    let failed = || findings(Lookup::Failed("no".into()));
    let mut failing = networking();
    let mut delays = Vec::new();
    for seconds in [0, 10, 3600] {
        let plan = plan(&failing, &failed(), now + SignedDuration::from_secs(seconds));
        delays.push(plan.look_again.unwrap());
        failing = after(&failing, &plan);
    }
    assert_eq!(delays, [2, 5, 60].map(Duration::from_secs));
    let repaired = plan(&failing, &findings(known()), now);
    assert_eq!(
        repaired.status.as_ref().unwrap().status,
        PodNetworkingState::Ready
    );
    assert_eq!(repaired.status.unwrap().message, "");
}

#[test]
fn workloads_that_are_passed_over_are_named_until_they_are_gone() {
    let now = now();
    let workload = |name: &str| Workload {
        kind: "Deployment".into(),
        api_version: "apps/v1".into(),
        namespace: "shop".into(),
        name: name.into(),
        uid: "u".into(),
    };
    let many: Vec<Workload> = (0..7).map(|n| workload(&format!("web-{n}"))).collect();
    let told = plan(
        &networking(),
        &Findings {
            lookup: known(),
            passed_over: many,
            unserved: Vec::new(),
        },
        now,
    );
    let condition = told
        .status
        .as_ref()
        .unwrap()
        .conditions
        .iter()
        .find(|c| c.type_ == "WorkloadsPassedOver")
        .unwrap();
    assert_eq!(condition.status, "True");
    assert!(
        condition.message.starts_with("Deployment shop/web-0, "),
        "{}",
        condition.message
    );
    assert!(condition.message.contains("and 2 more"), "{}", condition.message);
    let gone = plan(&after(&networking(), &told), &findings(Lookup::NotNeeded), now);
    let conditions = gone.status.unwrap().conditions;
    assert_eq!(
        conditions
            .iter()
            .find(|c| c.type_ == "WorkloadsPassedOver")
            .unwrap()
            .status,
        "False"
    );
}

#[test]
fn living_pods_without_their_network_are_named_until_they_are_gone() {
    let unserved = |count: usize| (0..count).map(|n| format!("shop/db-{n}")).collect();
    let found = |count| Findings {
        unserved: unserved(count),
        ..findings(known())
    };
    let said = |plan: &Plan| {
        let conditions = &plan.status.as_ref().unwrap().conditions;
        let found = conditions
            .iter()
            .find(|known| known.type_ == "PodsWithoutNetwork");
        found.map(|known| (known.status.clone(), known.message.clone()))
    };
    // Nobody reads of something that has never been.
    let none = plan(&networking(), &found(0), now());
    assert_eq!(said(&none), None);
    let told = plan(&networking(), &found(7), now());
    let (status, message) = said(&told).unwrap();
    assert_eq!(status, "True");
    assert!(
        message.starts_with("shop/db-0, ") && message.contains("and 2 more"),
        "{message}"
    );
    assert!(message.contains("delete them"), "{message}");
    // A pod without its network is no reason to refuse the next one.
    assert!(is_settled(&after(&networking(), &told)));
    let gone = plan(&after(&networking(), &told), &findings(Lookup::NotNeeded), now());
    assert_eq!(said(&gone), Some(("False".to_owned(), String::new())));
}

#[test]
fn a_pod_concerns_the_podnetworking_that_it_should_have_and_those_that_pass_it_over() {
    let networking = |name: &str, state: &str, kind: &str| -> PodNetworking {
        serde_json::from_value(json!({
            "apiVersion": "network.alibabacloud.com/v1beta1", "kind": "PodNetworking", "metadata": { "name": name },
            "spec": {
                "allocationType": { "type": kind },
                "selector": { "podSelector": { "matchLabels": { "app": "db" } } },
            },
            "status": { "status": state },
        }))
        .unwrap()
    };
    let all = [
        networking("a-failed", "Fail", "Elastic"),
        networking("b-fixed", "Ready", "Fixed"),
        networking("c", "Ready", "Elastic"),
        networking("d", "Ready", "Elastic"),
    ];
    let labels = |app: &str| [("app".to_owned(), app.to_owned())].into();
    let of = |app: &str, fixed_name| concerned(&all, &labels(app), &Default::default(), fixed_name);
    assert_eq!(of("db", false), ["b-fixed", "c"]);
    assert_eq!(of("db", true), ["b-fixed"]);
    assert_eq!(of("web", true), [""; 0]);
    // The webhook leaves these pods alone, and so do we.
    let excluded = [("k8s.aliyun.com/pod-eni".to_owned(), "false".to_owned())].into();
    assert_eq!(concerned(&all, &labels("db"), &excluded, true), [""; 0]);
}

proptest! {
    /// Apply the plan, find the same again: nothing to write, nothing to tell.
    #[test]
    fn the_same_findings_twice_change_nothing(which in 0..4u8, before in 0..4u8, workloads in 0..3usize, pods in 0..3usize, later in 0..100i64) {
        let lookup = |which| match which {
            0 => known(),
            1 => Lookup::UnknownVSwitches(vec!["vsw-2".into()]),
            2 => Lookup::UnknownSecurityGroups(vec!["sg-1".into()]),
            _ => Lookup::Failed("Forbidden.RAM".into()),
        };
        let passed_over = (0..workloads).map(|n| Workload {
            kind: "Job".into(), api_version: "batch/v1".into(), namespace: "a".into(), name: n.to_string(), uid: String::new(),
        }).collect();
        let now = now();
        let start = after(&networking(), &plan(&networking(), &findings(lookup(before)), now));
        let unserved = (0..pods).map(|n| format!("shop/{n}")).collect();
        let found = Findings { lookup: lookup(which), passed_over, unserved };
        let once = after(&start, &plan(&start, &found, now));
        let twice = plan(&once, &found, now + SignedDuration::from_secs(later));
        prop_assert_eq!(twice.status, Err(Idle::UpToDate));
        prop_assert_eq!(twice.transition, None);
    }
}
