//! What a pool does, one behaviour after another.

use std::time::Duration;

use terway_crds::names::event;
use terway_crds::node::{NicStatus, Tag};
use terway_crds::{EniKind, OperationKind};

use super::world::{Fate, PER_ADAPTER, World};
use crate::binding::DRAINING;
use crate::cloud::{EniObservation, EniStatus};
use crate::pool::*;
use crate::room::is_sufficient;

fn joined(min: i32, max: i32) -> World {
    let mut world = World::new();
    world.pool(min, max);
    world.settle(60);
    world
}

#[test]
fn a_joining_node_gets_its_pool_with_one_create_and_one_attach() {
    let world = joined(5, 5);
    assert_eq!(world.cloud.calls, ["CreateENI ", "AttachENI eni-0"]);
    assert_eq!(world.idle(), 5);
    let status = world.status();
    assert_eq!(status.operations, []);
    assert_eq!(status.network_interfaces["eni-0"].ipv4_cidr, "10.5.0.0/16");
    // The intent, the ENI, its use: no write is made for nothing.
    assert_eq!(world.writes, 3);
}

#[test]
fn the_trunk_is_made_with_the_pool_in_it() {
    let mut world = World::new().with_trunk();
    world.pool(5, 5);
    world.settle(60);
    assert_eq!(world.cloud.calls, ["CreateTrunk ", "AttachTrunk eni-0"]);
    let status = world.status();
    assert_eq!(status.network_interfaces["eni-0"].kind, Some(EniKind::Trunk));
    world.pods.clear();
    assert_eq!(world.idle(), 5);
}

#[test]
fn a_burst_of_pods_is_served_by_few_large_operations_at_once() {
    let mut world = joined(2, 3);
    world.add_pods(12);
    world.step();
    // Two have what was idle; the other ten and the minimum of two are under way, counted once.
    assert_eq!(world.bound().len(), 2);
    let counts: Vec<(OperationKind, i32)> = world
        .status()
        .operations
        .iter()
        .map(|o| {
            (
                o.kind.clone(),
                o.parameters.as_ref().map_or(o.count, |p| p.ipv4_count),
            )
        })
        .collect();
    assert_eq!(
        counts,
        [
            (OperationKind::AssignIps, 3),
            (OperationKind::CreateEni, 5),
            (OperationKind::CreateEni, 4)
        ]
    );
    world.settle(60);
    assert_eq!((world.bound().len(), world.idle()), (12, 2));
    assert_eq!((world.sent("AssignIPs"), world.sent("CreateENI")), (1, 3));
}

#[test]
fn a_pool_is_filled_up_once_for_a_group_of_pods() {
    let mut world = joined(4, 4);
    for name in ["a", "b"] {
        world.add_pod(name);
        world.run(3);
    }
    assert_eq!((world.bound().len(), world.sent("AssignIPs")), (2, 0));
    let wake = world.plan().wake.unwrap();
    assert!(wake <= Duration::from_secs(2), "{wake:?}");
    world.now += wake;
    world.run(3);
    // There is room for one more on the ENI, and the other comes with a new one.
    assert_eq!((world.sent("AssignIPs"), world.sent("CreateENI")), (1, 2));
    world.settle(60);
    assert_eq!((world.bound().len(), world.idle()), (2, 4));
}

#[test]
fn a_pool_that_is_half_empty_is_filled_up_while_pods_come() {
    let mut world = joined(4, 4);
    for name in ["a", "b", "c"] {
        world.add_pod(name);
        world.run(3);
    }
    assert_eq!(world.bound().len(), 3);
    assert_eq!((world.sent("AssignIPs"), world.sent("CreateENI")), (1, 2));
}

