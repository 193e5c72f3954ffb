//! Who gets room, and what gives it back.

use std::time::Duration;

use serde_json::json;

use super::*;

const SOON: Duration = Duration::from_secs(5);
const INTENT: &str = "uid-1/0";

fn caches_of(fresh: &Arc<FreshEnis>) -> Caches {
    let caches = Caches::default();
    fresh.follow(&caches);
    caches
}

/// A PodENI with one allocation.
fn record(version: u64, attempt: i32, eni: &str) -> PodEni {
    serde_json::from_value(json!({
        "apiVersion": "network.alibabacloud.com/v1beta1", "kind": "PodENI",
        "metadata": { "namespace": "ns", "name": "db-0", "uid": "uid-1", "resourceVersion": version.to_string() },
        "spec": { "allocations": [{
            "eni": { "id": eni },
            "creation": { "attempt": attempt, "startedAt": "2026-01-01T00:00:00Z", "parameters": {} },
        }] },
    }))
    .unwrap()
}

fn interface(version: u64, status: serde_json::Value) -> NetworkInterface {
    serde_json::from_value(json!({
        "apiVersion": "network.alibabacloud.com/v1beta1", "kind": "NetworkInterface",
        "metadata": { "name": "eni-1", "resourceVersion": version.to_string() },
        "spec": {},
        "status": status,
    }))
    .unwrap()
}

/// Whether another intent would get room at once.
async fn has_room(fresh: &FreshEnis) -> bool {
    let entered = tokio::time::timeout(Duration::from_millis(1), fresh.enter("probe", "node"));
    let entered = entered.await.is_ok();
    fresh.leave("probe");
    entered
}

#[tokio::test]
async fn room_is_limited_and_an_answered_attach_gives_it_back() {
    let fresh = FreshEnis::new(1);
    fresh.enter("a", "node").await;
    fresh.enter("a", "node").await;
    let waiting = fresh.clone();
    let second = tokio::spawn(async move { waiting.enter("b", "node").await });
    tokio::task::yield_now().await;
    assert!(!second.is_finished());
    fresh.made("a", "eni-1");
    fresh.leave("a");
    tokio::task::yield_now().await;
    assert!(!second.is_finished());
    fresh.attach_answered("eni-1");
    tokio::time::timeout(SOON, second).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_node_with_a_thousand_pods_does_not_keep_another_waiting() {
    let fresh = FreshEnis::new(1);
    fresh.enter("first", "greedy").await;
    let (done, mut order) = tokio::sync::mpsc::unbounded_channel();
    for number in 0..1_001 {
        let node = if number < 1_000 { "greedy" } else { "modest" };
        let (fresh, done) = (fresh.clone(), done.clone());
        tokio::spawn(async move {
            let name = format!("{node}/{number}");
            fresh.enter(&name, node).await;
            let _ = done.send(name);
        });
    }
    while fresh.state.lock().waiting.firsts().count() < 2 {
        tokio::task::yield_now().await;
    }
    fresh.leave("first");
    let first = order.recv().await.unwrap();
    fresh.leave(&first);
    assert!(order.recv().await.unwrap().starts_with("modest"), "{first}");
}

#[tokio::test]
async fn a_node_whose_attaches_hang_leaves_room_for_the_others() {
    let fresh = FreshEnis::new(300);
    let most = most_of_node(300);
    for number in 0..most {
        fresh.enter(&format!("stuck/{number}"), "stuck").await;
    }
    let one_more = tokio::time::timeout(Duration::from_millis(1), fresh.enter("stuck/more", "stuck"));
    assert!(one_more.await.is_err());
    for number in 0..most {
        let name = format!("sound/{number}");
        tokio::time::timeout(SOON, fresh.enter(&name, "sound"))
            .await
            .unwrap();
    }
    // The node's own room frees its own waiter.
    let waiting = fresh.clone();
    let more = tokio::spawn(async move { waiting.enter("stuck/more", "stuck").await });
    tokio::task::yield_now().await;
    fresh.attach_answered("stuck/0");
    tokio::time::timeout(SOON, more).await.unwrap().unwrap();
}

#[tokio::test]
async fn who_goes_away_while_waiting_takes_no_room() {
    let fresh = FreshEnis::new(1);
    fresh.enter("a", "node").await;
    let gone = tokio::time::timeout(Duration::from_millis(1), fresh.enter("b", "node"));
    assert!(gone.await.is_err());
    fresh.leave("a");
    tokio::time::timeout(SOON, fresh.enter("c", "node"))
        .await
        .unwrap();
}

#[tokio::test]
async fn an_intent_gives_its_room_back_when_its_record_goes_or_tries_again() {
    let fresh = FreshEnis::new(1);
    let caches = caches_of(&fresh);
    caches.pod_enis.apply(record(1, 1, ""), false);
    fresh.enter(INTENT, "node").await;
    // A change that leaves the intent as it is.
    caches.pod_enis.apply(record(2, 1, ""), false);
    assert!(!has_room(&fresh).await);
    caches.pod_enis.apply(record(3, 2, ""), false);
    assert!(has_room(&fresh).await);
    fresh.enter(INTENT, "node").await;
    caches
        .pod_enis
        .remove(&crate::runtime::Key::namespaced("ns", "db-0"), 4);
    assert!(has_room(&fresh).await);
}

#[tokio::test]
async fn an_eni_keeps_the_room_of_its_intent_until_its_object_says_an_outcome() {
    for outcome in [
        json!({ "phase": "Bind" }),
        json!({ "phase": "Unbind" }),
        json!({ "phase": "Binding", "conditions": [{
            "type": "Ready", "status": "False", "reason": ENI_NOT_FOUND, "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }] }),
    ] {
        let fresh = FreshEnis::new(1);
        let caches = caches_of(&fresh);
        caches.pod_enis.apply(record(1, 1, ""), false);
        fresh.enter(INTENT, "node").await;
        fresh.made(INTENT, "eni-1");
        caches.interfaces.apply(interface(2, json!(null)), false);
        caches.pod_enis.apply(record(3, 1, "eni-1"), false);
        caches
            .interfaces
            .apply(interface(4, json!({ "phase": "Binding" })), false);
        assert!(!has_room(&fresh).await, "{outcome}");
        caches.interfaces.apply(interface(5, outcome.clone()), false);
        assert!(has_room(&fresh).await, "{outcome}");
    }
}

#[tokio::test]
async fn an_eni_whose_object_goes_gives_its_room_back() {
    let fresh = FreshEnis::new(1);
    let caches = caches_of(&fresh);
    fresh.enter(INTENT, "node").await;
    fresh.made(INTENT, "eni-1");
    caches.interfaces.apply(interface(2, json!(null)), false);
    assert!(!has_room(&fresh).await);
    caches
        .interfaces
        .remove(&crate::runtime::Key::cluster("eni-1"), 3);
    assert!(has_room(&fresh).await);
}

#[test]
fn an_eni_is_never_attached_until_its_object_says_otherwise() {
    let fresh = FreshEnis::new(1);
    let caches = caches_of(&fresh);
    fresh.object_is_made("eni-1");
    caches.interfaces.apply(interface(2, json!(null)), false);
    caches
        .interfaces
        .apply(interface(3, json!({ "phase": "Binding" })), false);
    assert!(fresh.was_never_attached("eni-1"));
    caches
        .interfaces
        .apply(interface(4, json!({ "phase": "Bind" })), false);
    assert!(!fresh.was_never_attached("eni-1"));
    fresh.object_is_made("eni-2");
    fresh.object_was_there("eni-2");
    assert!(!fresh.was_never_attached("eni-2"));
}
