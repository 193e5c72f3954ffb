//! Each rule finds what was broken on purpose, and is content with what is right.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds)
}

fn call(action: &str, eni: &str, seconds: i64) -> Call {
    Call {
        seq: u64::try_from(seconds).unwrap(),
        arrived: at(seconds),
        acted: at(seconds),
        action: action.into(),
        caller: "terway-controlplane/1 (one)".into(),
        eni: Some(eni.into()),
        intent: None,
        token: None,
        addresses: BTreeSet::new(),
        outcome: "OK".into(),
    }
}

fn create(eni: &str, intent: &str, seconds: i64) -> Call {
    Call {
        intent: Intent::parse(intent),
        ..call("CreateNetworkInterface", eni, seconds)
    }
}

fn pod(uid: &str, name: &str, born: i64, gone: Option<i64>) -> PodLife {
    PodLife {
        uid: uid.into(),
        name: name.into(),
        node: "node1".into(),
        fixed: true,
        born: at(born),
        gone: gone.map(at),
        let_go: None,
    }
}

fn claim(uid: &str, eni: &str, address: &str, seconds: i64) -> Claim {
    Claim {
        pod_uid: uid.into(),
        index: 0,
        eni: eni.into(),
        address: address.into(),
        shared: false,
        at: at(seconds),
    }
}

/// A Fixed pod that came, went, came back elsewhere with its ENI, and went for good.
fn good() -> Facts {
    Facts {
        calls: vec![
            create("eni-1", "uid/0/1", 1),
            // The reply was lost, and the same request gave the same ENI.
            create("eni-1", "uid/0/1", 2),
            call("AttachNetworkInterface", "eni-1", 3),
            call("DetachNetworkInterface", "eni-1", 12),
            call("AttachNetworkInterface", "eni-1", 13),
            call("DetachNetworkInterface", "eni-1", 22),
            call("DeleteNetworkInterface", "eni-1", 23),
        ],
        pods: vec![pod("p1", "db", 0, Some(10)), pod("p2", "db", 11, Some(20))],
        claims: vec![
            claim("p1", "eni-1", "10.0.0.1", 5),
            claim("p2", "eni-1", "10.0.0.1", 15),
        ],
        terms: vec![Term {
            holder: "one".into(),
            since: at(0),
        }],
        foreign: ["eni-foreign".to_owned()].into(),
        removed: Vec::new(),
        assigns: BTreeMap::new(),
        cooldown: SignedDuration::from_secs(3),
    }
}

#[test]
fn a_good_history_breaks_no_rule() {
    assert_eq!(history(&good()), []);
}

#[test]
fn two_enis_of_one_intent_are_a_duplicate_even_of_different_attempts() {
    let mut facts = good();
    facts.calls.insert(2, create("eni-2", "uid/0/2", 3));
    assert!(
        matches!(&history(&facts)[..], [Violation::Duplicate { first, second, .. }]
        if first == "eni-1" && second == "eni-2")
    );
}

#[test]
fn a_second_eni_is_right_once_the_first_is_gone() {
    let mut facts = good();
    facts.calls.push(create("eni-2", "uid/0/2", 24));
    assert_eq!(history(&facts), []);
    // Likewise when somebody else deleted it.
    let mut facts = good();
    facts.calls.truncate(3);
    facts.claims.clear();
    facts.calls.push(create("eni-2", "uid/0/2", 9));
    assert_eq!(history(&facts).len(), 1);
    facts.removed.push(Removed {
        eni: "eni-1".into(),
        at: at(8),
        deleted: true,
    });
    assert_eq!(history(&facts), []);
}

#[test]
fn a_detach_from_a_living_pod_is_found_also_when_it_was_refused() {
    let mut facts = good();
    facts.calls[3].arrived = at(9);
    facts.calls[3].outcome = "Throttling".into();
    assert!(
        matches!(&history(&facts)[..], [Violation::TouchedWhileLiving { pod, .. }] if pod.starts_with("db"))
    );
    // Unless somebody else tore it off before.
    facts.removed.push(torn_off(7, false));
    assert_eq!(history(&facts), []);
}

fn torn_off(seconds: i64, deleted: bool) -> Removed {
    Removed {
        eni: "eni-1".into(),
        at: at(seconds),
        deleted,
    }
}

#[test]
fn an_eni_that_was_torn_off_and_attached_again_serves_its_pod_like_any_other() {
    let mut facts = good();
    facts.removed.push(torn_off(6, false));
    facts.calls.insert(3, call("AttachNetworkInterface", "eni-1", 7));
    assert_eq!(history(&facts), []);
    facts.calls[4].arrived = at(9);
    let found = history(&facts);
    assert!(
        matches!(&found[..], [Violation::TouchedWhileLiving { .. }]),
        "{found:?}"
    );
    // An attach that was refused serves nobody.
    facts.calls[3].outcome = "Throttling".into();
    assert_eq!(history(&facts), []);
}

