//! The webhook before a real API server: definitions installed, certificate made and trusted, pods
//! mutated, warned about and refused.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod cluster;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, Secret};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use terway_controlplane::certificates::{CertificateSettings, Keeper};
use terway_controlplane::config::{self, Settings};
use terway_controlplane::crd_install;
use terway_controlplane::objects::Caches;
use terway_controlplane::runtime::Key;
use terway_controlplane::trace::Admission;
use terway_controlplane::webhook::{self, Webhook};
use terway_crds::names::annotation;
use terway_crds::{PodNetworking, PodNetworks};
use tokio_util::sync::CancellationToken;

use cluster::{Cluster, eventually};

const NAME: &str = "terway-controlplane";

fn settings(dir: &std::path::Path) -> Settings {
    let path = dir.join("ctrl-config.yaml");
    std::fs::write(
        &path,
        "clusterID: c1\nvpcID: vpc-lab\nminReleaseAfter: 30s\nenableTrace: true\n",
    )
    .unwrap();
    let secret = dir.join("ctrl-secret.yaml");
    std::fs::write(&secret, "accessKey: a\naccessSecret: b\n").unwrap();
    let arguments = [
        "-config".to_owned(),
        path.display().to_string(),
        format!("--credential={}", secret.display()),
    ];
    config::load(arguments).unwrap().settings
}

/// Everything of the control plane that the webhook consists of, in this process.
struct Running {
    cluster: Cluster,
    caches: Caches,
    stop: CancellationToken,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn running() -> Running {
    let cluster = Cluster::start().await;
    let client = cluster.client.clone();
    crd_install::ensure(&client).await.unwrap();
    let settings = settings(cluster.dir());
    let stop = CancellationToken::new();
    let listener = webhook::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    register(&client, listener.local_addr().unwrap().port()).await;
    let keeper = Keeper::start(client.clone(), CertificateSettings::from(&settings))
        .await
        .unwrap();
    let caches = Caches::default();
    for (_, task) in caches.feeds(&client) {
        tokio::spawn(stop.clone().run_until_cancelled_owned(task));
    }
    let webhook = Webhook::new(client, caches.clone(), &settings);
    tokio::spawn(webhook::serve(
        webhook.clone(),
        listener,
        keeper.tls(),
        stop.clone(),
    ));
    tokio::spawn(keeper.run(stop.clone()));
    caches.wait_synced().await;
    Running {
        cluster,
        caches,
        stop,
    }
}

/// The configurations as the chart makes them, but for the address: there is no Service here.
async fn register(client: &Client, port: u16) {
    let hook = |name: &str, path: &str, resources: Value, operations: Value, policy: &str| {
        json!({
            "name": name, "admissionReviewVersions": ["v1"], "sideEffects": "None", "failurePolicy": policy,
            "timeoutSeconds": 10, "clientConfig": { "url": format!("https://localhost:{port}{path}") },
            "rules": [{
                "apiGroups": ["", "network.alibabacloud.com"], "apiVersions": ["*"], "resources": resources,
                "operations": operations,
            }],
        })
    };
    let both = json!(["CREATE", "UPDATE"]);
    let mutating: MutatingWebhookConfiguration = serde_json::from_value(json!({
        "metadata": { "name": NAME },
        "webhooks": [
            hook("pods.terway.alibabacloud.com", "/mutating", json!(["pods"]), json!(["CREATE"]), "Fail"),
            hook("podnetworkings.terway.alibabacloud.com", "/mutating", json!(["podnetworkings"]), both.clone(), "Fail"),
        ],
    }))
    .unwrap();
    let validating: ValidatingWebhookConfiguration = serde_json::from_value(json!({
        "metadata": { "name": NAME },
        "webhooks": [hook("validate.terway.alibabacloud.com", "/validate", json!(["podnetworkings"]), both, "Fail")],
    }))
    .unwrap();
    Api::all(client.clone())
        .create(&PostParams::default(), &mutating)
        .await
        .unwrap();
    Api::all(client.clone())
        .create(&PostParams::default(), &validating)
        .await
        .unwrap();
}

impl Running {
    fn networkings(&self) -> Api<PodNetworking> {
        Api::all(self.cluster.client.clone())
    }

