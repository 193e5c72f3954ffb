//! Requests for one pod or one container that overlap, and the end of the process.

use std::os::unix::net::UnixStream;
use std::sync::Arc;

use terway_cni_protocol::{Reply, Request};
use tokio::sync::Semaphore;

use super::{PATIENCE, Server, add, add_for, del, is_network, until};
use crate::testing::bound;

#[tokio::test]
async fn a_del_ends_a_waiting_add() {
    let server = Server::with_pod();
    let adding = server.ask(add("c1"));
    server.in_flight("c1").await;
    assert_eq!(server.ask(del("c1")).await.unwrap(), Reply::Done);
    assert!(matches!(adding.await.unwrap(), Reply::Refused(failure) if failure.code == 11));
    server.stage.pod_eni(bound("db-0", "u-1"));
    assert!(server.stage.kernel.containers().is_empty());
}

#[tokio::test]
async fn a_del_that_overtakes_the_making_leaves_nothing() {
    let server = Server::with_bound_pod();
    let hold = Arc::new(Semaphore::new(0));
    *server.stage.kernel.hold.lock() = Some(hold.clone());
    let adding = server.ask(add("c1"));
    server.stage.kernel.arrived.notified().await;
    let deleting = server.ask(del("c1"));
    until(|| server.stage.agent.flights.is_ending("c1")).await;
    assert!(
        !adding.is_finished() && !deleting.is_finished(),
        "the DEL waits for the ADD's end"
    );
    hold.add_permits(1);
    assert!(matches!(adding.await.unwrap(), Reply::Refused(_)));
    assert_eq!(deleting.await.unwrap(), Reply::Done);
    assert!(server.stage.kernel.containers().is_empty());
    assert!(server.stage.agent.memory.made().is_empty());
}

#[tokio::test]
async fn an_add_whose_runtime_hangs_up_leaves_nothing() {
    let server = Server::with_pod();
    for in_the_making in [false, true] {
        let hold = Arc::new(Semaphore::new(0));
        *server.stage.kernel.hold.lock() = Some(hold.clone());
        if in_the_making {
            server.stage.pod_eni(bound("db-0", "u-1"));
        }
        let stream = UnixStream::connect(&server.socket).unwrap();
        let netns = std::fs::File::open("/proc/self/ns/net").unwrap();
        let frame = terway_cni_protocol::encode(&add("c1")).unwrap();
        let fd = |file| Some(std::os::fd::AsFd::as_fd(file));
        terway_cni_protocol::transfer::send(std::os::fd::AsFd::as_fd(&stream), &frame, fd(&netns)).unwrap();
        server.in_flight("c1").await;
        if in_the_making {
            server.stage.kernel.arrived.notified().await;
        }
        drop(stream);
        hold.add_permits(1);
        until(|| !server.stage.agent.flights.contains("c1")).await;
        until(|| server.stage.kernel.containers().is_empty()).await;
    }
}

#[tokio::test]
async fn a_newer_sandbox_of_the_pod_ends_the_older_add() {
    let server = Server::with_pod();
    let older = server.ask(add("c1"));
    server.in_flight("c1").await;
    let newer = server.ask(add("c2"));
    assert!(matches!(older.await.unwrap(), Reply::Refused(_)));
    server.stage.pod_eni(bound("db-0", "u-1"));
    assert!(is_network(&newer.await.unwrap()));
    assert_eq!(server.stage.kernel.containers(), ["c2"]);
}

#[tokio::test]
async fn a_container_is_added_once_at_a_time_and_again_after_that() {
    let server = Server::with_pod();
    let first = server.ask(add("c1"));
    server.in_flight("c1").await;
    let busy = server.refused(add("c1")).await;
    assert!(
        busy.code == 11 && busy.message.contains("being processed"),
        "{busy:?}"
    );
    server.stage.pod_eni(bound("db-0", "u-1"));
    assert!(is_network(&first.await.unwrap()));
    assert!(is_network(&server.ask(add("c1")).await.unwrap()), "repeated");
    assert_eq!(server.stage.kernel.containers(), ["c1"]);
}

#[tokio::test]
async fn a_stop_ends_waiting_adds_with_an_answer() {
    let server = Server::with_pod();
    let adding = server.ask(add("c1"));
    server.in_flight("c1").await;
    server.stage.agent.stopping.cancel();
    let Reply::Refused(failure) = adding.await.unwrap() else {
        panic!()
    };
    assert!(
        failure.code == 11 && failure.message.contains("restarting"),
        "{failure:?}"
    );
    tokio::time::timeout(PATIENCE, server.serving)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn adds_that_wait_keep_nobody_away() {
    let server = Server::with_pod();
    let mut waiting = Vec::new();
    for number in 0..300 {
        let stream = UnixStream::connect(&server.socket).unwrap();
        let netns = std::fs::File::open("/proc/self/ns/net").unwrap();
        let [container, pod, uid] = ["w", "later-", "u-"].map(|prefix| format!("{prefix}{number}"));
        server.stage.pod(&pod, &uid);
        let request = add_for(&container, &pod, Some(&uid), 60_000);
        let frame = terway_cni_protocol::encode(&request).unwrap();
        let (socket, netns) = (
            std::os::fd::AsFd::as_fd(&stream),
            std::os::fd::AsFd::as_fd(&netns),
        );
        terway_cni_protocol::transfer::send(socket, &frame, Some(netns)).unwrap();
        server.in_flight(&container).await;
        waiting.push(stream);
    }
    assert_eq!(server.ask(del("c1")).await.unwrap(), Reply::Done);
    assert_eq!(server.ask(Request::Status).await.unwrap(), Reply::Done);
}
