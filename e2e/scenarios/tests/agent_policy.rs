//! What the token of a node's agent may write, on a real API server with the chart's roles and its
//! ValidatingAdmissionPolicy. The attacker has the agent's token of one node and goes for the objects of another.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use http::{Method, Request};
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, ResourceExt};
use lab::bare::{Apiserver, Options};
use lab::{binaries, chart};
use serde_json::{Value, json};
use terway_crds::crd;

const NAMESPACE: &str = "kube-system";
const RECORDS: &str = "/apis/network.alibabacloud.com/v1beta1";
const EVENTS: &str = "/apis/events.k8s.io/v1/namespaces/default/events";
const PATIENCE: Duration = Duration::from_secs(60);

/// One request to the API server. Nothing of it is stored: every request is a dry run, which passes authorization and
/// admission as any other.
struct Act {
    what: String,
    method: Method,
    path: String,
    body: Option<Value>,
    /// Headers that ask for another identity.
    identity: Vec<(&'static str, &'static str)>,
}

impl Act {
    fn new(what: &'static str, method: Method, path: impl Into<String>, body: Value) -> Self {
        let path = path.into();
        Self {
            what: format!("{what}: {method} {path}"),
            method,
            path,
            body: (!body.is_null()).then_some(body),
            identity: Vec::new(),
        }
    }

    fn posing_as(mut self, header: &'static str, value: &'static str) -> Self {
        self.identity.push((header, value));
        self
    }

    /// `Ok` when the API server would do it; else its answer.
    async fn try_as(&self, client: &Client) -> Result<(), Refused> {
        let content = match self.method {
            Method::PATCH => "application/merge-patch+json",
            _ => "application/json",
        };
        let mut request = Request::builder()
            .method(self.method.clone())
            .uri(format!("{}?dryRun=All", self.path))
            .header(http::header::CONTENT_TYPE, content);
        for (header, value) in &self.identity {
            request = request.header(*header, *value);
        }
        let body = self.body.as_ref().map(Value::to_string).unwrap_or_default();
        match client
            .request::<Value>(request.body(body.into_bytes()).unwrap())
            .await
        {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) => Err(Refused {
                code: status.code,
                why: status.message.clone(),
            }),
            Err(error) => panic!("{}: {error}", self.what),
        }
    }
}

#[derive(Debug)]
struct Refused {
    code: u16,
    why: String,
}

fn runtime(name: &str) -> Value {
    json!({ "apiVersion": "network.alibabacloud.com/v1beta1", "kind": "NodeRuntime", "metadata": { "name": name }, "spec": {} })
}

/// A report that every sandbox of the node is gone, in the place of this version.
fn report(name: &str, version: &str) -> Value {
    let mut report = runtime(name);
    report["metadata"]["resourceVersion"] = json!(version);
    report["status"] = json!({ "pods": { "uid": { "podID": "shop/db-0", "status":
        { "deleted": { "lastUpdateTime": "2030-01-01T00:00:00Z" } } } } });
    report
}

fn event(instance: &str, controller: &str, kind: &str, about: &str) -> Value {
    json!({ "apiVersion": "events.k8s.io/v1", "kind": "Event",
        "metadata": { "name": "e1", "namespace": "default" },
        "eventTime": "2026-01-01T00:00:00.000000Z", "reportingController": controller, "reportingInstance": instance,
        "action": "AllocIP", "reason": "AllocIPFailed", "type": "Warning", "note": "no",
        "regarding": { "kind": kind, "name": about, "namespace": "default" } })
}

/// What an agent has to do.
fn duties() -> Vec<Act> {
    let own = format!("{RECORDS}/noderuntimes");
    vec![
        Act::new("make the own report", Method::POST, &own, runtime("node1")),
        Act::new(
            "tell about a pod",
            Method::POST,
            EVENTS,
            event("node1", "terway-daemon", "Pod", "db-0"),
        ),
        Act::new(
            "tell about the own node",
            Method::POST,
            EVENTS,
            event("node1", "terway-daemon", "Node", "node1"),
        ),
    ]
}

