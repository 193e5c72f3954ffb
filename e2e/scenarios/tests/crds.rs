//! The definitions on a real API server: they are accepted, existing manifests apply unchanged, and
//! bad input is refused with a sentence that says what to change.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::future::Future;
use std::time::{Duration, Instant};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::discovery::ApiResource;
use kube::{Client, ResourceExt};
use lab::bare::{Apiserver, Options};
use serde_json::{Value, json};
use terway_crds::{PodNetworking, crd, names};

struct Cluster {
    client: Client,
    _server: Apiserver,
    _dir: tempfile::TempDir,
}

/// A bare API server with the definitions installed and served.
async fn cluster() -> Cluster {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    let server = tokio::task::spawn_blocking(move || Apiserver::start(path, Options::default()))
        .await
        .unwrap()
        .unwrap();
    let kubeconfig = Kubeconfig::read_from(&server.kubeconfig).unwrap();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .unwrap();
    let client = Client::try_from(config).unwrap();
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    for definition in crd::all().unwrap() {
        api.create(&PostParams::default(), &definition).await.unwrap();
    }
    for definition in crd::all().unwrap() {
        let name = definition.name_any();
        eventually(&format!("{name} is served"), || established(&api, &name)).await;
    }
    Cluster {
        client,
        _server: server,
        _dir: dir,
    }
}

async fn established(api: &Api<CustomResourceDefinition>, name: &str) -> bool {
    let status = api.get(name).await.unwrap().status.unwrap_or_default();
    let conditions = status.conditions.unwrap_or_default();
    let problems = ["NonStructuralSchema", "KubernetesAPIApprovalPolicyConformant"];
    if let Some(bad) = conditions
        .iter()
        .find(|c| problems.contains(&c.type_.as_str()) && c.status == "True")
    {
        panic!("{name}: {bad:?}");
    }
    conditions
        .iter()
        .any(|c| c.type_ == "Established" && c.status == "True")
}