#[test]
fn pods_that_come_one_after_the_other_wait_for_the_room_of_a_busy_eni() {
    let mut world = joined(1, 3);
    for number in 0..4 {
        world.add_pod(&format!("p{number:03}"));
        world.step();
    }
    world.settle(60);
    assert_eq!((world.bound().len(), world.idle()), (4, 1));
    assert_eq!(world.sent("CreateENI"), 1, "{:?}", world.cloud.calls);
    // The next ones need another ENI, and only one: what is on its way has room for all of them.
    for number in 4..8 {
        world.add_pod(&format!("p{number:03}"));
        world.step();
    }
    world.settle(60);
    assert_eq!((world.bound().len(), world.idle()), (8, 1));
    assert_eq!(world.sent("CreateENI"), 2, "{:?}", world.cloud.calls);
}

#[test]
fn an_eni_that_takes_long_is_not_waited_for() {
    let mut world = joined(1, 3);
    world.add_pods(4);
    world.settle(60);
    world.add_pod("q1");
    while world.sent("AttachENI") < 2 {
        world.step();
    }
    world.add_pod("q2");
    world.add_pod("q3");
    let attaching = |world: &World| world.plan().status.operations.len();
    assert_eq!(attaching(&world), 1, "there is room on the one that is attached");
    let wake = world.plan().wake.unwrap();
    assert!(wake <= Duration::from_secs(10), "{wake:?}");
    world.now += wake;
    assert_eq!(attaching(&world), 2);
}

#[test]
fn pods_beyond_what_the_node_can_hold_wait_and_nothing_is_tried() {
    let mut world = joined(2, 3);
    world.add_pods(20);
    world.settle(120);
    assert_eq!(world.bound().len(), 3 * PER_ADAPTER);
    let plan = world.plan();
    assert_eq!((plan.waiting.len(), plan.calls.len()), (5, 0));
    assert_eq!(plan.status, world.status());
    assert!(!is_sufficient(&world.record, &[]));
}

#[test]
fn idle_addresses_above_the_maximum_go_back_after_the_period() {
    let mut world = joined(2, 3);
    world.add_pods(9);
    world.settle(60);
    for number in 0..9 {
        world.remove_pod(&format!("p{number:03}"), true);
    }
    world.settle(20);
    assert_eq!(world.bound().len(), 9, "the cooldown is not over");
    world.settle(300);
    assert_eq!((world.bound().len(), world.idle()), (0, 3));
    assert_eq!(
        world.cloud.enis.len(),
        1,
        "ENIs that are idle as a whole go as a whole"
    );
}

#[test]
fn long_idle_addresses_are_reclaimed_down_to_the_minimum_in_batches() {
    let mut world = World::new();
    world.pool(1, 5);
    world.record.spec.pool.as_mut().unwrap().warm_up_size = 5;
    world.reclaim("10m");
    world.settle(300);
    assert_eq!((world.idle(), world.status().warm_up_completed), (5, true));
    world.settle(400);
    assert_eq!(world.idle(), 3);
    world.settle(1500);
    assert_eq!(world.idle(), 1);
}

#[test]
fn a_warm_up_larger_than_the_node_ends_at_what_the_node_can_have() {
    let mut world = World::new();
    world.pool(0, 100);
    world.record.spec.pool.as_mut().unwrap().warm_up_size = 1000;
    world.settle(60);
    let status = world.status();
    assert_eq!((status.warm_up_target, status.warm_up_completed), (15, true));
    assert_eq!(world.idle(), 15);
}

#[test]
fn an_exhausted_vswitch_is_passed_over_and_taken_again_when_it_recovers() {
    let mut world = World::new();
    world.pool(4, 4);
    world.cloud.left.insert("vsw-a".into(), 0);
    world.settle(60);
    assert_eq!(world.status().network_interfaces["eni-0"].vswitch_id, "vsw-b");
    world.cloud.left.insert("vsw-b".into(), 0);
    world.add_pods(6);
    world.settle(60);
    assert_eq!((world.bound().len(), world.plan().calls.len()), (4, 0));
    world.cloud.left.insert("vsw-a".into(), 50);
    world.settle(60);
    assert_eq!(world.bound().len(), 6);
}

