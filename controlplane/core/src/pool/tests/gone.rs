//! What somebody takes away in the cloud: noticed, told, and replaced.

use std::time::Duration;

use terway_crds::node::NicStatus;
use terway_crds::{EniKind, Operation, OperationKind};

use super::world::World;
use crate::conditions::failing_reason;
use crate::node::trunk_nic;
use crate::pool::*;

/// A node with two idle addresses beside those of its pods.
fn with_pods(count: usize) -> World {
    let mut world = World::new();
    world.pool(2, 2);
    world.settle(60);
    world.add_pods(count);
    world.settle(60);
    world
}

/// The kubelet has reported the addresses of all pods.
fn pods_run(world: &mut World) {
    let bound = world.bound();
    for (uid, pod) in &mut world.pods {
        pod.address = bound.get(uid).and_then(|address| address.parse().ok());
    }
}

fn contradict(world: &mut World) {
    world.suspected = Some(world.now);
}

fn reason(world: &World, kind: &str) -> Option<String> {
    failing_reason(&world.status().conditions, kind).map(str::to_owned)
}

#[test]
fn pods_that_run_are_told_and_their_eni_goes_with_the_last_of_them() {
    let mut world = with_pods(3);
    pods_run(&mut world);
    world.take_away("eni-0");
    contradict(&mut world);
    world.settle(60);
    let told: Vec<&str> = world.lost.iter().map(|lost| lost.pod_uid.as_str()).collect();
    assert_eq!(told, ["uid-p000", "uid-p001", "uid-p002"]);
    assert!(
        world.lost[0].news.note.contains("delete the pod"),
        "{:?}",
        world.lost[0]
    );
    assert_eq!(reason(&world, ENIS_PRESENT).as_deref(), Some("ENIGone"));
    let condition = world
        .status()
        .conditions
        .into_iter()
        .find(|c| c.type_ == ENIS_PRESENT)
        .unwrap();
    assert!(
        condition.message.contains("eni-0") && condition.message.contains("ns/p001"),
        "{}",
        condition.message
    );
    // Others find a place at once.
    assert_eq!(world.idle(), 2);
    world.add_pods(6);
    world.settle(60);
    assert_eq!(world.bound().len(), 6);

    let lists = world.lists;
    for name in ["p000", "p001", "p002"] {
        world.remove_pod(name, true);
    }
    world.settle(120);
    assert!(!world.status().network_interfaces.contains_key("eni-0"));
    assert_eq!(world.lists, lists, "what is gone needs no second look to go");
    assert_eq!(reason(&world, ENIS_PRESENT), None);
    assert_eq!(world.lost.len(), 3, "each pod is told once");
}

#[test]
fn a_pod_that_has_not_begun_gets_another_address() {
    let mut world = with_pods(2);
    world.take_away("eni-0");
    contradict(&mut world);
    world.settle(60);
    assert_eq!(world.bound().len(), 2);
    assert!(!world.status().network_interfaces.contains_key("eni-0"));
    assert_eq!(reason(&world, ENIS_PRESENT), None);
    assert_eq!(world.idle(), 2);
}

#[test]
fn a_trunk_that_is_gone_is_replaced_by_one_other() {
    let mut world = World::new().with_trunk();
    world.pool(0, 0);
    world.settle(60);
    let first = trunk_nic(&world.record).unwrap().id.clone();
    world.take_away(&first);
    contradict(&mut world);
    while world.status().operations.is_empty() {
        world.step();
        world.finish_releases();
    }
    assert_eq!(reason(&world, TRUNK_READY).as_deref(), Some("NoTrunkAttached"));
    world.settle(60);
    let trunk = trunk_nic(&world.record).unwrap();
    assert_ne!(trunk.id, first);
    assert_eq!(world.sent("CreateTrunk"), 2);
    assert_eq!(reason(&world, TRUNK_READY), None);
}

#[test]
fn a_trunk_whose_own_addresses_pods_have_is_replaced_too() {
    let mut world = World::new().with_trunk();
    world.pool(2, 2);
    world.settle(60);
    world.add_pods(2);
    world.settle(60);
    pods_run(&mut world);
    let first = trunk_nic(&world.record).unwrap().id.clone();
    world.take_away(&first);
    contradict(&mut world);
    world.settle(120);
    assert_eq!(
        world.status().network_interfaces[&first].status,
        NicStatus::Detaching
    );
    assert_ne!(trunk_nic(&world.record).unwrap().id, first);
    assert_eq!(world.sent("CreateTrunk"), 2);
}

#[test]
fn an_instance_never_has_two_trunks() {
    let mut world = World::new().with_trunk();
    world.pool(0, 0);
    world.settle(60);
    let nics = &mut world.record.status.as_mut().unwrap().network_interfaces;
    let trunk = nics
        .values_mut()
        .find(|nic| nic.kind == Some(EniKind::Trunk))
        .unwrap();
    trunk.status = NicStatus::Deleting;
    for _ in 0..20 {
        world.step();
        world.now += Duration::from_secs(5);
    }
    assert_eq!(
        world.sent("CreateTrunk"),
        1,
        "the first one is still on the instance"
    );
    world.settle(60);
    assert_eq!(world.sent("CreateTrunk"), 2);
}

/// The list of a comparison says nothing about the time after it.
#[test]
fn each_comparison_has_a_list_of_its_own() {
    let mut world = with_pods(1);
    pods_run(&mut world);
    // The node is quiet: nothing has changed since this comparison.
    world.record.status.as_mut().unwrap().next_sync_openapi_time = None;
    world.settle(60);
    let lists = world.lists;
    world.take_away("eni-0");
    world.settle(60);
    assert_eq!((world.lists, reason(&world, ENIS_PRESENT)), (lists, None));
    world.now += world.settings.sync_period * 2;
    world.settle(60);
    assert_eq!(world.lists, lists + 1);
    assert_eq!(reason(&world, ENIS_PRESENT).as_deref(), Some("ENIGone"));
}

#[test]
fn contradictions_without_end_cost_few_lists() {
    let mut world = with_pods(1);
    let lists = world.lists;
    for _ in 0..60 {
        contradict(&mut world);
        world.step();
        world.step();
        world.step();
        world.now += Duration::from_secs(1);
    }
    let more = world.lists - lists;
    assert!((4..=5).contains(&more), "{more} lists in a minute");
}

#[test]
fn an_operation_that_never_ends_does_not_keep_the_comparison_away() {
    let mut world = with_pods(1);
    pods_run(&mut world);
    let operation = Operation {
        id: "stuck".into(),
        kind: OperationKind::Other("Newer".into()),
        attempt: 1,
        started_at: Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(world.now)),
        ..Operation::default()
    };
    world.record.status.as_mut().unwrap().operations.push(operation);
    world.take_away("eni-0");
    contradict(&mut world);
    world.run(5);
    assert_eq!(reason(&world, ENIS_PRESENT), None, "it may be about this ENI");
    world.now += Duration::from_secs(301);
    world.run(5);
    assert_eq!(reason(&world, ENIS_PRESENT).as_deref(), Some("ENIGone"));
}

#[test]
fn a_create_without_its_parameters_ends() {
    let mut world = with_pods(0);
    let operation = Operation {
        id: "edited".into(),
        kind: OperationKind::CreateEni,
        attempt: 1,
        ..Operation::default()
    };
    world.record.status.as_mut().unwrap().operations.push(operation);
    world.settle(60);
    assert_eq!(world.status().operations, []);
}