async fn eventually<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition().await {
        assert!(Instant::now() < deadline, "not within 30 s: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

impl Cluster {
    fn api(&self, kind: &str, plural: &str, namespace: Option<&str>) -> Api<DynamicObject> {
        let gvk = GroupVersionKind::gvk(names::GROUP, names::VERSION, kind);
        let resource = ApiResource::from_gvk_with_plural(&gvk, plural);
        match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        }
    }

    fn networkings(&self) -> Api<DynamicObject> {
        self.api("PodNetworking", "podnetworkings", None)
    }

    async fn create(&self, name: &str, spec: Value) -> Result<Value, String> {
        let object = networking(name, spec);
        let created = self.networkings().create(&PostParams::default(), &object).await;
        created
            .map(|object| serde_json::to_value(object).unwrap())
            .map_err(|error| error.to_string())
    }
}

fn networking(name: &str, spec: Value) -> DynamicObject {
    serde_json::from_value(json!({
        "apiVersion": names::API_VERSION, "kind": "PodNetworking", "metadata": { "name": name }, "spec": spec,
    }))
    .unwrap()
}

fn fixed(allocation: Value) -> Value {
    let mut whole = json!({ "type": "Fixed" });
    whole
        .as_object_mut()
        .unwrap()
        .extend(allocation.as_object().unwrap().clone());
    json!({ "allocationType": whole, "vSwitchOptions": ["vsw-1"], "securityGroupIDs": ["sg-1"] })
}

#[tokio::test]
async fn the_api_server_accepts_completes_and_refuses() {
    let cluster = cluster().await;
    defaults_are_filled_in(&cluster).await;
    manifests_in_use_apply(&cluster).await;
    bad_input_is_refused(&cluster).await;
    updates_are_checked(&cluster).await;
    stored_objects_stay_writable(&cluster).await;
    people_see_columns_and_short_names(&cluster).await;
}

async fn defaults_are_filled_in(cluster: &Cluster) {
    let made = cluster.create("empty", json!({})).await.unwrap();
    assert_eq!(
        made["spec"],
        json!({
            "eniOptions": { "eniType": "Default" },
            "vSwitchSelectOptions": { "vSwitchSelectionPolicy": "ordered" },
        })
    );
    let made = cluster
        .create("allocation", json!({ "allocationType": {} }))
        .await
        .unwrap();
    assert_eq!(made["spec"]["allocationType"], json!({ "type": "Elastic" }));
}

async fn manifests_in_use_apply(cluster: &Cluster) {
    for (name, release) in [
        ("ttl", json!({ "releaseStrategy": "TTL", "releaseAfter": "5m0s" })),
        (
            "hours",
            json!({ "releaseStrategy": "TTL", "releaseAfter": "1h30m" }),
        ),
        (
            "fraction",
            json!({ "releaseStrategy": "TTL", "releaseAfter": "1.5h" }),
        ),
        ("zero", json!({ "releaseStrategy": "TTL", "releaseAfter": "0s" })),
        (
            "micro",
            json!({ "releaseStrategy": "TTL", "releaseAfter": "10m5µs" }),
        ),
        ("never", json!({ "releaseStrategy": "Never" })),
    ] {
        cluster.create(name, fixed(release)).await.unwrap();
    }
    let elastic =
        json!({ "allocationType": { "type": "Elastic", "releaseStrategy": "TTL", "releaseAfter": "5m" } });
    cluster.create("elastic", elastic).await.unwrap();
    let selecting = json!({ "selector": {
        "podSelector": { "matchLabels": { "a": "b" }, "matchExpressions": [{ "key": "t", "operator": "In", "values": ["x"] }] },
        "namespaceSelector": { "matchLabels": { "c": "d" } },
    } });
    cluster.create("selecting", selecting).await.unwrap();
}

async fn bad_input_is_refused(cluster: &Cluster) {
    let groups: Vec<String> = (0..11).map(|n| format!("sg-{n}")).collect();
    for (spec, sentence) in [
        (
            fixed(json!({})),
            "needs releaseStrategy: set it to TTL (with releaseAfter) or to Never",
        ),
        (
            fixed(json!({ "releaseStrategy": "TTL" })),
            "needs releaseAfter: set it to a duration such as 10m",
        ),
        (
            fixed(json!({ "releaseStrategy": "TTL", "releaseAfter": "" })),
            "needs releaseAfter",
        ),
        (
            fixed(json!({ "releaseStrategy": "TTL", "releaseAfter": "soon" })),
            "needs releaseAfter",
        ),
        (
            fixed(json!({ "releaseStrategy": "TTL", "releaseAfter": "10" })),
            "needs releaseAfter",
        ),
        (
            fixed(json!({ "releaseStrategy": "TTL", "releaseAfter": "-5m" })),
            "needs releaseAfter",
        ),
        (
            fixed(json!({ "releaseStrategy": "Never", "releaseAfter": "5m" })),
            "remove releaseAfter",
        ),
        (
            fixed(json!({ "releaseStrategy": "Later" })),
            "supported values: \"TTL\", \"Never\"",
        ),
        (
            json!({ "securityGroupIDs": groups }),
            "at most 10 security groups: shorten securityGroupIDs",
        ),
        (
            json!({ "eniOptions": { "eniType": "Huge" } }),
            "supported values: \"Default\", \"ENI\", \"Trunk\"",
        ),
        (
            json!({ "vSwitchSelectOptions": { "vSwitchSelectionPolicy": "worst" } }),
            "\"ordered\", \"random\", \"most\"",
        ),
        (json!({ "vSwitchOptions": "vsw-1" }), "spec.vSwitchOptions"),
    ] {
        let refusal = cluster
            .create("bad", spec.clone())
            .await
            .expect_err(&spec.to_string());
        assert!(
            refusal.contains(sentence),
            "{refusal:?} does not say {sentence:?}"
        );
    }
}

async fn updates_are_checked(cluster: &Cluster) {
    let api = cluster.networkings();
    let patch = json!({ "spec": { "allocationType": { "releaseStrategy": "Never" } } });
    let refusal = api
        .patch("ttl", &PatchParams::default(), &Patch::Merge(&patch))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        refusal.contains("remove releaseAfter, or set releaseStrategy to TTL"),
        "{refusal}"
    );
    let patch = json!({ "spec": { "allocationType": { "releaseStrategy": "Never", "releaseAfter": null } } });
    api.patch("ttl", &PatchParams::default(), &Patch::Merge(&patch))
        .await
        .unwrap();
}