#[test]
fn a_delete_under_a_pod_that_never_went_is_found() {
    let mut facts = good();
    facts.pods[1].gone = None;
    assert_eq!(history(&facts).len(), 2);
}

#[test]
fn a_call_on_a_foreign_eni_is_found_and_a_look_at_it_is_not() {
    let mut facts = good();
    facts
        .calls
        .push(call("DescribeNetworkInterfaces", "eni-foreign", 24));
    assert_eq!(history(&facts), []);
    facts
        .calls
        .push(call("AttachNetworkInterface", "eni-foreign", 25));
    assert!(matches!(&history(&facts)[..], [Violation::ForeignTouched { .. }]));
}

#[test]
fn an_eni_or_address_of_two_living_pods_is_found() {
    let mut facts = good();
    facts.pods.push(pod("p3", "web", 0, None));
    facts.pods[2].fixed = false;
    facts.claims.push(claim("p3", "eni-9", "10.0.0.1", 16));
    assert!(matches!(&history(&facts)[..], [Violation::UsedTwice { what, .. }] if what == "10.0.0.1"));
    facts.claims[2] = claim("p3", "eni-1", "10.0.0.9", 16);
    let found = history(&facts);
    assert!(found.contains(&Violation::UsedTwice {
        what: "eni-1".into(),
        pods: ["db".into(), "web".into()],
    }));
}

#[test]
fn a_fixed_pod_that_comes_back_with_another_address_is_found() {
    let mut facts = good();
    facts.claims[1].address = "10.0.0.2".into();
    assert!(matches!(&history(&facts)[..], [Violation::FixedChanged { .. }]));
    // An ENI that somebody else detached has its address still; one that was deleted has not.
    facts.removed.push(torn_off(10, false));
    assert!(matches!(&history(&facts)[..], [Violation::FixedChanged { .. }]));
    facts.removed[0].deleted = true;
    assert_eq!(history(&facts), []);
}

#[test]
fn a_call_of_a_replica_that_leads_no_more_is_found() {
    let mut facts = good();
    let next = |holder: &str, since| Term {
        holder: holder.into(),
        since: at(since),
    };
    // Given back, and taken again by the same one: no rule is broken.
    facts.terms.extend([next("", 14), next("one", 20)]);
    assert_eq!(history(&facts), []);
    facts.terms = vec![next("one", 0), next("two", 21)];
    let found = history(&facts);
    assert_eq!(found.len(), 2);
    assert!(matches!(&found[0], Violation::Stale { leader, .. } if leader == "two"));
}

#[test]
fn a_token_with_other_parameters_is_found() {
    let mut facts = good();
    facts.calls[1].outcome = "IdempotentParameterMismatch".into();
    assert!(matches!(&history(&facts)[..], [Violation::TokenMisused { .. }]));
}

fn eni(id: &str) -> EniInCloud {
    EniInCloud {
        id: id.into(),
        status: "InUse".into(),
        trunk: false,
        member: true,
        instance: Some("i-1".into()),
        addresses: ["10.0.0.1".to_owned()].into(),
        ours: true,
        intent: Intent::parse("uid/0/1"),
    }
}

fn resting() -> Snapshot {
    Snapshot {
        enis: vec![eni("eni-1")],
        referenced: ["eni-1".to_owned()].into(),
        open: Default::default(),
        bound: vec![Attached {
            pod: "db".into(),
            eni: "eni-1".into(),
            address: "10.0.0.1".into(),
            instance: "i-1".into(),
        }],
        ..Snapshot::default()
    }
}

#[test]
fn an_eni_that_nothing_names_is_leaked_unless_its_intent_is_open_or_it_is_not_ours() {
    assert_eq!(at_rest(&resting()), []);
    let mut leaked = resting();
    leaked.enis.push(EniInCloud {
        intent: Intent::parse("uid/1/3"),
        ..eni("eni-2")
    });
    assert!(matches!(&at_rest(&leaked)[..], [Violation::Leaked { eni, .. }] if eni == "eni-2"));
    leaked.open.insert(Intent::parse("uid/1/3").unwrap());
    assert_eq!(at_rest(&leaked), []);
    leaked.open = [Intent::parse("uid/1/4").unwrap()].into();
    assert_eq!(at_rest(&leaked).len(), 1);
    leaked.enis[1].ours = false;
    assert_eq!(at_rest(&leaked), []);
}

