//! Which change wakes whom, and which changes wake nobody.

use serde_json::json;
use terway_core::node::NodeFacts;
use terway_crds::PodNetworking;

use super::*;
use crate::runtime::Queue;
use crate::testing::Stage;

struct Play {
    caches: Caches,
    queues: Queues,
    version: u64,
}

impl Play {
    fn new() -> Self {
        let (caches, queues) = (Caches::default(), Queues::default());
        connect(&caches, &queues);
        Self {
            caches,
            queues,
            version: 0,
        }
    }

    fn next_version(&mut self) -> u64 {
        self.version += 1;
        self.version
    }

    fn pod(&mut self, change: impl FnOnce(&mut PodFacts)) {
        let mut pod = PodFacts {
            namespace: "shop".into(),
            name: "db-0".into(),
            node: "n1".into(),
            wants_pod_eni: true,
            fixed_name: true,
            version: self.next_version(),
            ..PodFacts::default()
        };
        change(&mut pod);
        self.caches.pods.apply(pod, false);
    }

    fn node(&mut self, name: &str, change: impl FnOnce(&mut NodeFacts)) {
        let mut node = NodeFacts {
            name: name.into(),
            version: self.next_version(),
            ..NodeFacts::default()
        };
        change(&mut node);
        self.caches.nodes.apply(node, false);
    }

    /// The record of `shop/db-0` on node n1, with an ENI.
    fn record(&mut self, status: serde_json::Value) {
        let record = serde_json::from_value(json!({
            "apiVersion": "network.alibabacloud.com/v1beta1", "kind": "PodENI",
            "metadata": {
                "namespace": "shop", "name": "db-0", "resourceVersion": self.next_version().to_string(),
                "labels": { label::NODE: "n1" },
            },
            "spec": { "allocations": [{ "eni": { "id": "eni-1" } }] },
            "status": status,
        }));
        self.caches.pod_enis.apply(record.unwrap(), false);
    }

    fn interface(&mut self, name: &str, spec: serde_json::Value) {
        let interface = serde_json::from_value(json!({
            "apiVersion": "network.alibabacloud.com/v1beta1", "kind": "NetworkInterface",
            "metadata": {
                "name": name, "resourceVersion": self.next_version().to_string(), "labels": { label::NODE: "n1" },
            },
            "spec": spec,
        }));
        self.caches.interfaces.apply(interface.unwrap(), false);
    }

    fn networking(&mut self, spec: serde_json::Value) {
        let networking: PodNetworking = serde_json::from_value(json!({
            "apiVersion": "network.alibabacloud.com/v1beta1", "kind": "PodNetworking",
            "metadata": { "name": "db", "resourceVersion": self.next_version().to_string() },
            "spec": spec,
        }))
        .unwrap();
        self.caches.networkings.apply(networking, false);
    }

    fn settings(&mut self, name: &str, text: &str) {
        let map = ConfigMap {
            data: Some([("eni_conf".to_owned(), text.to_owned())].into()),
            metadata: serde_json::from_value(json!({
                "namespace": "kube-system", "name": name, "resourceVersion": self.next_version().to_string(),
            }))
            .unwrap(),
            ..ConfigMap::default()
        };
        self.caches.eni_config.apply(map, false);
    }

    /// Who was woken since the last question: `queue key`, in order of the names.
    async fn woken(&self) -> Vec<String> {
        let queues = [
            ("interface", &self.queues.interfaces),
            ("networking", &self.queues.networkings),
            ("node", &self.queues.nodes),
            ("pod", &self.queues.pods),
            ("record", &self.queues.pod_enis),
        ];
        let mut woken = Vec::new();
        for (name, queue) in queues {
            woken.extend(drain(queue).await.iter().map(|key| format!("{name} {key}")));
        }
        woken.sort();
        woken
    }
}

async fn drain(queue: &Queue) -> Vec<Key> {
    let mut keys = Vec::new();
    while let Ok(key) = tokio::time::timeout(Duration::from_millis(1), queue.next()).await {
        queue.done(&key);
        keys.push(key);
    }
    keys
}

#[tokio::test]
async fn a_pod_wakes_its_controller_and_both_of_its_nodes() {
    let mut play = Play::new();
    play.pod(|_| {});
    assert_eq!(play.woken().await, ["node n1", "pod shop/db-0"]);
    play.pod(|pod| pod.node = "n2".into());
    assert_eq!(play.woken().await, ["node n1", "node n2", "pod shop/db-0"]);
    assert_eq!(play.caches.pods_of.of("n1"), []);
    assert_eq!(play.caches.pods_of.of("n2"), [Key::namespaced("shop", "db-0")]);
}