#[test]
fn an_eni_stuck_on_an_exhausted_vswitch_is_drained_and_replaced() {
    let mut world = World::new();
    world.pool(0, 2);
    // Three ENIs, and the first vSwitch ends with the third one of them half full.
    world.cloud.left = [("vsw-a".to_owned(), 12), ("vsw-b".to_owned(), 0)].into();
    world.add_pods(12);
    world.settle(60);
    assert_eq!((world.cloud.enis.len(), world.bound().len()), (3, 12));
    world.cloud.left.insert("vsw-b".into(), 100);
    world.add_pods(14);
    world.settle(60);
    let draining: Vec<String> = world
        .status()
        .network_interfaces
        .values()
        .filter(|nic| nic.conditions.contains_key(DRAINING))
        .map(|nic| nic.id.clone())
        .collect();
    assert_eq!(draining.len(), 1, "no place is left, so one is made");
    let on_it: Vec<String> = world.status().network_interfaces[&draining[0]]
        .ipv4
        .values()
        .map(|ip| ip.pod_id.trim_start_matches("ns/").to_owned())
        .collect();
    assert_eq!(on_it.len(), 2);
    for name in &on_it {
        world.remove_pod(name, true);
    }
    // They come again, under other names, and wait like the others.
    world.add_pod("x1");
    world.add_pod("x2");
    world.settle(200);
    assert!(!world.cloud.enis.contains_key(&draining[0]));
    assert_eq!(world.bound().len(), 14);
    let vswitches: BTreeSet<String> = world
        .cloud
        .enis
        .values()
        .map(|eni| eni.vswitch_id.clone())
        .collect();
    assert!(vswitches.contains("vsw-b"));
}

#[test]
fn enis_that_are_there_are_taken_over_and_running_pods_keep_their_addresses() {
    let mut world = World::new();
    world.cloud.attached("eni-old", 3);
    let address = world.cloud.enis["eni-old"].primary_ip;
    world.add_pod("running");
    world.pods.get_mut("uid-running").unwrap().address = address;
    world.add_pod("new");
    world.settle(60);
    assert_eq!(world.bound()["uid-running"], address.unwrap().to_string());
    assert_eq!(world.bound().len(), 2);
    assert_eq!(world.sent("CreateENI"), 0);
}

#[test]
fn blocked_and_filtered_enis_are_shown_and_left_alone() {
    let mut world = World::new();
    let options = world.record.spec.eni.as_mut().unwrap();
    options.tag_block_list.push(Tag {
        key: "owner".into(),
        value: "somebody".into(),
    });
    world
        .cloud
        .attached("eni-theirs", 3)
        .tags
        .insert("owner".into(), "somebody".into());
    world.add_pods(20);
    world.settle(120);
    let status = world.status();
    assert!(status.network_interfaces["eni-theirs"].unschedulable);
    assert_eq!(world.cloud.enis["eni-theirs"].private_ips.len(), 3);
    // It takes up a place of the instance all the same.
    assert_eq!(world.bound().len(), 2 * PER_ADAPTER);
    let options = world.record.spec.eni.as_mut().unwrap();
    options.tag_block_list.clear();
    options.tag_filter.insert("mine".into(), "yes".into());
    world.record.status.as_mut().unwrap().next_sync_openapi_time = None;
    world.settle(60);
    assert!(
        world
            .status()
            .network_interfaces
            .values()
            .all(|nic| nic.unschedulable)
    );
}

#[test]
fn an_eni_of_another_cluster_is_shown_and_left_alone() {
    let mut world = World::new();
    let tags = &mut world.record.spec.eni.as_mut().unwrap().tag;
    tags.insert("ack.aliyun.com".into(), "c1".into());
    let theirs = world.cloud.attached("eni-theirs", 3);
    theirs.tags.insert("ack.aliyun.com".into(), "c2".into());
    world.add_pods(2);
    world.settle(120);
    assert!(world.status().network_interfaces["eni-theirs"].unschedulable);
    assert_eq!(world.cloud.enis["eni-theirs"].private_ips.len(), 3);
    assert_eq!(world.bound().len(), 2);
    assert!(
        !world.cloud.calls.iter().any(|call| call.contains("theirs")),
        "{:?}",
        world.cloud.calls
    );
}