#[test]
fn a_bound_pod_whose_eni_is_elsewhere_or_gone_has_lost_it() {
    let mut elsewhere = resting();
    elsewhere.enis[0].instance = Some("i-2".into());
    assert!(matches!(&at_rest(&elsewhere)[..], [Violation::Lost { found, .. }] if found.contains("i-2")));
    let mut gone = resting();
    gone.enis.clear();
    assert!(matches!(&at_rest(&gone)[..], [Violation::Lost { found, .. }] if found == "gone"));
    gone.deleted.insert("eni-1".to_owned());
    assert_eq!(at_rest(&gone), [], "somebody else deleted it");
}

#[test]
fn two_trunks_of_one_instance_are_found() {
    let mut snapshot = resting();
    for id in ["eni-t1", "eni-t2"] {
        snapshot.referenced.insert(id.into());
        snapshot.enis.push(EniInCloud {
            trunk: true,
            ..eni(id)
        });
    }
    assert!(matches!(&at_rest(&snapshot)[..], [Violation::TwoTrunks { trunks, .. }] if trunks.len() == 2));
}

#[test]
fn what_is_left_or_missing_at_the_end_is_found() {
    let primary = |status: &str| EniInCloud {
        status: status.into(),
        ours: false,
        ..eni("eni-primary")
    };
    let clean = Remains {
        enis: vec![primary("InUse")],
        before: [("eni-primary".to_owned(), "InUse".to_owned())].into(),
        silent: true,
        ..Remains::default()
    };
    assert_eq!(at_the_end(&clean), []);

    let mut leaked = clean.clone();
    leaked.enis.push(eni("eni-7"));
    assert!(matches!(&at_the_end(&leaked)[..], [Violation::Leaked { .. }]));

    let mut taken = clean.clone();
    taken.enis.clear();
    assert!(matches!(&at_the_end(&taken)[..], [Violation::Lost { .. }]));
    let mut changed = clean.clone();
    changed.enis = vec![primary("Available")];
    assert!(matches!(&at_the_end(&changed)[..], [Violation::Lost { .. }]));

    let mut kept = clean.clone();
    kept.objects.push("PodENI db-0".into());
    assert!(matches!(&at_the_end(&kept)[..], [Violation::LeftOver { .. }]));

    let mut asking = clean.clone();
    asking.silent = false;
    assert_eq!(at_the_end(&asking), [Violation::NeverSilent]);

    let mut restless = clean;
    restless.late_calls = 3;
    assert!(matches!(
        &at_the_end(&restless)[..],
        [Violation::Restless { calls: 3 }]
    ));
}

/// Two pods on one shared ENI, the first of which goes and whose address is used again in time; the ENI then
/// loses an idle address, and goes when nobody is on it.
fn shared() -> Facts {
    let of = |uid: &str, name: &str, born, gone: Option<i64>, let_go: Option<i64>| PodLife {
        fixed: false,
        let_go: let_go.map(at),
        ..pod(uid, name, born, gone)
    };
    let on = |uid: &str, address: &str, seconds| Claim {
        shared: true,
        ..claim(uid, "eni-s", address, seconds)
    };
    Facts {
        calls: vec![
            call("CreateNetworkInterface", "eni-s", 1),
            assign("token-1", 2),
            assign("token-1", 3),
            unassign(&["10.0.1.3"], 20),
            call("DetachNetworkInterface", "eni-s", 40),
        ],
        pods: vec![
            of("s1", "one", 4, Some(10), Some(12)),
            of("s2", "two", 4, Some(30), Some(31)),
            of("s3", "three", 16, Some(30), Some(31)),
        ],
        claims: vec![
            on("s1", "10.0.1.1", 5),
            on("s2", "10.0.1.2", 5),
            on("s3", "10.0.1.1", 16),
        ],
        assigns: [
            ("token-1", "uid/op-1"),
            ("token-2", "uid/op-1"),
            ("token-3", "uid/op-2"),
        ]
        .map(|(token, operation)| (token.to_owned(), operation.to_owned()))
        .into(),
        ..good()
    }
}

fn assign(token: &str, seconds: i64) -> Call {
    Call {
        token: Some(token.into()),
        ..call("AssignPrivateIpAddresses", "eni-s", seconds)
    }
}

fn unassign(addresses: &[&str], seconds: i64) -> Call {
    Call {
        addresses: addresses.iter().map(|address| (*address).to_owned()).collect(),
        ..call("UnassignPrivateIpAddresses", "eni-s", seconds)
    }
}

#[test]
fn pods_may_share_an_eni_and_an_address_one_after_the_other() {
    assert_eq!(history(&shared()), []);
}

#[test]
fn a_shared_address_of_two_living_pods_is_found() {
    let mut facts = shared();
    facts.claims[2].address = "10.0.1.2".into();
    let found = history(&facts);
    assert!(found.contains(&Violation::UsedTwice {
        what: "10.0.1.2".into(),
        pods: ["two".into(), "three".into()],
    }));
}