#[tokio::test]
async fn a_change_of_a_pod_that_no_controller_reads_wakes_nobody() {
    let mut play = Play::new();
    play.pod(|_| {});
    play.woken().await;
    play.pod(|pod| pod.waits_for_ip = true);
    assert_eq!(play.woken().await, [""; 0]);
}

#[tokio::test]
async fn the_record_and_the_enis_of_a_pod_are_looked_at_when_the_pod_changes() {
    let mut play = Play::new();
    play.pod(|_| {});
    play.record(json!({ "phase": "Bind" }));
    play.woken().await;
    play.pod(|pod| pod.deleting = true);
    let woken = play.woken().await;
    assert_eq!(
        woken,
        ["interface eni-1", "node n1", "pod shop/db-0", "record shop/db-0"]
    );
}

#[tokio::test]
async fn a_record_wakes_its_pod_and_its_enis_when_its_phase_changes_and_not_when_its_status_does() {
    let mut play = Play::new();
    play.record(json!({ "phase": "Binding" }));
    play.woken().await;
    play.record(json!({ "phase": "Binding", "podLastSeen": "2026-01-01T00:00:00Z" }));
    assert_eq!(play.woken().await, ["record shop/db-0"]);
    play.record(json!({ "phase": "Bind" }));
    assert_eq!(
        play.woken().await,
        ["interface eni-1", "pod shop/db-0", "record shop/db-0"]
    );
}

#[tokio::test]
async fn an_eni_wakes_its_owner_and_a_shared_one_that_is_gone_its_node() {
    let mut play = Play::new();
    let owner = json!({ "podENIRef": { "kind": "PodENI", "namespace": "shop", "name": "db-0" } });
    play.interface("eni-1", owner);
    assert_eq!(play.woken().await, ["interface eni-1", "record shop/db-0"]);
    play.interface("eni-shared", json!({}));
    assert_eq!(play.woken().await, ["interface eni-shared"]);
    play.caches.interfaces.remove(&Key::cluster("eni-shared"), 99);
    assert_eq!(play.woken().await, ["interface eni-shared", "node n1"]);
}

#[tokio::test]
async fn a_node_that_gets_a_trunk_wakes_its_pods_and_records() {
    let mut play = Play::new();
    play.node("n1", |_| {});
    play.node("n2", |_| {});
    play.pod(|_| {});
    play.record(json!({ "phase": "Binding" }));
    play.woken().await;
    play.node("n2", |node| node.trunk_on = Some("eni-trunk-2".into()));
    assert_eq!(play.woken().await, ["node n2"]);
    play.node("n1", |node| node.trunk_on = Some("eni-trunk-1".into()));
    assert_eq!(
        play.woken().await,
        ["node n1", "pod shop/db-0", "record shop/db-0"]
    );
    play.record(json!({ "phase": "Bind" }));
    play.woken().await;
    // ENIs that are attached follow their node to another trunk.
    play.node("n1", |node| node.trunk_on = Some("eni-trunk-3".into()));
    assert_eq!(
        play.woken().await,
        ["node n1", "pod shop/db-0", "record shop/db-0"]
    );
}

#[tokio::test]
async fn the_settings_of_all_nodes_wake_all_and_those_of_some_nodes_wake_these() {
    let mut play = Play::new();
    play.node("n1", |_| {});
    play.node("n2", |node| node.dynamic_config = Some("large".into()));
    play.woken().await;
    play.settings("eni-config", "{}");
    assert_eq!(play.woken().await, ["node n1", "node n2"]);
    play.settings("large", "{}");
    assert_eq!(play.woken().await, ["node n2"]);
    // Written again without a change.
    play.settings("large", "{}");
    assert_eq!(play.woken().await, [""; 0]);
}

#[tokio::test]
async fn a_podnetworking_wakes_its_controller_and_the_pods_that_wait_for_it() {
    let mut play = Play::new();
    play.pod(|pod| {
        pod.waits_for_ip = true;
        pod.pod_networking = Some("db".into());
    });
    play.woken().await;
    play.networking(json!({}));
    assert_eq!(
        play.woken().await,
        ["networking db", "pod shop/db-0", "record shop/db-0"]
    );
    play.caches.networkings.remove(&Key::cluster("db"), 99);
    assert_eq!(play.woken().await, ["pod shop/db-0", "record shop/db-0"]);
}

