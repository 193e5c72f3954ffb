//! Bindings: given once, kept as long as anything of the pod may run, given again after the cooldown.

use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use proptest::prelude::*;
use terway_crds::NodeRuntimeStatus;
use terway_crds::node_runtime::RuntimePodStatus;

use super::*;

const COOLDOWN: Duration = Duration::from_secs(30);

fn at(second: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1_000_000 + second)
}

fn pod(name: &str, uid: &str) -> PodFacts {
    PodFacts {
        namespace: "ns".into(),
        name: name.into(),
        uid: uid.into(),
        node: "node1".into(),
        waits_for_ip: true,
        ..PodFacts::default()
    }
}

fn nic(id: &str, addresses: &[&str]) -> Nic {
    Nic {
        id: id.into(),
        status: NicStatus::InUse,
        kind: Some(EniKind::Secondary),
        ipv4: addresses
            .iter()
            .map(|address| {
                let ip = Ip {
                    ip: (*address).into(),
                    ..Ip::default()
                };
                ((*address).to_owned(), ip)
            })
            .collect(),
        ..Nic::default()
    }
}

fn status(nics: Vec<Nic>) -> TerwayNodeStatus {
    TerwayNodeStatus {
        network_interfaces: nics.into_iter().map(|nic| (nic.id.clone(), nic)).collect(),
        ..TerwayNodeStatus::default()
    }
}

fn reports(pods: &[(&str, Option<i64>, Option<i64>)]) -> NodeRuntime {
    let mut runtime = NodeRuntime::default();
    let states = runtime.status.get_or_insert_with(NodeRuntimeStatus::default);
    for (uid, initial, deleted) in pods {
        let mut record = RuntimePod {
            pod_id: "ns/a".into(),
            ..RuntimePod::default()
        };
        for (state, second) in [(RUNTIME_INITIAL, initial), (RUNTIME_DELETED, deleted)] {
            if let Some(second) = second {
                let time = RuntimePodStatus {
                    last_update_time: Some(Time(at(*second))),
                };
                record.status.insert(state.into(), time);
            }
        }
        states.pods.insert((*uid).into(), record);
    }
    runtime
}

fn run(
    status: &mut TerwayNodeStatus,
    pods: &[&PodFacts],
    runtime: Option<&NodeRuntime>,
    second: i64,
) -> Bindings {
    let around = Around {
        pods,
        runtime,
        cooldown: COOLDOWN,
        now: at(second),
    };
    bind(status, &around)
}

fn holder<'a>(status: &'a TerwayNodeStatus, address: &str) -> &'a str {
    let mut all = status.network_interfaces.values();
    all.find_map(|nic| nic.ipv4.get(address))
        .map_or("", |ip| &ip.pod_uid)
}

#[test]
fn pods_get_addresses_and_the_second_time_nothing_changes() {
    let mut status = status(vec![nic("eni-1", &["10.0.0.2", "10.0.0.1"])]);
    let (a, b, c) = (pod("a", "u1"), pod("b", "u2"), pod("c", "u3"));
    let first = run(&mut status, &[&c, &b, &a], None, 0);
    assert_eq!(
        (holder(&status, "10.0.0.1"), holder(&status, "10.0.0.2")),
        ("u1", "u2")
    );
    assert_eq!(first.waiting, ["ns/c"]);
    let before = status.clone();
    let second = run(&mut status, &[&a, &b, &c], None, 1);
    assert!(second.bound.is_empty());
    assert_eq!(status, before);
}