/// Attacks that only the policy refuses: RBAC lets an agent do the same for its own node.
fn beyond_rbac(version: &str) -> Vec<Act> {
    let runtimes = format!("{RECORDS}/noderuntimes");
    let mut unnamed = runtime("");
    unnamed["metadata"] = json!({ "generateName": "node1-" });
    vec![
        Act::new(
            "make another node's report",
            Method::POST,
            &runtimes,
            runtime("node3"),
        ),
        Act::new(
            "make a report whose name the server chooses",
            Method::POST,
            &runtimes,
            unnamed,
        ),
        Act::new(
            "report the end of another node's sandboxes",
            Method::PUT,
            format!("{runtimes}/node2/status"),
            report("node2", version),
        ),
        Act::new(
            "speak for another node",
            Method::POST,
            EVENTS,
            event("node2", "terway-daemon", "Pod", "db-0"),
        ),
        Act::new(
            "speak for the kubelet",
            Method::POST,
            EVENTS,
            event("node1", "kubelet", "Pod", "db-0"),
        ),
        Act::new(
            "tell about another node",
            Method::POST,
            EVENTS,
            event("node1", "terway-daemon", "Node", "node2"),
        ),
        Act::new(
            "tell about a Secret",
            Method::POST,
            EVENTS,
            event("node1", "terway-daemon", "Secret", "s"),
        ),
        Act::new(
            "repeat another node's event",
            Method::PATCH,
            format!("{EVENTS}/of-node2"),
            json!({ "series": { "count": 99, "lastObservedTime": "2030-01-01T00:00:00.000000Z" } }),
        ),
    ]
}

/// Attacks that RBAC refuses.
fn beyond_duty(version: &str) -> Vec<Act> {
    let report = |what| {
        let path = format!("{RECORDS}/noderuntimes/node2/status");
        Act::new(what, Method::PUT, path, report("node2", version))
    };
    let own = "system:serviceaccount:kube-system:terway";
    let node = "Impersonate-Extra-authentication.kubernetes.io%2fnode-name";
    let mut acts = vec![
        report("report in the kubelet's name").posing_as("Impersonate-User", "system:node:node2"),
        report("report with another node in the token")
            .posing_as("Impersonate-User", own)
            .posing_as(node, "node2"),
    ];
    let mut taken = event("node1", "terway-daemon", "Pod", "db-0");
    taken["metadata"]["name"] = json!("of-node2");
    acts.push(Act::new(
        "take over another node's event",
        Method::PUT,
        format!("{EVENTS}/of-node2"),
        taken,
    ));
    let mut token = json!({ "spec": {} });
    token["spec"]["boundObjectRef"] = json!({ "kind": "Pod", "apiVersion": "v1", "name": "agent-node2" });
    acts.push(Act::new(
        "ask for a token that names another node",
        Method::POST,
        format!("/api/v1/namespaces/{NAMESPACE}/serviceaccounts/terway/token"),
        token,
    ));
    let wish = json!({ "metadata": { "annotations": { "a": "b" } } });
    for path in [
        "noderuntimes/node2",
        "noderuntimes/node2/status",
        "nodes/node2",
        "nodes/node2/status",
        "namespaces/shop/podenis/db-0",
        "namespaces/shop/podenis/db-0/status",
        "podnetworkings/db",
        "networkinterfaces/eni-1/status",
    ] {
        let path = format!("{RECORDS}/{path}");
        acts.push(Act::new("change a record", Method::PATCH, &path, wish.clone()));
        acts.push(Act::new("delete a record", Method::DELETE, &path, Value::Null));
    }
    for path in [
        "/api/v1/namespaces/default/pods/p",
        "/api/v1/nodes/node2/status",
        "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/terway-agent-own-node",
        "/api/v1/namespaces/kube-system/configmaps/eni-config",
    ] {
        acts.push(Act::new(
            "change what is others'",
            Method::PATCH,
            path,
            wish.clone(),
        ));
        acts.push(Act::new(
            "delete what is others'",
            Method::DELETE,
            path,
            Value::Null,
        ));
    }
    acts
}

struct World {
    admin: Client,
    /// Version of the report of node2.
    version: String,
    server: Apiserver,
    dir: tempfile::TempDir,
}

