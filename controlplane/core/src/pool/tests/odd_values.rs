//! Values that nobody should write and that a record or an answer of the cloud can hold all the same.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use proptest::prelude::*;
use terway_crds::{EniKind, Operation, OperationKind};

use super::world::World;
use crate::cloud::{CloudEni, EniKind as CloudKind};
use crate::intent::Reply;
use crate::pool::draft::nic_of;
use crate::pool::*;
use crate::testing::cloud_eni;

/// A node with idle addresses, a day later.
fn idle_node() -> World {
    let mut world = World::new();
    world.pool(2, 5);
    world.reclaim("10m");
    world.settle(120);
    world.now += Duration::from_secs(24 * 3600);
    world
}

/// A node that has recorded the creation of its first ENI and has not sent it.
fn node_about_to_create() -> World {
    let mut world = World::new();
    world.pool(1, 1);
    for _ in 0..10 {
        if world.status().operations.is_empty() {
            world.step();
        }
    }
    world
}

fn odd_text() -> impl Strategy<Value = String> {
    const KNOWN: [&str; 11] = [
        "",
        "0",
        "NaN",
        "inf",
        "-inf",
        "-1",
        "1e308",
        "10m",
        "2562047h47m16s",
        "4000000000000000h",
        "x",
    ];
    prop_oneof![
        proptest::sample::select(&KNOWN[..]).prop_map(str::to_owned),
        "\\PC{0,12}"
    ]
}

fn odd_count() -> impl Strategy<Value = i32> {
    prop_oneof![
        Just(i32::MIN),
        Just(-1),
        Just(0),
        Just(1),
        Just(i32::MAX),
        any::<i32>()
    ]
}

fn odd_time() -> impl Strategy<Value = Option<Time>> {
    prop_oneof![
        Just(None),
        Just(Some(Timestamp::MIN)),
        Just(Some(Timestamp::MAX)),
        Just(Some(Timestamp::UNIX_EPOCH))
    ]
    .prop_map(|time| time.map(Time))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// The spec of a node says anything; a plan is made.
    #[test]
    fn no_setting_of_a_node_breaks_its_plan(
        after in odd_text(), interval in odd_text(), jitter in odd_text(), period in odd_text(),
        adapters in odd_count(), per_adapter in odd_count(), min in odd_count(), max in odd_count(),
        warm_up in odd_count(), batch in odd_count(), count in odd_count(),
    ) {
        let mut world = idle_node();
        let spec = &mut world.record.spec;
        (spec.node_cap.adapters, spec.node_cap.ipv4_per_adapter) = (adapters, per_adapter);
        spec.flavor[0].count = count;
        let pool = spec.pool.get_or_insert_default();
        (pool.min_pool_size, pool.max_pool_size, pool.warm_up_size) = (min, max, warm_up);
        pool.pool_sync_period = period;
        let reclaim = pool.reclaim.get_or_insert_default();
        (reclaim.after, reclaim.interval, reclaim.jitter_factor, reclaim.batch_size) = (after, interval, jitter, batch);
        world.plan();
    }

    /// A recorded operation says anything; a plan is made, and nothing is sent without its parameters.
    #[test]
    fn no_recorded_operation_breaks_a_plan(
        kind in 0..7usize, attempt in odd_count(), count in odd_count(), started_at in odd_time(), text in odd_text(),
    ) {
        let kinds = [
            OperationKind::CreateEni, OperationKind::CreateTrunk, OperationKind::AttachEni,
            OperationKind::AttachTrunk, OperationKind::AssignIps, OperationKind::UnassignIps,
            OperationKind::Other(text.clone()),
        ];
        let mut world = idle_node();
        let operation = Operation {
            id: "odd".into(), kind: kinds[kind].clone(), eni_id: text.clone(), vswitch_id: text.clone(),
            addresses: vec![text], attempt, count, started_at,
            ..Operation::default()
        };
        world.record.status.get_or_insert_default().operations.push(operation);
        let plan = world.plan();
        prop_assert!(!plan.calls.contains(&Call::Create("odd".into())));
    }
}

#[test]
fn an_operation_without_parameters_is_followed_by_one_that_can_be_sent() {
    let mut world = node_about_to_create();
    let operations = &mut world.record.status.as_mut().unwrap().operations;
    operations[0].parameters = None;
    let before = operations[0].id.clone();
    world.now += Duration::from_secs(1);
    let plan = world.plan();
    let operation = &plan.status.operations[0];
    assert_ne!(operation.id, before);
    assert!(operation.parameters.is_some());
    assert_eq!(plan.calls, []);
}

#[test]
fn an_eni_of_a_kind_that_the_definition_does_not_know_is_recorded_as_what_was_asked_for() {
    let odd = CloudEni {
        kind: CloudKind::Other("Quantum".into()),
        vswitch_id: "vsw-a".into(),
        ..cloud_eni("eni-odd")
    };
    // The definition of Node refuses every write of another word.
    assert_eq!(nic_of(&odd).kind, None);
    let mut world = node_about_to_create();
    let operation = world.status().operations[0].clone();
    let mut evidence = Evidence::fresh(operation.attempt);
    evidence.sending();
    evidence.replied(Reply::Created(Box::new(odd)), world.now, None);
    world.known.insert(index(&operation).to_owned(), evidence);
    let plan = world.plan();
    let nic = &plan.status.network_interfaces["eni-odd"];
    assert_eq!(nic.kind, Some(EniKind::Secondary));
}
