//! ADD: the wait for a binding, the refusals, and what an ADD leaves.

use std::time::{Duration, Instant};

use terway_cni_protocol::Reply;
use terway_crds::Phase;

use super::{Server, add, add_for, del, is_network};
use crate::cluster::{NodeView, PodEniView, PodView};
use crate::testing::{Stage, bound, sandbox, sharing, trunk, view};

#[tokio::test]
async fn an_add_waits_for_the_binding_and_is_announced() {
    let mut server = Server::with_pod();
    let adding = server.ask(add("c1"));
    server.in_flight("c1").await;
    server.stage.pod_eni(PodEniView {
        phase: Phase::Binding,
        ..bound("db-0", "u-1")
    });
    server.stays_unanswered(&adding).await;
    server.stage.pod_eni(bound("db-0", "u-1"));
    assert!(is_network(&adding.await.unwrap()));
    assert_eq!(server.stage.kernel.containers(), ["c1"]);
    let announcement = server.stage.announced.recv().await.unwrap();
    assert_eq!(announcement.about.uid.as_deref(), Some("u-1"));
    assert_eq!(announcement.news.reason, "AllocIPSucceed");
    assert!(announcement.news.note.starts_with("Alloc IP 10.0.16.7 took "));
}

#[tokio::test]
async fn a_limit_that_nobody_serves_is_told_to_the_pods_owner() {
    let mut server = Server::on(Stage::new());
    server.stage.pod_as(PodView {
        receives_limited: true,
        ..view("db-0", "u-1")
    });
    server.stage.node(sharing("db-0", "u-1", "10.0.16.7"));
    assert!(is_network(&server.ask(add("c1")).await.unwrap()));
    let announcement = server.stage.announced.recv().await.unwrap();
    assert_eq!(announcement.news.reason, "BandwidthNotServed");
    assert!(announcement.news.note.contains("terway.cniChain"));
}

#[tokio::test]
async fn an_add_may_come_before_the_lists() {
    let server = Server::on(Stage::unsynced());
    let failure = server.refused(add_for("c1", "db-0", Some("u-1"), 100)).await;
    assert_eq!(failure.code, 11);
    let adding = server.ask(add("c2"));
    server.in_flight("c2").await;
    server.stage.pod("db-0", "u-1");
    server.stage.node(trunk("eni-t"));
    server.stage.pod_eni(bound("db-0", "u-1"));
    // The first comparison of running pods comes before any new one.
    server.stays_unanswered(&adding).await;
    assert!(server.stage.kernel.containers().is_empty());
    server.stage.agent.in_order.set(()).unwrap();
    assert!(is_network(&adding.await.unwrap()));
}

#[tokio::test]
async fn an_ordinary_pod_waits_for_its_shared_address() {
    let server = Server::on(Stage::new());
    server.stage.pod_as(view("db-0", "u-1"));
    let failure = server.refused(add_for("c1", "db-0", Some("u-1"), 50)).await;
    assert!(
        failure.code == 11 && failure.message.contains("has not given pod shop/db-0 an address"),
        "{failure:?}"
    );
    let adding = server.ask(add("c1"));
    server.in_flight("c1").await;
    server.stage.node(sharing("db-0", "u-0", "10.0.16.6"));
    // That address is another pod's.
    server.stays_unanswered(&adding).await;
    server.stage.node(sharing("db-0", "u-1", "10.0.16.7"));
    assert!(is_network(&adding.await.unwrap()));
    let made = server.stage.agent.memory.made().into_values().next().unwrap();
    assert_eq!(
        (made.carrier.vlan(), made.carrier.nic().mac),
        (None, [2, 0, 0, 0, 0, 2])
    );
}

#[tokio::test]
async fn an_add_that_came_before_the_kernel_was_in_order_says_so() {
    let server = Server::on(Stage::unsynced());
    server.stage.pod("db-0", "u-1");
    server.stage.node(trunk("eni-t"));
    server.stage.pod_eni(bound("db-0", "u-1"));
    let failure = server.refused(add_for("c1", "db-0", Some("u-1"), 50)).await;
    assert!(
        failure.message.contains("running pods in order first"),
        "{failure:?}"
    );
    assert!(server.stage.kernel.containers().is_empty());
}