    async fn networking(&self, name: &str, spec: Value) -> Result<PodNetworking, String> {
        let mut whole = json!({ "vSwitchOptions": ["vsw-pod-h"], "securityGroupIDs": ["sg-web"] });
        json_patch::merge(&mut whole, &spec);
        let object = PodNetworking::new(name, serde_json::from_value(whole).unwrap());
        self.networkings()
            .create(&PostParams::default(), &object)
            .await
            .map_err(|error| error.to_string())
    }

    async fn ready(&self, name: &str) {
        let status = json!({ "status": { "status": "Ready", "vSwitches": [{ "id": "vsw-pod-h", "zone": "cn-hangzhou-h" }] } });
        self.networkings()
            .patch_status(name, &PatchParams::default(), &Patch::Merge(&status))
            .await
            .unwrap();
    }

    async fn pod(&self, namespace: &str, name: &str, metadata: Value) -> Result<Pod, String> {
        let mut object = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name },
            "spec": { "containers": [{ "name": "main", "image": "lab.local/pause:1" }] },
        });
        json_patch::merge(&mut object, &json!({ "metadata": metadata }));
        let pods: Api<Pod> = Api::namespaced(self.cluster.client.clone(), namespace);
        let object = serde_json::from_value(object).unwrap();
        pods.create(&PostParams::default(), &object)
            .await
            .map_err(|error| error.to_string())
    }
}

