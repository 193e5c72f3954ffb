//! Which kinds a new leader waits for.

use std::time::Duration;

use serde_json::json;

use super::*;
use crate::testing::ApiServer;

#[test]
fn every_cache_is_pending_before_its_first_list() {
    let caches = Caches::default();
    assert_eq!(caches.pending().len(), 9);
    caches.eni_config.end_list(Vec::new());
    let pending = caches.pending();
    assert_eq!(pending.len(), 8);
    assert!(!pending.contains(&"eni-config"), "{pending:?}");
}

#[tokio::test]
async fn a_new_leader_lists_every_kind() {
    let server = ApiServer::default();
    Caches::default().catch_up(&server.client()).await.unwrap();
    let mut listed: Vec<String> = server.log().iter().map(|asked| asked.path.clone()).collect();
    listed.sort();
    let group = "/apis/network.alibabacloud.com/v1beta1";
    let kinds = [
        "networkinterfaces",
        "nodes",
        "noderuntimes",
        "podenis",
        "podnetworkings",
    ];
    let mut expected: Vec<String> = kinds.iter().map(|kind| format!("{group}/{kind}")).collect();
    expected.extend(["pods", "nodes", "namespaces"].map(|kind| format!("/api/v1/{kind}")));
    expected.push("/api/v1/namespaces/kube-system/configmaps".to_owned());
    expected.sort();
    assert_eq!(listed, expected);
}

#[tokio::test]
async fn a_new_leader_waits_for_an_eni_config_that_its_watch_has_not_shown() {
    let server = ApiServer::default();
    let path = "/api/v1/namespaces/kube-system/configmaps/eni-config";
    server.put_at(
        path,
        json!({ "metadata": { "namespace": "kube-system", "name": "eni-config" } }),
    );
    let caches = Caches::default();
    let client = server.client();
    let waits = tokio::time::timeout(Duration::from_millis(50), caches.catch_up(&client));
    assert!(waits.await.is_err());
    let shown = serde_json::from_value(json!({
        "metadata": { "namespace": "kube-system", "name": "eni-config", "resourceVersion": "1" },
    }));
    caches.eni_config.apply(shown.unwrap(), false);
    let waits = tokio::time::timeout(Duration::from_secs(10), caches.catch_up(&client));
    waits.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_list_that_fails_is_not_caught_up_with() {
    let server = ApiServer::default();
    server.refuse("GET", "/podenis", 500, 1);
    assert!(Caches::default().catch_up(&server.client()).await.is_err());
}
