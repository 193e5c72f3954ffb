//! The life of a pod's ENI, planned by three controllers against a model of API server and cloud.
//!
//! Events come in any order: pods go, exit and come back, processes restart, replies are lost,
//! people delete records. At every call the model checks what must never happen; at the end
//! everything must have settled.

#![allow(
    clippy::expect_used,
    reason = "a test fails by panicking, and says what was expected"
)]

mod world;

use proptest::prelude::*;
use terway_crds::Phase;
use world::{Event, Lifetime, World};

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => Just(Event::Pods),
        6 => Just(Event::PodEnis),
        8 => Just(Event::Interfaces),
        6 => Just(Event::Cloud),
        2 => (1..20i64).prop_map(Event::Time),
        1 => Just(Event::PodLeaves),
        2 => Just(Event::PodGoes),
        1 => Just(Event::PodExits),
        3 => (0..2usize).prop_map(Event::PodComes),
        1 => Just(Event::ReplyLost),
        1 => Just(Event::Restart),
        1 => Just(Event::RecordDeleted),
        1 => Just(Event::RecordDeletedInRecording),
        1 => Just(Event::InterfaceDeleted),
        1 => Just(Event::EniDeleted),
        1 => Just(Event::EniDetached),
    ]
}

fn lifetime() -> impl Strategy<Value = Lifetime> {
    prop_oneof![Just(Lifetime::Elastic), Just(Lifetime::Fixed)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, max_shrink_iters: 4000, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_and_nothing_made_twice(
        lifetime in lifetime(),
        events in proptest::collection::vec(event(), 0..60),
    ) {
        let mut world = World::new(lifetime);
        for event in events {
            world.happen(event);
        }
        world.settle();
        world.check_settled();
        // And when the pod is gone for good, the cloud is as it was.
        world.happen(Event::PodGoes);
        world.settle();
        if lifetime == Lifetime::Fixed {
            world.happen(Event::RecordDeleted);
            world.settle();
        }
        world.sweep();
        world.check_empty();
    }
}

#[test]
fn a_pod_gets_its_eni_and_gives_it_back() {
    let mut world = World::new(Lifetime::Elastic);
    world.happen(Event::PodComes(0));
    world.settle();
    assert_eq!(world.phase(), Some(Phase::Bind));
    assert_eq!(world.calls, ["Create", "Attach"]);
    world.happen(Event::PodGoes);
    world.settle();
    assert_eq!(world.calls, ["Create", "Attach", "Detach", "Delete"]);
    world.check_empty();
}

#[test]
fn a_fixed_pod_takes_its_eni_to_another_node() {
    let mut world = World::new(Lifetime::Fixed);
    world.happen(Event::PodComes(0));
    world.settle();
    let before = world.eni_ids();
    world.happen(Event::PodGoes);
    world.settle();
    assert_eq!(world.phase(), Some(Phase::Unbind));
    world.happen(Event::PodComes(1));
    world.settle();
    assert_eq!(world.phase(), Some(Phase::Bind));
    assert_eq!(world.eni_ids(), before);
    assert_eq!(world.calls, ["Create", "Attach", "Detach", "Attach"]);
}

/// Its attach was under way, and nothing said so yet, when its pod went: it must be attached nowhere before
/// the next pod may have it.
#[test]
fn a_fixed_pod_that_went_while_its_eni_was_being_attached_comes_back_elsewhere() {
    let mut world = World::new(Lifetime::Fixed);
    for event in [
        Event::PodComes(0),
        Event::Pods,
        Event::PodEnis,
        Event::PodEnis,
        Event::PodGoes,
        Event::Interfaces,
        Event::PodComes(1),
    ] {
        world.happen(event);
    }
    world.settle();
    assert_eq!(world.phase(), Some(Phase::Bind));
    assert_eq!(world.calls, ["Create", "Attach", "Detach", "Attach"]);
}

#[test]
fn a_record_deleted_under_a_living_pod_waits_for_the_pod() {
    let mut world = World::new(Lifetime::Elastic);
    world.happen(Event::PodComes(0));
    world.settle();
    world.happen(Event::RecordDeleted);
    world.settle();
    assert_eq!(world.calls, ["Create", "Attach"]);
    assert!(
        world.message().contains("while the pod lives"),
        "{}",
        world.message()
    );
    world.happen(Event::PodGoes);
    world.settle();
    world.check_empty();
}

/// The deletion meets the write of the ENI's id. The pod lives, and nothing but this record can give it a network.
#[test]
fn a_record_deleted_while_its_eni_is_recorded_still_serves_its_pod() {
    for lifetime in [Lifetime::Elastic, Lifetime::Fixed] {
        let mut world = World::new(lifetime);
        world.happen(Event::RecordDeletedInRecording);
        world.happen(Event::PodComes(0));
        world.settle();
        assert_eq!(world.phase(), Some(Phase::Bind), "{lifetime:?}");
        assert_eq!(world.calls, ["Create", "Attach"], "{lifetime:?}");
        assert!(
            world.message().contains("while the pod lives"),
            "{}",
            world.message()
        );
        world.check_settled();
        world.happen(Event::PodGoes);
        world.settle();
        world.check_empty();
    }
}

#[test]
fn an_eni_that_somebody_detached_from_a_living_pod_is_attached_again() {
    for lifetime in [Lifetime::Elastic, Lifetime::Fixed] {
        let mut world = World::new(lifetime);
        world.happen(Event::PodComes(0));
        world.settle();
        world.happen(Event::EniDetached);
        world.settle();
        assert_eq!(world.calls, ["Create", "Attach", "Attach"], "{lifetime:?}");
        assert_eq!((world.phase(), world.message().as_str()), (Some(Phase::Bind), ""));
    }
}

#[test]
fn a_pod_whose_eni_somebody_deleted_is_told_so_and_leaves_nothing() {
    for (lifetime, cure) in [
        (Lifetime::Elastic, "delete the pod"),
        (Lifetime::Fixed, "delete this PodENI"),
    ] {
        let mut world = World::new(lifetime);
        world.happen(Event::PodComes(0));
        world.settle();
        world.happen(Event::EniDeleted);
        world.settle();
        assert!(world.message().contains(cure), "{}", world.message());
        world.check_settled();
        world.happen(Event::PodGoes);
        world.settle();
        world.happen(Event::RecordDeleted);
        world.settle();
        world.check_empty();
    }
}

#[test]
fn a_restart_with_a_lost_reply_leaks_nothing() {
    let mut world = World::new(Lifetime::Elastic);
    world.happen(Event::PodComes(0));
    world.happen(Event::ReplyLost);
    world.happen(Event::Pods);
    world.happen(Event::PodEnis);
    world.happen(Event::Restart);
    world.happen(Event::PodGoes);
    world.settle();
    world.check_empty();
}