fn labelled(app: &str, owner: Option<&str>) -> Value {
    let owners = owner.map(|kind| json!([{ "apiVersion": "apps/v1", "kind": kind, "name": "x", "uid": "u-1", "controller": true }]));
    json!({ "labels": { "app": app }, "ownerReferences": owners })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_and_podnetworkings_go_through_the_webhook() {
    let running = running().await;
    refusals_of_podnetworkings_are_sentences(&running).await;
    empty_lists_are_filled_from_eni_config(&running).await;
    a_selected_pod_is_mutated(&running).await;
    a_pod_waits_for_a_networking_made_in_the_same_second(&running).await;
    namespaces_are_selected_by_label(&running).await;
    bad_pods_are_refused(&running).await;
    certificate_and_trust_are_repaired(&running).await;
    definitions_are_raised_and_never_lowered(&running.cluster.client).await;
}

async fn refusals_of_podnetworkings_are_sentences(running: &Running) {
    let short =
        json!({ "allocationType": { "type": "Fixed", "releaseStrategy": "TTL", "releaseAfter": "29s" } });
    let refusal = running.networking("short", short).await.unwrap_err();
    assert!(refusal.contains("set it to 30s or more"), "{refusal}");
    let refusal = running
        .networking("none", json!({ "vSwitchOptions": [] }))
        .await
        .unwrap_err();
    assert!(refusal.contains("spec.vSwitchOptions is empty"), "{refusal}");
    // The schema's own rules speak too.
    let refusal = running
        .networking("fixed", json!({ "allocationType": { "type": "Fixed" } }))
        .await
        .unwrap_err();
    assert!(refusal.contains("needs releaseStrategy"), "{refusal}");

    running.networking("edited", json!({})).await.unwrap();
    let patch = json!({ "spec": { "vSwitchOptions": [""] } });
    let edit = running
        .networkings()
        .patch("edited", &PatchParams::default(), &Patch::Merge(&patch))
        .await;
    assert!(
        edit.unwrap_err().to_string().contains("has an empty entry"),
        "an update is checked too"
    );
}

async fn empty_lists_are_filled_from_eni_config(running: &Running) {
    let config = ConfigMap {
        metadata: kube::core::ObjectMeta {
            name: Some("eni-config".into()),
            ..Default::default()
        },
        data: Some(BTreeMap::from([(
            "eni_conf".to_owned(),
            r#"{"vswitches":{"cn-hangzhou-h":["vsw-pod-h"]},"security_group":"sg-node"}"#.to_owned(),
        )])),
        ..ConfigMap::default()
    };
    let maps: Api<ConfigMap> = Api::namespaced(running.cluster.client.clone(), "kube-system");
    maps.create(&PostParams::default(), &config).await.unwrap();
    let empty = json!({ "vSwitchOptions": [], "securityGroupIDs": [] });
    eventually("eni-config is known", || async {
        running.networking("filled", empty.clone()).await.is_ok()
    })
    .await;
    let made = running.networkings().get("filled").await.unwrap();
    assert_eq!(
        (made.spec.vswitch_options, made.spec.security_group_ids),
        (vec!["vsw-pod-h".into()], vec!["sg-node".into()])
    );
}

async fn a_selected_pod_is_mutated(running: &Running) {
    let selector = json!({ "selector": { "podSelector": { "matchLabels": { "app": "web" } } }, "eniOptions": { "eniType": "Trunk" } });
    running.networking("web", selector).await.unwrap();
    running.ready("web").await;
    let pod = running
        .pod("default", "web-0", labelled("web", None))
        .await
        .unwrap();
    let annotations = pod.annotations();
    assert_eq!(annotations[annotation::POD_ENI], "true");
    assert_eq!(annotations[annotation::POD_NETWORKING], "web");
    assert!(Admission::read(&annotations[annotation::ADMITTED]).is_some());
    let networks: PodNetworks = serde_json::from_str(&annotations[annotation::POD_NETWORKS]).unwrap();
    assert_eq!(networks.pod_networks[0].security_group_ids, ["sg-web"]);
    let spec = serde_json::to_value(pod.spec.unwrap()).unwrap();
    assert_eq!(
        spec["containers"][0]["resources"]["limits"]["aliyun/member-eni"],
        "1"
    );
    let zones = spec.pointer("/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms/0/matchExpressions/0/values");
    assert_eq!(zones, Some(&json!(["cn-hangzhou-h"])));

    let other = running
        .pod("default", "other", labelled("other", None))
        .await
        .unwrap();
    assert!(!other.annotations().contains_key(annotation::POD_ENI));
}

async fn a_pod_waits_for_a_networking_made_in_the_same_second(running: &Running) {
    let selector = json!({ "selector": { "podSelector": { "matchLabels": { "app": "late" } } } });
    running.networking("late", selector).await.unwrap();
    let known = || async { running.caches.networkings.get(&Key::cluster("late")).is_some() };
    eventually("the PodNetworking is known", known).await;
    let pod = running.pod("default", "late-0", labelled("late", None));
    tokio::pin!(pod);
    let early = tokio::time::timeout(Duration::from_millis(500), &mut pod).await;
    assert!(early.is_err(), "the pod did not wait: {early:?}");
    running.ready("late").await;
    assert_eq!(
        pod.await.unwrap().annotations()[annotation::POD_NETWORKING],
        "late"
    );
}

async fn namespaces_are_selected_by_label(running: &Running) {
    let client = &running.cluster.client;
    let selector = json!({ "selector": { "namespaceSelector": { "matchLabels": { "team": "shop" } } } });
    running.networking("shop", selector).await.unwrap();
    running.ready("shop").await;
    let namespace: Namespace =
        serde_json::from_value(json!({ "metadata": { "name": "shop", "labels": { "team": "shop" } } }))
            .unwrap();
    Api::all(client.clone())
        .create(&PostParams::default(), &namespace)
        .await
        .unwrap();
    // In the same moment as its namespace: its labels are read, not taken for missing.
    let pod = running.pod("shop", "till", json!({})).await.unwrap();
    assert_eq!(pod.annotations()[annotation::POD_NETWORKING], "shop");
}

async fn bad_pods_are_refused(running: &Running) {
    let request = |network: &str| {
        let text = json!([{ "interfaceName": "eth0", "network": network }]).to_string();
        json!({ "annotations": { annotation::POD_NETWORKS_REQUEST: text } })
    };
    let refusal = running
        .pod("default", "bad", request("nowhere"))
        .await
        .unwrap_err();
    assert!(
        refusal.contains("PodNetworking \"nowhere\", which does not exist"),
        "{refusal}"
    );
    let refusal = running.pod("default", "bad", request("web")).await.unwrap_err();
    assert!(refusal.contains("has a selector"), "{refusal}");
    let two = json!({ "annotations": { annotation::POD_NETWORKS: "{}", annotation::POD_NETWORKING: "web" } });
    let refusal = running.pod("default", "bad", two).await.unwrap_err();
    assert!(refusal.contains("exclude each other"), "{refusal}");
    let fixed = json!({ "podNetworks": [{
        "interface": "eth0", "vSwitchOptions": ["v"], "securityGroupIDs": ["s"],
        "allocationType": { "type": "Fixed", "releaseStrategy": "Never" },
    }] });
    let mut metadata = labelled("x", Some("ReplicaSet"));
    json_patch::merge(
        &mut metadata,
        &json!({ "annotations": { annotation::POD_NETWORKS: fixed.to_string() } }),
    );
    let refusal = running.pod("default", "bad", metadata).await.unwrap_err();
    assert!(refusal.contains("use a StatefulSet"), "{refusal}");
}

async fn certificate_and_trust_are_repaired(running: &Running) {
    let client = &running.cluster.client;
    let mutating: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
    let bundles = |configuration: MutatingWebhookConfiguration| -> Vec<Option<ByteString>> {
        configuration
            .webhooks
            .into_iter()
            .flatten()
            .map(|hook| hook.client_config.ca_bundle)
            .collect()
    };
    let right = bundles(mutating.get(NAME).await.unwrap());
    assert!(right.iter().all(|bundle| bundle == &right[0] && bundle.is_some()));
    let wrong = json!([{ "op": "remove", "path": "/webhooks/1/clientConfig/caBundle" }]);
    let patch: Patch<MutatingWebhookConfiguration> = Patch::Json(serde_json::from_value(wrong).unwrap());
    mutating
        .patch(NAME, &PatchParams::default(), &patch)
        .await
        .unwrap();
    eventually("the bundle is repaired", || async {
        bundles(mutating.get(NAME).await.unwrap()) == right
    })
    .await;

    let secrets: Api<Secret> = Api::namespaced(client.clone(), "kube-system");
    let secret = format!("{NAME}-webhook-cert");
    secrets.delete(&secret, &DeleteParams::default()).await.unwrap();
    eventually("a new certificate is trusted", || async {
        let made = secrets
            .get_opt(&secret)
            .await
            .unwrap()
            .and_then(|secret| secret.data);
        let ca = made.and_then(|data| data.get("ca.crt").cloned());
        ca.is_some()
            && bundles(mutating.get(NAME).await.unwrap())
                .iter()
                .all(|bundle| *bundle == ca)
    })
    .await;
    eventually("the API server reaches the webhook again", || async {
        running
            .pod("default", "after", labelled("web", None))
            .await
            .is_ok()
    })
    .await;
}

async fn definitions_are_raised_and_never_lowered(client: &Client) {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let name = "podenis.network.alibabacloud.com";
    let columns = |crd: &CustomResourceDefinition| {
        crd.spec.versions[0]
            .additional_printer_columns
            .clone()
            .unwrap_or_default()
            .len()
    };
    let ours = columns(&api.get(name).await.unwrap());
    for (version, expected) in [("v0.10.0", ours), ("v99.0.0", 1)] {
        let patch = json!({
            "metadata": { "annotations": { "crd.network.alibabacloud.com/version": version } },
        });
        api.patch(name, &PatchParams::default(), &Patch::Merge(&patch))
            .await
            .unwrap();
        let one = json!([{ "op": "replace", "path": "/spec/versions/0/additionalPrinterColumns",
            "value": [{ "name": "Old", "type": "string", "jsonPath": ".status.phase" }] }]);
        let patch: Patch<CustomResourceDefinition> = Patch::Json(serde_json::from_value(one).unwrap());
        api.patch(name, &PatchParams::default(), &patch).await.unwrap();
        crd_install::ensure(client).await.unwrap();
        assert_eq!(columns(&api.get(name).await.unwrap()), expected, "{version}");
    }
}
