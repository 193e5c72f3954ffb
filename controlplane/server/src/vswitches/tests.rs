//! What is asked of the cloud about vSwitches, how often, and what is remembered.

use futures::future::join_all;
use serde_json::Value;
use terway_crds::PodNetwork;

use super::*;
use crate::testing::{CloudServer, shop};

const LONG: Duration = Duration::from_secs(600);

fn vswitch(id: &str, zone: &str) -> Value {
    shop::vswitch(id, zone, 9)
}

fn ids(ids: &[&str]) -> Vec<String> {
    ids.iter().map(ToString::to_string).collect()
}

async fn vswitches(cloud: &CloudServer, life: Duration, size: usize) -> VSwitches {
    VSwitches::new(cloud.connect().await, life, size)
}

async fn available(vswitches: &VSwitches, id: &str) -> i64 {
    vswitches.candidates(&ids(&[id])).await.unwrap()[0].available
}

#[tokio::test]
async fn many_who_want_the_same_vswitch_ask_once() {
    let cloud = CloudServer::default();
    let vswitches = vswitches(&cloud, LONG, 10).await;
    cloud.will_describe(&[vswitch("vsw-1", "h")]);
    let wanted = ids(&["vsw-1"]);
    let answers = join_all((0..50).map(|_| vswitches.resolve(&wanted))).await;
    assert!(answers.into_iter().all(|found| found.unwrap().len() == 1));
    assert_eq!(cloud.log().len(), 1);
}

#[tokio::test]
async fn vswitches_come_in_the_order_that_was_asked_for() {
    let cloud = CloudServer::default();
    let vswitches = vswitches(&cloud, LONG, 10).await;
    cloud.will_describe(&[vswitch("vsw-1", "h"), vswitch("vsw-2", "i")]);
    let found = vswitches.resolve(&ids(&["vsw-2", "vsw-1"])).await.unwrap();
    let found: Vec<&str> = found.iter().map(|vswitch| vswitch.id.as_str()).collect();
    assert_eq!(found, ["vsw-2", "vsw-1"]);
}

#[tokio::test]
async fn an_answer_that_is_old_is_asked_for_again() {
    let cloud = CloudServer::default();
    let vswitches = vswitches(&cloud, Duration::ZERO, 10).await;
    for _ in 0..2 {
        cloud.will_describe(&[vswitch("vsw-1", "h")]);
        vswitches.resolve(&ids(&["vsw-1"])).await.unwrap();
    }
    assert_eq!(cloud.log().len(), 2);
    // Who must not wait gets what is remembered, and is told that it is old.
    let remembered = vswitches.remembered(&ids(&["vsw-1"]));
    assert_eq!(
        (remembered.vswitches.len(), remembered.stale, remembered.complete),
        (1, true, true)
    );
}

#[tokio::test]
async fn a_cloud_that_cannot_be_asked_is_no_cloud_without_vswitches() {
    let cloud = CloudServer::default();
    let vswitches = vswitches(&cloud, LONG, 10).await;
    cloud.will_refuse("DescribeVSwitches", 403, "Forbidden.RAM");
    assert!(vswitches.resolve(&ids(&["vsw-1"])).await.is_err());
    let remembered = vswitches.remembered(&ids(&["vsw-1"]));
    assert_eq!((remembered.complete, remembered.stale), (false, true));
}

#[tokio::test]
async fn a_vswitch_that_does_not_exist_is_known_not_to() {
    let cloud = CloudServer::default();
    let vswitches = vswitches(&cloud, LONG, 10).await;
    assert_eq!(vswitches.resolve(&ids(&["vsw-none"])).await.unwrap(), []);
    let remembered = vswitches.remembered(&ids(&["vsw-none"]));
    assert_eq!(
        (remembered.vswitches.len(), remembered.complete, remembered.stale),
        (0, true, false)
    );
}

#[tokio::test]
async fn a_thousand_pods_that_want_a_vanished_vswitch_cost_one_call() {
    let cloud = CloudServer::default();
    let vswitches = vswitches(&cloud, LONG, 10).await;
    let wanted = ids(&["vsw-none"]);
    let answers = join_all((0..1000).map(|_| vswitches.resolve(&wanted))).await;
    assert!(answers.into_iter().all(|found| found.unwrap().is_empty()));
    assert_eq!(cloud.log().len(), 1);
}