#[tokio::test]
async fn an_unseen_pod_has_the_podnetworking_looked_at_that_selects_it_and_no_other() {
    for (app, later) in [("web", 1), ("other", 0)] {
        let mut play = Play::new();
        let selector = json!({ "podSelector": { "matchLabels": { "app": "web" } } });
        play.networking(json!({ "allocationType": { "type": "Fixed" }, "selector": selector }));
        play.woken().await;
        for pod in ["web-1", "web-2"] {
            play.pod(|facts| {
                facts.name = pod.into();
                facts.wants_pod_eni = false;
                facts.fixed_name = false;
                facts.labels = Some([("app".to_owned(), app.to_owned())].into());
            });
        }
        let woken = play.woken().await;
        assert!(
            !woken.iter().any(|who| who.starts_with("networking")),
            "{woken:?}"
        );
        // Both pods are counted in one look.
        assert_eq!(play.queues.networkings.depth(), later);
        assert_eq!(play.caches.unserved.of(&Key::cluster("db")).len(), 2 * later);
        // A pod that goes is not remembered.
        play.caches.pods.remove(&Key::namespaced("shop", "web-1"), 99);
        assert_eq!(play.caches.unserved.of(&Key::cluster("db")).len(), later);
    }
}

#[tokio::test]
async fn an_eni_that_leaves_an_instance_wakes_those_that_wait_for_a_place_there() {
    let mut play = Play::new();
    let target = json!({ "attachTo": { "instanceID": "i-1", "nodeName": "n1" } });
    play.interface("eni-waits", target.clone());
    play.interface("eni-leaves", json!({}));
    play.woken().await;
    // A change that frees nothing.
    play.interface("eni-leaves", json!({ "ipv4": "10.0.0.1" }));
    assert_eq!(play.woken().await, ["interface eni-leaves"]);
    play.caches.interfaces.remove(&Key::cluster("eni-leaves"), 99);
    let woken = play.woken().await;
    assert_eq!(woken, ["interface eni-leaves", "interface eni-waits", "node n1"]);
    // Those of another node sleep on.
    play.version = 100;
    play.interface(
        "eni-elsewhere",
        json!({ "attachTo": { "instanceID": "i-2", "nodeName": "n2" } }),
    );
    play.interface("eni-next", json!({}));
    play.woken().await;
    play.caches.interfaces.remove(&Key::cluster("eni-next"), 199);
    let woken = play.woken().await;
    assert!(
        !woken.contains(&"interface eni-elsewhere".to_owned()),
        "{woken:?}"
    );
}

#[tokio::test]
async fn the_end_of_a_degradation_wakes_what_was_held_back_and_not_what_is_bound() {
    let mut play = Play::new();
    play.node("n1", |_| {});
    play.record(json!({ "phase": "Bind" }));
    play.interface(
        "eni-1",
        json!({ "podENIRef": { "namespace": "shop", "name": "db-0" } }),
    );
    play.woken().await;
    wake_held_back(&play.caches, &play.queues);
    assert_eq!(play.woken().await, ["interface eni-1", "node n1"]);
    play.record(json!({ "phase": "Binding" }));
    play.woken().await;
    wake_held_back(&play.caches, &play.queues);
    assert_eq!(
        play.woken().await,
        ["interface eni-1", "node n1", "record shop/db-0"]
    );
}

#[tokio::test]
async fn news_of_the_poller_reach_the_eni_or_the_node_that_waits_for_it() {
    let stage = Stage::set().await;
    let context = &stage.context;
    let mut interface = NetworkInterface::default();
    interface.metadata.name = Some("eni-pod".into());
    stage.put(&interface);
    context
        .attaching
        .lock()
        .insert("eni-shared".into(), Key::cluster("n1"));
    let enis = ["eni-pod", "eni-shared"].map(|id| json!({ "NetworkInterfaceId": id, "Status": "InUse" }));
    for _ in 0..3 {
        let body = json!({ "NetworkInterfaceSets": { "NetworkInterfaceSet": enis } });
        stage.cloud.will_answer("DescribeNetworkInterfaces", 200, body);
    }
    let forwarding = tokio::spawn(forward_cloud_news(context.clone()));
    tokio::task::yield_now().await;
    for id in ["eni-pod", "eni-shared"] {
        context.cloud.watch().look(id, terway_cloud::Expect::Attached);
    }
    let soon = Duration::from_secs(10);
    let eni = tokio::time::timeout(soon, context.queues.interfaces.next())
        .await
        .unwrap();
    assert_eq!(eni, Key::cluster("eni-pod"));
    let node = tokio::time::timeout(soon, context.queues.nodes.next())
        .await
        .unwrap();
    assert_eq!(node, Key::cluster("n1"));
    forwarding.abort();
}