impl World {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("apiserver");
        let server = tokio::task::spawn_blocking(move || Apiserver::start(path, Options::default()));
        let server = server.await.unwrap().unwrap();
        let kubeconfig = Kubeconfig::read_from(&server.kubeconfig).unwrap();
        let admin = client(kubeconfig).await;
        let mut world = Self {
            admin,
            version: String::new(),
            server,
            dir,
        };
        let definitions: Api<CustomResourceDefinition> = Api::all(world.admin.clone());
        for definition in crd::all().unwrap() {
            definitions
                .create(&PostParams::default(), &definition)
                .await
                .unwrap();
        }
        world.apply(&["templates/agent/rbac.yaml"]);
        for node in ["node1", "node2"] {
            let object = json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": node } });
            world.store("/api/v1/nodes", object).await.unwrap();
            let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": format!("agent-{node}") }, "spec": { "nodeName": node,
                "serviceAccountName": "terway", "automountServiceAccountToken": false,
                "containers": [{ "name": "terway", "image": "lab.local/pause:1" }] } });
            let pods = format!("/api/v1/namespaces/{NAMESPACE}/pods");
            world.store(&pods, pod).await.unwrap();
        }
        let theirs = format!("{RECORDS}/noderuntimes");
        world
            .settles("the definitions are served", || async {
                world.store(&theirs, runtime("node2")).await.is_ok()
            })
            .await;
        let stored = Request::get(format!("{theirs}/node2")).body(Vec::new()).unwrap();
        let stored: Value = world.admin.request(stored).await.unwrap();
        world.version = stored["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
        let mut event = event("node2", "terway-daemon", "Pod", "db-0");
        event["metadata"]["name"] = json!("of-node2");
        world.store(EVENTS, event).await.unwrap();
        world
    }

    async fn store(&self, path: &str, body: Value) -> kube::Result<Value> {
        let request = Request::post(path).header(http::header::CONTENT_TYPE, "application/json");
        let request = request.body(body.to_string().into_bytes()).unwrap();
        self.admin.request(request).await
    }

    /// Applies templates of the chart.
    fn apply(&self, templates: &[&str]) {
        let values = json!({ "terwayControlplane": { "clusterID": "c", "vpcID": "vpc-1" } });
        let manifest = chart::render(&values, templates).unwrap();
        let mut kubectl = Command::new(binaries::kubernetes("kubectl").unwrap())
            .arg("--kubeconfig")
            .arg(&self.server.kubeconfig)
            .arg("--cache-dir")
            .arg(self.dir.path().join("cache"))
            .args(["apply", "-f", "-"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        kubectl
            .stdin
            .take()
            .unwrap()
            .write_all(manifest.as_bytes())
            .unwrap();
        assert!(
            kubectl.wait().unwrap().success(),
            "kubectl apply of {templates:?}"
        );
    }

    /// A client with a token of the agent's account, bound to this pod if there is one.
    async fn agent(&self, pod: Option<&str>) -> Client {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.admin.clone(), NAMESPACE);
        let pods: Api<Pod> = Api::namespaced(self.admin.clone(), NAMESPACE);
        let mut request = json!({ "spec": { "audiences": [] } });
        if let Some(pod) = pod {
            let uid = pods.get(pod).await.unwrap().uid().unwrap();
            request["spec"]["boundObjectRef"] =
                json!({ "kind": "Pod", "apiVersion": "v1", "name": pod, "uid": uid });
        }
        let request: TokenRequest = serde_json::from_value(request).unwrap();
        let made = accounts
            .create_token_request("terway", &PostParams::default(), &request)
            .await;
        let token = made.unwrap().status.unwrap().token;
        let kubeconfig = json!({ "apiVersion": "v1", "kind": "Config", "current-context": "x",
            "clusters": [{ "name": "x", "cluster": { "server": self.server.url,
                "certificate-authority": self.dir.path().join("apiserver/ca.crt") } }],
            "users": [{ "name": "x", "user": { "token": token } }],
            "contexts": [{ "name": "x", "context": { "cluster": "x", "user": "x" } }] });
        let kubeconfig: Kubeconfig = serde_json::from_value(kubeconfig).unwrap();
        client(kubeconfig).await
    }

    async fn settles<F: Future<Output = bool>>(&self, what: &str, mut condition: impl FnMut() -> F) {
        let deadline = Instant::now() + PATIENCE;
        while !condition().await {
            assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

async fn client(kubeconfig: Kubeconfig) -> Client {
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
    Client::try_from(config.unwrap()).unwrap()
}

#[tokio::test]
async fn the_token_of_an_agent_writes_for_its_own_node_only() {
    let world = World::start().await;
    let version = &world.version;
    let agent = world.agent(Some("agent-node1")).await;
    for act in duties().iter().chain(&beyond_rbac(version)) {
        world
            .settles(&act.what, || async { act.try_as(&agent).await.is_ok() })
            .await;
    }

    world.apply(&["templates/agent/admission-policy.yaml"]);
    let first = &beyond_rbac(version)[0];
    world
        .settles("the policy is in force", || async {
            first.try_as(&agent).await.is_err()
        })
        .await;
    for act in duties() {
        act.try_as(&agent).await.unwrap();
    }
    for act in beyond_rbac(version) {
        let refused = act.try_as(&agent).await.expect_err(&act.what);
        assert!(
            refused.why.contains("terway-agent-own-node"),
            "{}: {refused:?}",
            act.what
        );
        assert!(refused.why.contains("node1"), "{}: {refused:?}", act.what);
    }
    for act in beyond_duty(version) {
        let refused = act.try_as(&agent).await.expect_err(&act.what);
        assert_eq!(refused.code, 403, "{}: {refused:?}", act.what);
    }

    // A token that no pod is bound to names no node, so its holder is nobody's agent.
    let unbound = world.agent(None).await;
    for act in duties() {
        let refused = act.try_as(&unbound).await.expect_err(&act.what);
        assert!(
            refused.why.contains("the token of its own pod"),
            "{}: {refused:?}",
            act.what
        );
    }
    // The other node's agent writes its own report.
    let other = world.agent(Some("agent-node2")).await;
    beyond_rbac(version)[2].try_as(&other).await.unwrap();
}