#[test]
fn what_the_cloud_lost_is_invalid_and_said() {
    let mut world = joined(3, 3);
    world.settings.sync_period = Duration::from_secs(60);
    world.record.status.as_mut().unwrap().next_sync_openapi_time = None;
    let lost = world
        .cloud
        .enis
        .get_mut("eni-0")
        .unwrap()
        .private_ips
        .pop()
        .unwrap()
        .address;
    world.cloud.enis.get_mut("eni-0").unwrap().security_group_ids = vec!["sg-x".into()];
    world.settle(60);
    assert!(
        !world.status().network_interfaces["eni-0"]
            .ipv4
            .contains_key(&lost.to_string())
    );
    let said = |words: &str| world.news.iter().any(|news| format!("{news:?}").contains(words));
    assert!(said(&lost.to_string()) && said("sg-x"));
    assert_eq!(world.idle(), 3);
}

#[test]
fn nothing_happens_before_the_cloud_was_asked_what_the_node_has() {
    let mut world = World::new();
    world.add_pod("a");
    let plan = world.plan();
    assert_eq!((plan.calls, plan.status), (vec![Call::ListEnis], world.status()));
}

#[test]
fn a_lost_assign_is_asked_again_with_its_token_and_later_found_by_what_the_eni_has() {
    for late in [false, true] {
        let mut world = joined(1, 3);
        world.add_pods(3);
        world.fates.push_back(Fate::DoneLost);
        world.run(3);
        assert_eq!(world.cloud.enis["eni-0"].private_ips.len(), 4);
        if late {
            world.restart();
            world.now += Duration::from_secs(1000);
        }
        world.settle(60);
        assert_eq!(world.cloud.enis["eni-0"].private_ips.len(), 4, "late: {late}");
        assert_eq!((world.bound().len(), world.idle()), (3, 1));
    }
}

#[test]
fn addresses_are_given_back_only_by_a_leader_whose_write_was_taken() {
    let mut world = joined(0, 5);
    world.add_pods(5);
    world.settle(60);
    for number in 1..5 {
        world.remove_pod(&format!("p{number:03}"), true);
    }
    world.pool(0, 0);
    world.now += Duration::from_secs(200);
    for _ in 0..20 {
        if world.status().operations.is_empty() {
            world.step();
        }
    }
    world.restart();
    let plan = world.plan();
    assert_eq!(plan.calls, []);
    assert_eq!(plan.status.operations[0].term, world.settings.term);
    world.settle(60);
    assert_eq!(world.cloud.enis["eni-0"].private_ips.len(), 1);
}

#[test]
fn an_attach_that_is_refused_for_good_gives_the_eni_back() {
    let mut world = World::new();
    world.fates.extend([
        Fate::Done,
        Fate::Refused,
        Fate::Refused,
        Fate::Refused,
        Fate::Refused,
        Fate::Refused,
    ]);
    world.settle(120);
    assert!(!world.cloud.enis.contains_key("eni-0"));
    assert_eq!(world.idle(), 2);
}

#[test]
fn degradation_leaves_pods_what_is_there() {
    for (degradation, bound) in [(Degradation::L0, 2), (Degradation::L1, 3)] {
        let mut world = joined(2, 2);
        world.settings.degradation = degradation;
        world.add_pods(3);
        world.settle(60);
        assert_eq!(world.bound().len(), bound, "{degradation:?}");
        world.pool(0, 0);
        for number in 0..3 {
            world.remove_pod(&format!("p{number:03}"), true);
        }
        let before = world.cloud.calls.len();
        world.settle(600);
        assert_eq!(world.cloud.calls.len(), before, "nothing is given back");
    }
}