#[tokio::test]
async fn a_vswitch_that_somebody_makes_is_found() {
    let cloud = CloudServer::default();
    let mut vswitches = vswitches(&cloud, LONG, 10).await;
    vswitches.lives.absent = Duration::ZERO;
    assert_eq!(vswitches.resolve(&ids(&["vsw-none"])).await.unwrap(), []);
    cloud.will_describe(&[vswitch("vsw-none", "h")]);
    assert_eq!(vswitches.resolve(&ids(&["vsw-none"])).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_vswitch_that_somebody_deletes_is_not_chosen_any_more() {
    let cloud = CloudServer::default();
    let mut vswitches = vswitches(&cloud, LONG, 10).await;
    cloud.will_describe(&[vswitch("vsw-a", "h"), vswitch("vsw-b", "h")]);
    let network = PodNetwork {
        vswitch_options: ids(&["vsw-a", "vsw-b"]),
        ..PodNetwork::default()
    };
    let first = vswitches.choose_for(&network, "h", "uid-1").await.unwrap();
    assert_eq!(first.id, "vsw-a");
    // The next answer, after the first has become too old.
    vswitches.lives.known = Duration::ZERO;
    cloud.will_describe(&[vswitch("vsw-b", "h")]);
    let next = vswitches.choose_for(&network, "h", "uid-1").await.unwrap();
    assert_eq!(next.id, "vsw-b");
    assert!(vswitches.remembered(&ids(&["vsw-a"])).vswitches.is_empty());
}

#[tokio::test]
async fn a_pod_that_waits_for_a_full_vswitch_learns_that_it_has_room_again() {
    let cloud = CloudServer::default();
    let mut vswitches = vswitches(&cloud, LONG, 10).await;
    let network = PodNetwork {
        vswitch_options: ids(&["vsw-1"]),
        ..PodNetwork::default()
    };
    let with_room = |count: i64| {
        cloud.will_describe(&[shop::vswitch("vsw-1", "h", count)]);
    };
    with_room(0);
    assert!(vswitches.choose_for(&network, "h", "uid-1").await.is_err());
    // Pods that ask again at once do not ask the cloud.
    assert!(vswitches.choose_for(&network, "h", "uid-2").await.is_err());
    assert_eq!(cloud.log().len(), 1);
    vswitches.lives.full = Duration::ZERO;
    with_room(250);
    assert_eq!(
        vswitches
            .choose_for(&network, "h", "uid-1")
            .await
            .unwrap()
            .available,
        250
    );
    assert_eq!(cloud.log().len(), 2);
}

#[tokio::test]
async fn addresses_that_were_taken_are_counted_until_the_next_answer() {
    let cloud = CloudServer::default();
    let mut vswitches = vswitches(&cloud, LONG, 10).await;
    cloud.will_describe(&[vswitch("vsw-1", "h")]);
    assert_eq!(available(&vswitches, "vsw-1").await, 9);
    vswitches.used("vsw-1", 1);
    vswitches.used("vsw-1", 3);
    assert_eq!(available(&vswitches, "vsw-1").await, 5);
    vswitches.lives.known = Duration::ZERO;
    cloud.will_describe(&[vswitch("vsw-1", "h")]);
    assert_eq!(available(&vswitches, "vsw-1").await, 9);
}

#[tokio::test]
async fn an_exhausted_vswitch_is_left_alone_until_it_got_addresses_back() {
    let cloud = CloudServer::default();
    let vswitches = vswitches(&cloud, LONG, 10).await;
    cloud.will_describe(&[vswitch("vsw-1", "h")]);
    vswitches.resolve(&ids(&["vsw-1"])).await.unwrap();
    vswitches.exhausted("vsw-1");
    assert_eq!(available(&vswitches, "vsw-1").await, 0);
    assert_eq!(vswitches.remembered(&ids(&["vsw-1"])).candidates[0].available, 0);
    vswitches.used("vsw-1", -2);
    assert_eq!(available(&vswitches, "vsw-1").await, 11);
}

#[tokio::test]
async fn the_oldest_vswitch_makes_room_for_a_new_one() {
    let cloud = CloudServer::default();
    let vswitches = vswitches(&cloud, LONG, 1).await;
    for id in ["vsw-1", "vsw-2"] {
        cloud.will_describe(&[vswitch(id, "h")]);
        vswitches.resolve(&ids(&[id])).await.unwrap();
    }
    let kept = vswitches.remembered(&ids(&["vsw-1", "vsw-2"])).vswitches;
    assert_eq!(
        kept.iter().map(|vswitch| vswitch.id.as_str()).collect::<Vec<_>>(),
        ["vsw-2"]
    );
}

#[tokio::test]
async fn a_pod_draws_a_vswitch_of_its_zone_and_always_the_same() {
    let cloud = CloudServer::default();
    let vswitches = vswitches(&cloud, LONG, 10).await;
    cloud.will_describe(&[
        vswitch("vsw-1", "h"),
        vswitch("vsw-2", "i"),
        vswitch("vsw-3", "h"),
    ]);
    let network = PodNetwork {
        vswitch_options: ids(&["vsw-1", "vsw-2", "vsw-3"]),
        ..PodNetwork::default()
    };
    let first = vswitches.choose_for(&network, "h", "uid-1").await.unwrap();
    assert_eq!(first.zone, "h");
    for _ in 0..10 {
        assert_eq!(vswitches.choose_for(&network, "h", "uid-1").await.unwrap(), first);
    }
    let elsewhere = vswitches.choose_for(&network, "z", "uid-1").await.unwrap_err();
    assert!(
        matches!(elsewhere, crate::error::ReconcileError::Networks(_)),
        "{elsewhere}"
    );
}
