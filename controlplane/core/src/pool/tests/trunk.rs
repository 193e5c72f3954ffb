//! The trunk of a node, from nothing to use, whatever is lost on the way.

use std::time::Duration;

use proptest::prelude::*;
use terway_crds::names::event;
use terway_crds::{EniKind, Operation, OperationKind};

use super::world::{Fate, World};
use crate::cloud::{EniKind as CloudKind, EniStatus};
use crate::conditions::failing_reason;
use crate::node::trunk_nic;
use crate::pool::*;

/// A node that keeps no idle addresses.
fn trunk_alone() -> World {
    let mut world = World::new().with_trunk();
    world.pool(0, 0);
    world
}

fn trunks(world: &World) -> Vec<&String> {
    let enis = world.cloud.enis.values();
    enis.filter(|eni| eni.kind == CloudKind::Trunk)
        .map(|eni| &eni.id)
        .collect()
}

fn recorded(world: &World) -> Option<String> {
    trunk_nic(&world.record).map(|nic| nic.id.clone())
}

#[test]
fn a_node_without_a_pool_has_its_trunk_and_no_other_eni() {
    let mut world = trunk_alone();
    world.settle(60);
    assert_eq!(world.cloud.calls, ["CreateTrunk ", "AttachTrunk eni-0"]);
    assert_eq!(recorded(&world).as_deref(), Some("eni-0"));
    let status = world.status();
    assert_eq!(status.network_interfaces.len(), 1);
    let said = &status.conditions[0];
    assert_eq!((said.type_.as_str(), said.status.as_str()), (TRUNK_READY, "True"));
    assert!(said.message.contains("eni-0"), "{}", said.message);
}

#[test]
fn a_trunk_that_is_there_is_taken_over() {
    let mut world = trunk_alone();
    world.cloud.attached("eni-there", 1).kind = CloudKind::Trunk;
    world.settle(60);
    assert_eq!(recorded(&world).as_deref(), Some("eni-there"));
    assert!(world.cloud.calls.is_empty(), "{:?}", world.cloud.calls);
}

#[test]
fn a_trunk_of_which_the_record_is_lost_is_found_and_no_other_is_made() {
    let mut world = trunk_alone();
    world.settle(60);
    world.record.status.as_mut().unwrap().network_interfaces.clear();
    world.restart();
    world.settle(60);
    assert_eq!(recorded(&world).as_deref(), Some("eni-0"));
    assert_eq!(world.sent("CreateTrunk"), 1);
}

#[test]
fn an_attach_of_which_nothing_shows_is_sent_again_after_a_time() {
    let mut world = trunk_alone();
    world.fates.extend([Fate::Done, Fate::Lost]);
    while !world.fates.is_empty() {
        world.step();
    }
    assert_eq!(world.sent("AttachTrunk"), 0, "the call was lost on its way");
    world.now += Duration::from_secs(10);
    world.step();
    assert_eq!(world.sent("AttachTrunk"), 0, "it may not show yet");
    let wake = world.plan().wake.unwrap();
    world.now += wake;
    world.run(2);
    assert_eq!(world.sent("AttachTrunk"), 1);
}

#[test]
fn a_trunk_that_vanished_before_its_attach_is_given_up_and_another_made() {
    let mut world = trunk_alone();
    while !world.status().operations.iter().any(attaches) {
        world.step();
    }
    world.cloud.enis.remove("eni-0");
    world.restart();
    world.settle(300);
    assert_eq!(recorded(&world).as_deref(), Some("eni-1"));
    assert_eq!(trunks(&world), ["eni-1"]);
}