/// What older rules let in can be labelled, and its status written, though it could not be made now.
async fn stored_objects_stay_writable(cluster: &Cluster) {
    let definitions: Api<CustomResourceDefinition> = Api::all(cluster.client.clone());
    let name = "podnetworkings.network.alibabacloud.com";
    let strict = definitions.get(name).await.unwrap();
    let mut lax = serde_json::to_value(&strict).unwrap();
    let schema = lax
        .pointer_mut("/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties")
        .unwrap();
    schema["allocationType"]
        .as_object_mut()
        .unwrap()
        .remove("x-kubernetes-validations");
    schema["securityGroupIDs"]
        .as_object_mut()
        .unwrap()
        .remove("x-kubernetes-validations");
    let lax: CustomResourceDefinition = serde_json::from_value(lax).unwrap();
    definitions
        .replace(name, &PostParams::default(), &lax)
        .await
        .unwrap();
    let groups: Vec<String> = (0..11).map(|n| format!("sg-{n}")).collect();
    let mut spec = fixed(json!({}));
    spec["securityGroupIDs"] = json!(groups);
    eventually("the lax definition is in force", || async {
        cluster.create("old", spec.clone()).await.is_ok()
    })
    .await;

    let mut again = strict;
    again.metadata.resource_version = definitions.get(name).await.unwrap().metadata.resource_version;
    definitions
        .replace(name, &PostParams::default(), &again)
        .await
        .unwrap();
    eventually("the strict definition is in force", || async {
        cluster.create("bad", fixed(json!({}))).await.is_err()
    })
    .await;
    let api = cluster.networkings();
    let label = json!({ "metadata": { "labels": { "team": "shop" } } });
    api.patch("old", &PatchParams::default(), &Patch::Merge(&label))
        .await
        .unwrap();
    let status = json!({ "status": { "status": "Ready", "vSwitches": [{ "id": "vsw-1", "zone": "h" }] } });
    api.patch_status("old", &PatchParams::default(), &Patch::Merge(&status))
        .await
        .unwrap();
    let read: PodNetworking = Api::all(cluster.client.clone()).get("old").await.unwrap();
    assert_eq!(read.spec.security_group_ids.len(), 11);
    assert!(read.spec.allocation_type.is_fixed());
}

/// What `kubectl get` shows is what the API server answers when asked for a table.
async fn people_see_columns_and_short_names(cluster: &Cluster) {
    let record = serde_json::from_value(json!({
        "apiVersion": names::API_VERSION, "kind": "PodENI",
        "metadata": { "name": "db-0", "labels": { names::label::NODE: "node1" } },
        "spec": { "allocations": [{ "ipv4": "10.0.0.9", "allocationType": { "type": "Fixed" } }] },
    }))
    .unwrap();
    let records = cluster.api("PodENI", "podenis", Some("default"));
    records.create(&PostParams::default(), &record).await.unwrap();
    let status = json!({ "status": { "phase": "Bind", "instanceID": "i-1", "summary": { "ips": "10.0.0.9", "vlans": "7" } } });
    records
        .patch_status("db-0", &PatchParams::default(), &Patch::Merge(&status))
        .await
        .unwrap();

    let path = format!("/apis/{}/namespaces/default/podenis", names::API_VERSION);
    let request = http::Request::get(path)
        .header("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
        .body(Vec::new())
        .unwrap();
    let table: Value = cluster.client.request(request).await.unwrap();
    let columns = table["columnDefinitions"].as_array().unwrap();
    let cell = |name: &str| {
        let index = columns
            .iter()
            .position(|column| column["name"] == name)
            .unwrap_or_else(|| panic!("no column {name}"));
        table["rows"][0]["cells"][index].clone()
    };
    assert_eq!(
        [cell("Phase"), cell("IPs"), cell("Node")],
        ["Bind", "10.0.0.9", "node1"]
    );
    assert_eq!([cell("Instance"), cell("VLAN")], ["i-1", "7"]);
    let wide = |name: &str| columns.iter().find(|column| column["name"] == name).unwrap()["priority"] != 0;
    assert!(!wide("ENI") && wide("Trunk"));

    let resources = cluster
        .client
        .list_api_group_resources(names::API_VERSION)
        .await
        .unwrap();
    let short = |plural: &str| {
        let found = resources
            .resources
            .iter()
            .find(|resource| resource.name == plural)
            .unwrap();
        (
            found.short_names.clone().unwrap_or_default(),
            found.categories.clone().unwrap_or_default(),
        )
    };
    assert_eq!(
        short("podenis"),
        (vec!["pe".to_owned()], vec!["terway".to_owned()])
    );
    assert_eq!(short("networkinterfaces").0, ["eni"]);
}