#[test]
fn an_unassign_of_a_bound_address_is_found_until_its_sandbox_is_reported_gone() {
    for (address, second, broken) in [
        // Its pod lives.
        ("10.0.1.2", 20, true),
        // Its pod is gone, and nobody has reported the sandbox.
        ("10.0.1.1", 11, true),
        ("10.0.1.1", 13, false),
        // Another address of the same ENI.
        ("10.0.1.4", 11, false),
    ] {
        let mut facts = shared();
        facts.calls[3] = unassign(&[address], second);
        let found = history(&facts);
        assert_eq!(
            matches!(&found[..], [Violation::TouchedWhileLiving { .. }]),
            broken,
            "{address} at {second}: {found:?}"
        );
    }
}

#[test]
fn a_detach_of_a_shared_eni_is_found_while_any_of_its_sandboxes_is_there() {
    let mut facts = shared();
    facts.pods[2].let_go = None;
    assert!(matches!(
        &history(&facts)[..],
        [Violation::TouchedWhileLiving { pod, .. }] if pod.starts_with("three")
    ));
}

#[test]
fn a_shared_address_used_again_before_the_report_or_the_cooldown_is_found() {
    let mut facts = shared();
    facts.claims[2].at = at(14);
    assert!(matches!(&history(&facts)[..], [Violation::ReusedEarly { .. }]));
    facts = shared();
    facts.pods[0].let_go = None;
    facts.calls.truncate(3);
    assert!(matches!(&history(&facts)[..], [Violation::ReusedEarly { .. }]));
}

#[test]
fn a_pod_that_is_given_a_second_address_is_found() {
    let mut facts = shared();
    let mut second = facts.claims[1].clone();
    second.address = "10.0.1.9".into();
    facts.claims.push(second);
    assert!(matches!(&history(&facts)[..], [Violation::AddressChanged { after, .. }] if after == "10.0.1.9"));
}

#[test]
fn an_assign_done_again_under_another_token_is_found() {
    let mut facts = shared();
    facts.calls[2] = assign("token-3", 3);
    assert_eq!(history(&facts), []);
    facts.calls[2] = assign("token-2", 3);
    assert!(
        matches!(&history(&facts)[..], [Violation::AssignedTwice { operation }] if operation == "uid/op-1")
    );
    // Refused, it did nothing.
    facts.calls[2].outcome = "Throttling".into();
    assert_eq!(history(&facts), []);
}

#[test]
fn a_call_for_more_than_the_instance_type_allows_is_found() {
    let mut facts = shared();
    facts.calls[2].outcome = "InvalidOperation.Ipv4CountExceeded".into();
    assert!(matches!(&history(&facts)[..], [Violation::BeyondLimit { .. }]));
}

/// A node with one shared ENI of two addresses, one of them idle.
fn pooled() -> Snapshot {
    let addresses: BTreeSet<String> = ["10.0.1.1".to_owned(), "10.0.1.2".to_owned()].into();
    Snapshot {
        enis: vec![EniInCloud {
            member: false,
            addresses: addresses.clone(),
            ..eni("eni-s")
        }],
        referenced: ["eni-s".to_owned()].into(),
        pools: vec![RecordedPool {
            node: "pool1".into(),
            instance: "i-1".into(),
            enis: [("eni-s".to_owned(), addresses)].into(),
            idle: 1,
            min: 1,
            max: 1,
            most_enis: 1,
            most_addresses: 2,
        }],
        ..Snapshot::default()
    }
}

#[test]
fn an_address_that_only_the_cloud_or_only_the_record_knows_is_found() {
    assert_eq!(at_rest(&pooled()), []);
    let mut doubled = pooled();
    doubled.enis[0].addresses.insert("10.0.1.3".into());
    assert!(matches!(
        &at_rest(&doubled)[..],
        [Violation::Disagree { address, recorded: false, .. }] if address == "10.0.1.3"
    ));
    let mut lost = pooled();
    lost.enis[0].addresses.remove("10.0.1.1");
    assert!(matches!(
        &at_rest(&lost)[..],
        [Violation::Disagree { address, recorded: true, .. }] if address == "10.0.1.1"
    ));
}

#[test]
fn a_pool_outside_its_size_or_its_limits_is_found() {
    for idle in [0, 2] {
        let mut snapshot = pooled();
        snapshot.pools[0].idle = idle;
        assert!(matches!(&at_rest(&snapshot)[..], [Violation::PoolSize { .. }]));
    }
    let mut full = pooled();
    full.pools[0].most_addresses = 1;
    assert!(matches!(&at_rest(&full)[..], [Violation::BeyondLimit { .. }]));
    let mut many = pooled();
    many.pools[0].most_enis = 0;
    assert!(matches!(&at_rest(&many)[..], [Violation::BeyondLimit { .. }]));
}