#[test]
fn the_attempt_after_a_refusal_takes_the_settings_of_now_and_another_vswitch() {
    let mut world = trunk_alone();
    world.fates.push_back(Fate::Refused);
    while !world.fates.is_empty() {
        world.step();
    }
    let eni = world.record.spec.eni.as_mut().unwrap();
    eni.security_group_ids = vec!["sg-repaired".into()];
    eni.resource_group_id = "rg".into();
    eni.tag = [("team".to_owned(), "net".to_owned())].into();
    world.cloud.left.insert("vsw-a".into(), 0);
    world.settle(60);
    let trunk = &world.cloud.enis["eni-0"];
    assert_eq!(trunk.security_group_ids, ["sg-repaired"]);
    assert_eq!(trunk.vswitch_id, "vsw-b");
    assert_eq!(trunk.tags["team"], "net");
    let refused = |news: &News| news.reason == event::CREATE_ENI_FAILED && news.note.contains("Code");
    assert!(world.news.iter().any(refused), "{:?}", world.news);
}

#[test]
fn an_operation_without_an_id_of_an_earlier_version_is_brought_to_its_end() {
    let mut world = trunk_alone();
    world.cloud.attached("eni-old", 1).kind = CloudKind::Trunk;
    world.record.status = Some(terway_crds::TerwayNodeStatus {
        operations: vec![Operation {
            kind: OperationKind::AttachTrunk,
            eni_id: "eni-old".into(),
            attempt: 1,
            ..Operation::default()
        }],
        ..Default::default()
    });
    assert_eq!(index(&world.status().operations[0]), "trunk");
    world.settle(60);
    assert_eq!(recorded(&world).as_deref(), Some("eni-old"));
    assert_eq!(world.status().operations, []);
    assert_eq!(world.sent("CreateTrunk"), 0);
}

#[test]
fn an_instance_type_without_trunks_is_named_where_a_pod_waits_for_one() {
    let reason = |world: &World| {
        let conditions = world.status().conditions;
        failing_reason(&conditions, TRUNK_READY).map(str::to_owned)
    };
    let mut world = World::new();
    world.pool(0, 0);
    world.settle(60);
    assert_eq!(reason(&world), None);
    assert_eq!(world.status().conditions, []);
    world.add_pod("a");
    world.pods.values_mut().for_each(|pod| pod.wants_pod_eni = true);
    world.settle(60);
    assert_eq!(reason(&world).as_deref(), Some("NoTrunk"));
    assert!(trunks(&world).is_empty());
}

#[test]
fn degradation_holds_a_trunk_back_and_says_so() {
    let mut world = trunk_alone();
    world.settings.degradation = Degradation::L0;
    world.settle(60);
    assert!(world.cloud.calls.is_empty());
    let conditions = world.status().conditions;
    assert_eq!(failing_reason(&conditions, TRUNK_READY), Some("Degraded"));
    world.settings.degradation = Degradation::None;
    world.settle(60);
    assert_eq!(recorded(&world).as_deref(), Some("eni-0"));
    let conditions = world.status().conditions;
    assert_eq!(failing_reason(&conditions, TRUNK_READY), None);
}

proptest! {
    /// Whatever is lost, a node ends with one trunk, in use, recorded.
    #[test]
    fn one_node_makes_one_trunk(events in proptest::collection::vec(0..6u8, 0..40), pods in 0..3usize) {
        let mut world = trunk_alone();
        world.add_pods(pods);
        for event in events {
            match event {
                0 => { world.step(); }
                1 => world.attach_all(),
                2 => world.restart(),
                3 => world.fates.push_back(Fate::DoneLost),
                4 => world.fates.push_back(Fate::Lost),
                _ => if let Some(status) = &mut world.record.status {
                    // Somebody edits the record. Operations stay: they are what is under way.
                    if status.operations.is_empty() { status.network_interfaces.clear(); }
                },
            }
            world.now += Duration::from_secs(1);
        }
        world.restart();
        world.settle(2500);
        let there: Vec<String> = trunks(&world).into_iter().cloned().collect();
        prop_assert_eq!(there.len(), 1);
        prop_assert_eq!(recorded(&world), Some(there[0].clone()));
        prop_assert_eq!(&world.status().network_interfaces[&there[0]].kind, &Some(EniKind::Trunk));
        prop_assert_eq!(&world.cloud.enis[&there[0]].status, &EniStatus::InUse);
    }
}