#[test]
fn an_address_is_free_again_when_the_sandbox_is_gone_and_the_cooldown_over() {
    let mut status = status(vec![nic("eni-1", &["10.0.0.1"])]);
    let (a, b) = (pod("a", "u1"), pod("b", "u2"));
    run(&mut status, &[&a], None, 0);
    for (runtime, second) in [
        // No agent, no report of this pod, a report that it runs: the pod's word is not enough.
        (None, 100),
        (Some(reports(&[])), 100),
        (Some(reports(&[("u1", Some(1), None)])), 100),
        // Torn down and set up anew.
        (Some(reports(&[("u1", Some(90), Some(80))])), 200),
        (Some(reports(&[("u1", Some(1), Some(80))])), 109),
    ] {
        let bindings = run(&mut status, &[&b], runtime.as_ref(), second);
        assert_eq!((holder(&status, "10.0.0.1"), bindings.waiting.len()), ("u1", 1));
    }
    let runtime = reports(&[("u1", Some(1), Some(80))]);
    assert_eq!(
        run(&mut status, &[&b], Some(&runtime), 109).wake,
        Some(Duration::from_secs(1))
    );
    run(&mut status, &[&b], Some(&runtime), 110);
    assert_eq!(holder(&status, "10.0.0.1"), "u2");
}

#[test]
fn an_exited_pod_frees_its_address_and_a_leaving_one_keeps_it() {
    let mut status = status(vec![nic("eni-1", &["10.0.0.1"])]);
    let runtime = reports(&[("u1", Some(1), Some(2))]);
    run(&mut status, &[&pod("a", "u1")], None, 0);
    let leaving = PodFacts {
        deleting: true,
        ..pod("a", "u1")
    };
    run(&mut status, &[&leaving], Some(&runtime), 100);
    assert_eq!(holder(&status, "10.0.0.1"), "u1");
    let exited = PodFacts {
        exited: true,
        ..pod("a", "u1")
    };
    run(&mut status, &[&exited], Some(&runtime), 100);
    assert_eq!(holder(&status, "10.0.0.1"), "");
}

#[test]
fn pods_that_need_none_get_none() {
    let mut status = status(vec![nic("eni-1", &["10.0.0.1"])]);
    let own = PodFacts {
        wants_pod_eni: true,
        ..pod("own", "u1")
    };
    let host = PodFacts {
        host_network: true,
        ..pod("host", "u2")
    };
    let ignored = PodFacts {
        ignored: true,
        ..pod("ignored", "u3")
    };
    let foreign = PodFacts {
        address: Some([10, 9, 9, 9].into()),
        ..pod("foreign", "u4")
    };
    let leaving = PodFacts {
        deleting: true,
        ..pod("leaving", "u5")
    };
    let bindings = run(&mut status, &[&own, &host, &ignored, &foreign, &leaving], None, 0);
    assert_eq!(bindings, Bindings::default());
}

#[test]
fn running_pods_keep_their_addresses_when_they_are_seen_for_the_first_time() {
    let mut status = status(vec![nic("eni-1", &["10.0.0.1", "10.0.0.2"])]);
    let running = PodFacts {
        address: Some([10, 0, 0, 1].into()),
        ..pod("z", "u1")
    };
    run(&mut status, &[&pod("a", "u2"), &running], None, 0);
    assert_eq!(
        (holder(&status, "10.0.0.1"), holder(&status, "10.0.0.2")),
        ("u1", "u2")
    );
}

#[test]
fn a_binding_by_name_alone_is_completed_or_ends_with_every_sandbox_of_that_name() {
    let mut status = status(vec![nic("eni-1", &["10.0.0.1"])]);
    let ip = |status: &mut TerwayNodeStatus| {
        let nic = status.network_interfaces.get_mut("eni-1").unwrap();
        nic.ipv4.get_mut("10.0.0.1").unwrap().clone()
    };
    status
        .network_interfaces
        .get_mut("eni-1")
        .unwrap()
        .ipv4
        .get_mut("10.0.0.1")
        .unwrap()
        .pod_id = "ns/a".into();
    let mut other = status.clone();
    run(&mut status, &[&pod("a", "u1")], None, 0);
    assert_eq!(ip(&mut status).pod_uid, "u1");
    run(
        &mut other,
        &[],
        Some(&reports(&[("x", Some(1), Some(2)), ("y", Some(3), None)])),
        100,
    );
    assert_eq!(ip(&mut other).pod_id, "ns/a");
    run(
        &mut other,
        &[],
        Some(&reports(&[("x", Some(1), Some(2)), ("y", Some(3), Some(4))])),
        100,
    );
    assert_eq!(ip(&mut other).pod_id, "");
}

