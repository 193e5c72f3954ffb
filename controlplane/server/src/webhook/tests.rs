//! What the webhook reads for a review, when it waits, and what it refuses.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use serde_json::{Value, json};
use terway_crds::PodNetworking;

use super::decision::Decision;
use super::*;
use crate::testing::ApiServer;

struct Play {
    api: ApiServer,
    webhook: Arc<Webhook>,
}

impl Play {
    fn new() -> Self {
        let (api, caches) = (ApiServer::default(), Caches::default());
        let webhook = Arc::new(Webhook {
            client: api.client(),
            caches,
            pods: PodSettings {
                enable_trunk: true,
                inject_resources: true,
                every_pod: false,
                stateful_kinds: Vec::new(),
            },
            rules: PodNetworkingRules {
                min_release_after: Duration::from_secs(300),
                inject_resources: true,
            },
            traced: false,
        });
        Self { api, webhook }
    }

    /// Puts a PodNetworking into the cache.
    fn has(self, networking: PodNetworking) -> Self {
        self.webhook.caches.networkings.apply(networking, false);
        self
    }

    /// Writes the ConfigMap eni-config.
    fn configured(self, text: &str) -> Self {
        let map: ConfigMap = serde_json::from_value(json!({
            "metadata": { "namespace": "kube-system", "name": "eni-config", "resourceVersion": "1" },
            "data": { "eni_conf": text },
        }))
        .unwrap();
        self.webhook.caches.eni_config.apply(map, false);
        self
    }

    async fn pod(&self, change: Value) -> Decision {
        self.webhook.review_pod("shop", &pod(change)).await
    }
}

fn pod(change: Value) -> Pod {
    let mut pod = json!({
        "metadata": { "namespace": "shop", "name": "db-0", "labels": { "app": "db" } },
        "spec": { "containers": [{ "name": "db" }] },
    });
    json_patch::merge(&mut pod, &change);
    serde_json::from_value(pod).unwrap()
}

fn networking(change: Value) -> PodNetworking {
    let mut networking = json!({
        "apiVersion": "network.alibabacloud.com/v1beta1", "kind": "PodNetworking",
        "metadata": { "name": "db", "resourceVersion": "1", "creationTimestamp": "2026-01-01T00:00:00Z" },
        "spec": {
            "selector": { "podSelector": { "matchLabels": { "app": "db" } } },
            "vSwitchOptions": ["vsw-1"], "securityGroupIDs": ["sg-1"],
        },
        "status": { "status": "Ready", "vSwitches": [{ "id": "vsw-1", "zone": "h" }] },
    });
    json_patch::merge(&mut networking, &change);
    serde_json::from_value(networking).unwrap()
}

/// A PodNetworking that was made this second and that nobody has checked.
fn new_one() -> PodNetworking {
    networking(json!({ "metadata": { "creationTimestamp": Timestamp::now().to_string() }, "status": null }))
}

fn by_name(change: Value) -> PodNetworking {
    let mut whole = json!({ "spec": { "selector": null } });
    json_patch::merge(&mut whole, &change);
    networking(whole)
}

fn asks_by_name() -> Value {
    json!({ "metadata": { "annotations": { "k8s.aliyun.com/pod-networks-request": "[{\"network\": \"db\"}]" } } })
}

/// eni-configs that somebody saved by mistake.
const MALFORMED: [&str; 4] = [
    "",
    "{\"vswitches\": {\"h\": [\"vsw-1\"]},}",
    "{\"security_groups\": \"sg-1\"}",
    "{\"max_pool_size\": -1}",
];

#[tokio::test]
async fn a_malformed_eni_config_refuses_no_pod_that_does_not_need_it() {
    for text in MALFORMED {
        let play = Play::new().has(networking(json!({}))).configured(text);
        let ordinary = play
            .pod(json!({ "metadata": { "labels": { "app": "web" } } }))
            .await;
        assert_eq!((ordinary.denial, ordinary.patch.len()), (None, 0), "{text:?}");
        let complete = play.pod(json!({})).await;
        assert_eq!(complete.denial, None, "{text:?}");
        assert!(!complete.patch.is_empty(), "{text:?}");
    }
}

#[tokio::test]
async fn a_pod_that_needs_a_malformed_eni_config_is_refused_with_the_key_to_correct() {
    for text in MALFORMED {
        let lacking = networking(json!({ "spec": { "securityGroupIDs": null } }));
        let play = Play::new().has(lacking).configured(text);
        let denial = play.pod(json!({})).await.denial.unwrap();
        assert!(denial.contains("eni-config"), "{text:?}: {denial}");
    }
}

#[tokio::test]
async fn a_name_that_the_cache_does_not_know_is_asked_for_once_before_the_pod_is_refused() {
    let play = Play::new();
    let denial = play.pod(asks_by_name()).await.denial.unwrap();
    assert!(denial.contains("\"db\", which does not exist"), "{denial}");
    assert_eq!(play.api.log().len(), 1);
    // The watch has not shown the PodNetworking yet.
    play.api.put(&by_name(json!({})));
    assert_eq!(play.pod(asks_by_name()).await.denial, None);
}