#[tokio::test]
async fn a_pod_without_a_network_to_come_fails_at_once_with_the_reason() {
    let mut server = Server::on(Stage::new());
    server.stage.pod_as(view("db-0", "u-1"));
    server.stage.node(NodeView {
        no_shared: Some("its instance type has no room".into()),
        ..trunk("eni-t")
    });
    let started = Instant::now();
    let failure = server.refused(add("c1")).await;
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(failure.code, 101);
    assert!(failure.message.contains("has no room"), "{failure:?}");
    let announcement = server.stage.announced.recv().await.unwrap();
    assert_eq!(
        (announcement.news.reason, announcement.news.note),
        ("AllocIPFailed", failure.message)
    );
}

#[tokio::test]
async fn a_timeout_names_the_phase_and_the_message() {
    let server = Server::with_pod();
    let message = "the cloud said QuotaExceeded".to_owned();
    server.stage.pod_eni(PodEniView {
        phase: Phase::Initial,
        message,
        ..bound("db-0", "u-1")
    });
    let failure = server.refused(add_for("c1", "db-0", Some("u-1"), 50)).await;
    assert_eq!(failure.code, 11);
    assert!(failure.message.contains("phase Initial"), "{failure:?}");
    assert!(failure.message.contains("QuotaExceeded"), "{failure:?}");
}

#[tokio::test]
async fn another_pods_allocation_is_not_served() {
    let server = Server::on(Stage::new());
    server.stage.pod("db-0", "u-2");
    server.stage.pod_eni(bound("db-0", "u-1"));
    // With the UID from the runtime, and with the UID from the API server.
    for uid in [Some("u-2"), None] {
        let failure = server.refused(add_for("c1", "db-0", uid, 50)).await;
        assert!(failure.message.contains("UID u-1"), "{failure:?}");
    }
    // The sandbox of a pod that has been replaced.
    let failure = server.refused(add_for("c1", "db-0", Some("u-0"), 5000)).await;
    assert!(failure.message.contains("does not exist any more"), "{failure:?}");
    assert!(server.stage.kernel.containers().is_empty());
}

#[tokio::test]
async fn a_waiting_add_ends_when_its_pod_goes() {
    let server = Server::with_pod();
    let adding = server.ask(add("c1"));
    server.in_flight("c1").await;
    server.stage.pod_eni(PodEniView {
        phase: Phase::Binding,
        ..bound("db-0", "u-1")
    });
    server.stays_unanswered(&adding).await;
    // An ADD that had not seen the pod in the watch would find the pod by a read, and wait on.
    server.stage.pod_gone_from_the_watch("db-0");
    let Reply::Refused(failure) = adding.await.unwrap() else {
        panic!()
    };
    assert!(failure.message.contains("does not exist any more"), "{failure:?}");
}

#[tokio::test]
async fn what_cannot_be_made_whole_is_not_left_in_part() {
    let server = Server::with_pod();
    let mut pod_eni = bound("db-0", "u-1");
    let allocations = pod_eni.allocations.as_mut().unwrap();
    let mut second = allocations[0].clone();
    second.interface = "eth1".into();
    allocations.push(second);
    server.stage.pod_eni(pod_eni);
    server.stage.kernel.refuses.lock().push("eth1".into());
    let failure = server.refused(add("c1")).await;
    assert!(
        failure.code == 11 && failure.message.contains("the kernel said no"),
        "{failure:?}"
    );
    assert!(server.stage.kernel.containers().is_empty());

    server.stage.kernel.refuses.lock().clear();
    assert!(is_network(&server.ask(add("c1")).await.unwrap()));
    assert_eq!(server.stage.kernel.containers(), ["c1", "c1"]);
    // The runtime's DEL names the first interface only.
    assert_eq!(server.ask(del("c1")).await.unwrap(), Reply::Done);
    assert!(server.stage.kernel.containers().is_empty());
}

#[tokio::test]
async fn an_earlier_sandbox_that_was_never_deleted_goes_before_the_new_one() {
    let server = Server::with_bound_pod();
    *server.stage.kernel.sandboxes.lock() = vec![sandbox("old", "u-1"), sandbox("other", "u-9")];
    assert!(is_network(&server.ask(add("c1")).await.unwrap()));
    assert_eq!(server.stage.kernel.containers(), ["other", "c1"]);
}