#[test]
fn only_enis_in_use_that_are_not_left_alone_serve() {
    let mut attaching = nic("eni-1", &["10.0.0.1"]);
    attaching.status = NicStatus::Attaching;
    let mut blocked = nic("eni-2", &["10.0.0.2"]);
    blocked.unschedulable = true;
    let mut rdma = nic("eni-3", &["10.0.0.3"]);
    rdma.traffic_mode = Some(TrafficMode::HighPerformance);
    let mut draining = nic("eni-4", &["10.0.0.4"]);
    draining.conditions.insert(DRAINING.into(), Default::default());
    let mut trunk = nic("eni-5", &["10.0.0.5"]);
    trunk.kind = Some(EniKind::Trunk);
    let status = status(vec![attaching, blocked, rdma, draining, trunk]);
    assert_eq!(free_addresses(&status), [IpAddr::from([10, 0, 0, 5])]);
}

#[test]
fn the_fuller_eni_is_filled_first() {
    let mut status = status(vec![
        nic("eni-1", &["10.0.0.1"]),
        nic("eni-2", &["10.0.0.2", "10.0.0.3"]),
    ]);
    let running = PodFacts {
        address: Some([10, 0, 0, 3].into()),
        ..pod("r", "u0")
    };
    run(&mut status, &[&running, &pod("a", "u1")], None, 0);
    assert_eq!(holder(&status, "10.0.0.2"), "u1");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    /// Whatever pods and sandboxes do: no pod has two addresses, no address changes hands before the
    /// sandbox is reported gone, and a second look changes nothing.
    #[test]
    fn an_address_changes_hands_only_after_its_sandbox_is_gone(
        events in proptest::collection::vec((0..6usize, 0..4u8), 1..60)
    ) {
        let mut status = status(vec![nic("eni-1", &["10.0.0.1", "10.0.0.2"]), nic("eni-2", &["10.0.0.3"])]);
        let mut pods: BTreeMap<usize, PodFacts> = BTreeMap::new();
        let mut runtime = reports(&[]);
        let mut generation = 0;
        let mut over: BTreeMap<String, i64> = BTreeMap::new();
        for (second, (slot, event)) in events.into_iter().enumerate() {
            let second = second as i64 * 7;
            match event {
                0 => {
                    generation += 1;
                    pods.entry(slot).or_insert_with(|| pod(&format!("p{slot}"), &format!("u{generation}")));
                }
                1 => { pods.remove(&slot); }
                2 => if let Some(pod) = pods.get_mut(&slot) { pod.exited = true; },
                _ => {
                    let living: BTreeSet<&str> = pods.values().filter(|p| !p.exited).map(|p| p.uid.as_str()).collect();
                    for uid in bound_uids(&status) {
                        if !living.contains(uid.as_str()) {
                            over.entry(uid).or_insert(second);
                        }
                    }
                    let all: Vec<(&str, Option<i64>, Option<i64>)> =
                        over.iter().map(|(uid, at)| (uid.as_str(), Some(at - 1), Some(*at))).collect();
                    runtime = reports(&all);
                }
            }
            let before = status.clone();
            let refs: Vec<&PodFacts> = pods.values().collect();
            run(&mut status, &refs, Some(&runtime), second);
            let mut seen = BTreeSet::new();
            for (id, nic) in &status.network_interfaces {
                for (address, ip) in &nic.ipv4 {
                    prop_assert!(ip.pod_uid.is_empty() || seen.insert(ip.pod_uid.clone()), "one pod, two addresses");
                    let old = &before.network_interfaces[id].ipv4[address].pod_uid;
                    if !old.is_empty() && *old != ip.pod_uid {
                        prop_assert!(over.get(old).is_some_and(|gone| second - gone >= 30), "{old} lost {address}");
                    }
                }
            }
            let again = status.clone();
            prop_assert!(run(&mut status, &refs, Some(&runtime), second).bound.is_empty());
            prop_assert_eq!(&status, &again);
        }
    }
}