#[tokio::test]
async fn an_api_server_that_cannot_be_asked_refuses_the_pod_and_says_to_try_again() {
    let play = Play::new();
    play.api.refuse("GET", "/podnetworkings", 500, 1);
    let denial = play.pod(asks_by_name()).await.denial.unwrap();
    assert!(denial.contains("try again"), "{denial}");
    let selecting =
        json!({ "spec": { "selector": { "namespaceSelector": { "matchLabels": { "team": "shop" } } } } });
    let play = Play::new().has(networking(selecting));
    play.api.refuse("GET", "/namespaces/shop", 500, 1);
    let denial = play.pod(json!({})).await.denial.unwrap();
    assert!(denial.contains("read the namespace"), "{denial}");
}

#[tokio::test]
async fn a_namespace_that_the_cache_does_not_know_is_not_one_without_labels() {
    let selecting =
        json!({ "spec": { "selector": { "namespaceSelector": { "matchLabels": { "team": "shop" } } } } });
    let play = Play::new().has(networking(selecting));
    play.api.put_at(
        "/api/v1/namespaces/shop",
        json!({ "metadata": { "name": "shop", "labels": { "team": "shop" } } }),
    );
    assert!(!play.pod(json!({})).await.patch.is_empty());
    assert!(!play.pod(json!({})).await.patch.is_empty());
    assert_eq!(play.api.log().len(), 1, "the second pod is served from the cache");
}

#[tokio::test]
async fn a_pod_waits_for_a_podnetworking_of_the_same_file() {
    let play = Play::new().has(new_one());
    let (webhook, caches) = (play.webhook.clone(), play.webhook.caches.clone());
    let reviewing = tokio::spawn(async move { webhook.review_pod("shop", &pod(json!({}))).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!reviewing.is_finished());
    caches.networkings.apply(
        networking(json!({ "metadata": { "resourceVersion": "2" } })),
        false,
    );
    let decision = tokio::time::timeout(Duration::from_secs(10), reviewing)
        .await
        .unwrap()
        .unwrap();
    assert!(!decision.patch.is_empty() && decision.warnings.is_empty());
}

#[tokio::test]
async fn a_pod_does_not_wait_for_a_podnetworking_that_nobody_checks() {
    let old = networking(json!({ "status": null }));
    let play = Play::new().has(old);
    let review = play.pod(json!({}));
    let decision = tokio::time::timeout(Duration::from_secs(1), review)
        .await
        .unwrap();
    assert!(decision.patch.is_empty());
    assert!(
        decision.warnings[0].contains("not Ready yet"),
        "{:?}",
        decision.warnings
    );
}

#[tokio::test]
async fn a_review_is_over_before_the_api_server_gives_up() {
    let play = Play::new().has(new_one());
    let began = std::time::Instant::now();
    let decision = play.pod(json!({})).await;
    assert!(
        decision.warnings[0].contains("not Ready yet"),
        "{:?}",
        decision.warnings
    );
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "webhookTimeoutSeconds of the chart"
    );
}

#[tokio::test]
async fn a_podnetworking_takes_what_it_lacks_from_eni_config_and_is_refused_without_it() {
    let conf = "{\"vswitches\": {\"h\": [\"vsw-9\"]}, \"security_groups\": [\"sg-9\"]}";
    let lacking = networking(json!({ "spec": { "vSwitchOptions": null, "securityGroupIDs": null } }));
    let play = Play::new().configured(conf);
    let patch = play.webhook.complete_networking(&lacking).patch;
    let patch = serde_json::to_string(&patch).unwrap();
    assert!(patch.contains("vsw-9") && patch.contains("sg-9"), "{patch}");
    // What it names itself stays.
    assert!(
        play.webhook
            .complete_networking(&networking(json!({})))
            .patch
            .is_empty()
    );
    for text in MALFORMED {
        let play = Play::new().configured(text);
        let denial = play.webhook.complete_networking(&lacking).denial.unwrap();
        assert!(denial.contains("eni-config"), "{denial}");
        assert_eq!(
            play.webhook.complete_networking(&networking(json!({}))).denial,
            None
        );
    }
}

#[tokio::test]
async fn all_problems_of_a_podnetworking_are_named_at_once() {
    let play = Play::new();
    assert_eq!(
        play.webhook
            .validate_networking(&networking(json!({})), None)
            .denial,
        None
    );
    let many: Vec<String> = (0..11).map(|number| format!("sg-{number}")).collect();
    let fixed = json!({ "type": "Fixed", "releaseStrategy": "TTL", "releaseAfter": "4000000000000000h" });
    let wrong = networking(json!({ "spec": { "securityGroupIDs": many, "allocationType": fixed } }));
    let denial = play.webhook.validate_networking(&wrong, None).denial.unwrap();
    assert!(denial.contains("; "), "{denial}");
    assert!(denial.contains("releaseAfter"), "{denial}");
}