#[test]
fn an_eni_somebody_took_away_is_said_and_replaced() {
    let mut world = joined(2, 2);
    world.cloud.enis.get_mut("eni-0").unwrap().instance_id = None;
    world.cloud.enis.get_mut("eni-0").unwrap().status = EniStatus::Available;
    world.record.status.as_mut().unwrap().next_sync_openapi_time = None;
    world.settle(120);
    assert!(!world.status().network_interfaces.contains_key("eni-0"));
    assert_eq!(
        world.status().network_interfaces["eni-1"].status,
        NicStatus::InUse
    );
    assert_eq!(world.idle(), 2);
}

#[test]
fn without_an_agent_addresses_stay_bound() {
    let mut world = joined(2, 2);
    world.has_agent = false;
    world.add_pods(1);
    world.settle(30);
    world.remove_pod("p000", true);
    world.settle(600);
    assert_eq!(world.bound().len(), 1);
}

#[test]
fn an_eni_whose_object_was_made_and_not_told_to_go_is_handed_over_again() {
    let mut world = joined(2, 2);
    let nics = &mut world.record.status.as_mut().unwrap().network_interfaces;
    nics.get_mut("eni-0").unwrap().status = NicStatus::Deleting;
    world.made.insert("eni-0".into());
    assert!(world.plan().calls.contains(&Call::HandOver("eni-0".into())));
    world.leaving.insert("eni-0".into());
    assert!(!world.plan().calls.contains(&Call::HandOver("eni-0".into())));
}

#[test]
fn an_eni_that_is_to_go_stays_while_nothing_may_be_given_back() {
    for degradation in [Degradation::L0, Degradation::L1] {
        let mut world = joined(2, 2);
        let nics = &mut world.record.status.as_mut().unwrap().network_interfaces;
        nics.get_mut("eni-0").unwrap().status = NicStatus::Deleting;
        world.settings.degradation = degradation;
        assert!(!world.plan().calls.contains(&Call::HandOver("eni-0".into())));
    }
}

#[test]
fn a_pod_with_an_address_that_no_eni_has_keeps_it_and_is_told_of() {
    let mut world = joined(2, 2);
    world.add_pods(1);
    world
        .pods
        .values_mut()
        .for_each(|pod| pod.address = Some([10, 9, 9, 9].into()));
    world.record.status.as_mut().unwrap().next_sync_openapi_time = None;
    world.news.clear();
    world.settle(60);
    let said = |news: &News| {
        news.reason == event::RESOURCE_INVALID && news.note.contains("ns/p000 runs with 10.9.9.9")
    };
    assert!(world.news.iter().any(said), "{:?}", world.news);
    assert_eq!((world.bound().len(), world.idle()), (0, 2));
}

#[test]
fn a_pool_below_its_minimum_is_looked_at_again_though_no_pod_waits() {
    let mut world = joined(2, 2);
    world.cloud.left = [("vsw-a".to_owned(), 0), ("vsw-b".to_owned(), 0)].into();
    world.add_pod("a");
    world.settle(60);
    assert_eq!((world.bound().len(), world.idle()), (1, 1));
    assert!(
        world
            .plan()
            .wake
            .is_some_and(|wake| wake <= Duration::from_secs(30))
    );
}

#[test]
fn an_eni_that_an_old_look_did_not_show_is_not_given_up() {
    let mut world = World::new();
    world.pool(2, 2);
    while !world.status().operations.iter().any(attaches) {
        world.step();
    }
    let begun = world.now;
    world.now += Duration::from_secs(60);
    let mut status_after = |seen_at| {
        world
            .seen
            .insert("eni-0".into(), (EniObservation::Absent, seen_at));
        world.plan().status.network_interfaces["eni-0"].status.clone()
    };
    assert_eq!(status_after(begun), NicStatus::Attaching);
    // The recorded time is a whole second, and may be nearly one too early.
    assert_eq!(
        status_after(begun + Duration::from_millis(15_500)),
        NicStatus::Attaching
    );
    assert_eq!(status_after(begun + Duration::from_secs(60)), NicStatus::Deleting);
}
