//! A bare API server with the agent's permissions, an agent on a scripted kernel, and the control
//! plane played by hand.

use std::future::Future;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Namespace, Pod};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, ResourceExt};
use lab::bare::{Apiserver, Options};
use serde_json::{Value, json};
use terway_agent::args::RunArgs;
use terway_agent::kernel::Kernel;
use terway_agent::run::run_with;
pub use terway_agent::scripted::ScriptedKernel;
use terway_cni_protocol::{AddRequest, Attachment, DelRequest, PodRef, Reply, Request, call};
use terway_crds::{NodeRuntime, PodEni, TerwayNode, crd};
use terway_process::lifecycle::{AfterFailure, Lifecycle};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub const NODE: &str = "node1";
pub const TRUNK: &str = "eni-trunk1";
const SHARED: &str = "eni-shared1";
const NAMESPACE: &str = "shop";
/// A sandbox that came and went between two reports is reported after 30 s; the rest is for busy machines.
const PATIENCE: Duration = Duration::from_secs(90);

/// Poll a condition until it holds.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let deadline = Instant::now() + PATIENCE;
    while !condition().await {
        assert!(
            Instant::now() < deadline,
            "not within {} s: {what}",
            PATIENCE.as_secs()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The API server and everything a node has in it.
pub struct World {
    pub client: Client,
    agent_client: Client,
    agent_kubeconfig: PathBuf,
    dir: tempfile::TempDir,
    _server: Apiserver,
}

impl World {
    pub async fn start() -> World {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("apiserver");
        let server = tokio::task::spawn_blocking(move || Apiserver::start(path, Options::default()));
        let server = server.await.unwrap().unwrap();
        let client = client(&server.kubeconfig).await;
        let account = "system:serviceaccount:kube-system:terway";
        let groups = [
            "system:serviceaccounts",
            "system:serviceaccounts:kube-system",
            "system:authenticated",
        ];
        let agent_kubeconfig = server.kubeconfig_for(account, &groups).unwrap();
        let agent_client = self::client(&agent_kubeconfig).await;
        let world = World {
            client,
            agent_client,
            agent_kubeconfig,
            dir,
            _server: server,
        };
        world.install().await;
        world
    }

    async fn install(&self) {
        let definitions: Api<CustomResourceDefinition> = Api::all(self.client.clone());
        for definition in crd::all().unwrap() {
            definitions
                .create(&PostParams::default(), &definition)
                .await
                .unwrap();
        }
        create::<Namespace>(
            &Api::all(self.client.clone()),
            json!({ "metadata": { "name": NAMESPACE } }),
        )
        .await;
        let role = json!({ "metadata": { "name": "terway-agent" }, "rules": [
            { "apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"] },
            { "apiGroups": ["network.alibabacloud.com"], "resources": ["podenis", "nodes"], "verbs": ["list", "watch"] },
            { "apiGroups": ["network.alibabacloud.com"], "resources": ["noderuntimes"], "verbs": ["get", "list", "watch", "create"] },
            { "apiGroups": ["network.alibabacloud.com"], "resources": ["noderuntimes/status"], "verbs": ["update"] },
            { "apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch"] },
        ]});
        create::<ClusterRole>(&Api::all(self.client.clone()), role).await;
        let binding = json!({ "metadata": { "name": "terway-agent" },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "terway-agent" },
            "subjects": [{ "kind": "ServiceAccount", "name": "terway", "namespace": "kube-system" }] });
        create::<ClusterRoleBinding>(&Api::all(self.client.clone()), binding).await;
        let nodes: Api<TerwayNode> = Api::all(self.client.clone());
        eventually("the definitions are served", || async {
            nodes.list(&ListParams::default()).await.is_ok()
        })
        .await;
        self.trunk(NODE).await;
    }

    /// The control plane has given a node its trunk.
    async fn trunk(&self, node: &str) {
        let nodes: Api<TerwayNode> = Api::all(self.client.clone());
        let spec = json!({ "nodeMetadata": { "regionID": "cn-hangzhou", "instanceType": "ecs.g7.2xlarge",
            "instanceID": format!("i-{node}"), "zoneID": "cn-hangzhou-h" } });
        let object = json!({ "apiVersion": "network.alibabacloud.com/v1beta1", "kind": "Node",
            "metadata": { "name": node, "labels": { "name": node } }, "spec": spec });
        create(&nodes, object).await;
        let nic = json!({ "id": TRUNK, "status": "InUse", "networkInterfaceType": "Trunk",
            "macAddress": "00:16:3e:00:00:01", "ipv4CIDR": "10.0.0.0/24", "primaryIPAddress": "10.0.0.20" });
        let status = json!({ "status": { "networkInterfaces": { TRUNK: nic } } });
        nodes
            .patch_status(node, &PatchParams::default(), &Patch::Merge(status))
            .await
            .unwrap();
    }

    /// The control plane has found out how many ENIs the node can have.
    pub async fn capacity(&self, adapters: u32) {
        let nodes: Api<TerwayNode> = Api::all(self.client.clone());
        let spec = json!({ "spec": { "nodeCap": { "adapters": adapters } } });
        nodes
            .patch(NODE, &PatchParams::default(), &Patch::Merge(spec))
            .await
            .unwrap();
    }

    /// The control plane has bound an address of the shared ENI to a pod, or, without one, freed it.
    pub async fn bind(&self, ip: &str, pod: Option<(&str, &str)>) {
        let (id, uid) = match pod {
            Some((name, uid)) => (json!(format!("{NAMESPACE}/{name}")), json!(uid)),
            None => (Value::Null, Value::Null),
        };
        let ip = json!({ ip: { "ip": ip, "primary": false, "status": "Valid", "podID": id, "podUID": uid } });
        self.shared(ip).await;
    }

    /// The same for many pods at once: address, name, UID.
    pub async fn bind_all(&self, pods: &[(String, &str, &str)]) {
        let ip = |(ip, name, uid): &(String, &str, &str)| {
            let record = json!({ "ip": ip, "primary": false, "status": "Valid",
                "podID": format!("{NAMESPACE}/{name}"), "podUID": uid });
            (ip.clone(), record)
        };
        self.shared(Value::Object(pods.iter().map(ip).collect())).await;
    }

    async fn shared(&self, ipv4: Value) {
        let nodes: Api<TerwayNode> = Api::all(self.client.clone());
        let nic = json!({ "id": SHARED, "status": "InUse", "networkInterfaceType": "Secondary",
            "macAddress": "00:16:3e:00:00:03", "ipv4CIDR": "10.0.16.0/22", "ipv4": ipv4 });
        let status = json!({ "status": { "networkInterfaces": { SHARED: nic } } });
        nodes
            .patch_status(NODE, &PatchParams::default(), &Patch::Merge(status))
            .await
            .unwrap();
    }

    /// Credentials of the agent, for a process of its own.
    pub fn agent_kubeconfig(&self) -> &Path {
        &self.agent_kubeconfig
    }

    /// A pod, scheduled to the node; returns its UID.
    pub async fn pod(&self, name: &str, wants_eni: bool) -> String {
        let annotations = if wants_eni {
            json!({ "k8s.aliyun.com/pod-eni": "true" })
        } else {
            json!({})
        };
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), NAMESPACE);
        let object = json!({ "metadata": { "name": name, "annotations": annotations }, "spec": {
            "nodeName": NODE, "automountServiceAccountToken": false,
            "containers": [{ "name": "c", "image": "lab.local/pause:1" }] } });
        create(&pods, object).await.uid().unwrap()
    }

    /// Remove a pod as a kubelet does at the end: at once.
    pub async fn delete_pod(&self, name: &str) {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), NAMESPACE);
        pods.delete(name, &DeleteParams::default().grace_period(0))
            .await
            .unwrap();
    }

    /// Create or change a PodENI as the control plane does: who it is for, and where.
    pub async fn pod_eni(&self, name: &str, uid: &str, node: &str, ip: &str) {
        let pod_enis: Api<PodEni> = Api::namespaced(self.client.clone(), NAMESPACE);
        let object = json!({ "apiVersion": "network.alibabacloud.com/v1beta1", "kind": "PodENI",
            "metadata": { "name": name, "labels": { "k8s.aliyun.com/node": node },
                "annotations": { "k8s.aliyun.com/pod-uid": uid } },
            "spec": { "zone": "cn-hangzhou-h", "allocations": [{ "eni": { "id": format!("eni-{name}") },
                "ipv4": ip, "ipv4CIDR": "10.0.16.0/22", "allocationType": { "type": "Elastic" } }] } });
        pod_enis
            .patch(
                name,
                &PatchParams::apply("control-plane").force(),
                &Patch::Apply(object),
            )
            .await
            .unwrap();
    }

    /// Set the phase of a PodENI.
    pub async fn phase(&self, name: &str, phase: &str, trunk: &str, message: &str) {
        let pod_enis: Api<PodEni> = Api::namespaced(self.client.clone(), NAMESPACE);
        let eni = format!("eni-{name}");
        let infos = json!({ eni.as_str(): { "id": eni, "type": "Member", "vid": 7, "status": "Bind" } });
        let status =
            json!({ "status": { "phase": phase, "trunkENIID": trunk, "msg": message, "eniInfos": infos } });
        pod_enis
            .patch_status(name, &PatchParams::default(), &Patch::Merge(status))
            .await
            .unwrap();
    }

    /// Notes of the events with this reason on a pod.
    pub async fn events(&self, uid: &str, reason: &str) -> Vec<String> {
        let events: Api<Event> = Api::namespaced(self.client.clone(), NAMESPACE);
        let all = events.list(&ListParams::default()).await.unwrap();
        let ours = all.items.into_iter().filter(|event| {
            event.reason.as_deref() == Some(reason)
                && event.reporting_instance.as_deref() == Some(NODE)
                && event
                    .regarding
                    .as_ref()
                    .and_then(|regarding| regarding.uid.as_deref())
                    == Some(uid)
        });
        ours.filter_map(|event| event.note).collect()
    }

    /// What the NodeRuntime says of a pod: whether it has been seen, and whether it is gone.
    pub async fn reported(&self, uid: &str) -> Option<&'static str> {
        let runtimes: Api<NodeRuntime> = Api::all(self.client.clone());
        let record = runtimes
            .get_opt(NODE)
            .await
            .unwrap()?
            .status?
            .pods
            .get(uid)?
            .clone();
        let time = |state: &str| {
            record
                .status
                .get(state)?
                .last_update_time
                .as_ref()
                .map(|time| time.0)
        };
        Some(if time("deleted") > time("initial") {
            "deleted"
        } else {
            "initial"
        })
    }

    /// An agent on this kernel.
    pub fn agent(&self, kernel: &Arc<ScriptedKernel>) -> Agent {
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let path = |name: &str| self.dir.path().join(name);
        let args = RunArgs {
            node_name: NODE.into(),
            node_ip: None,
            config: path("eni"),
            socket: path("run/terway.sock"),
            cni_conf_dir: path("net.d"),
            bpf_dir: path("bpf"),
            sysctl_dir: path("sysctl"),
            health: port,
            metrics: Default::default(),
            log_level: "info".into(),
        };
        let life = Lifecycle::new(AfterFailure::Drain);
        let (stop, kernel) = (life.stopping(), kernel.clone() as Arc<dyn Kernel>);
        let (socket, conflist) = (args.socket.clone(), args.cni_conf_dir.join("10-terway.conflist"));
        let task = tokio::spawn(run_with(
            args,
            self.agent_client.clone(),
            async |_| Ok(kernel),
            life,
        ));
        Agent {
            task,
            stop,
            socket,
            conflist,
            health: port,
        }
    }
}

/// A running agent.
pub struct Agent {
    pub task: JoinHandle<anyhow::Result<()>>,
    pub stop: CancellationToken,
    pub socket: PathBuf,
    pub conflist: PathBuf,
    health: std::net::SocketAddr,
}

impl Agent {
    pub async fn ready(&self) {
        eventually("the agent is ready", || async {
            self.get("/readyz").await.starts_with("ok")
        })
        .await;
    }

    /// The body of a page of the health server; empty while there is none.
    pub async fn get(&self, path: &str) -> String {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let Ok(mut stream) = tokio::net::TcpStream::connect(self.health).await else {
            return String::new();
        };
        let request = format!("GET {path} HTTP/1.1\r\nhost: agent\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
            .split_once("\r\n\r\n")
            .map(|(_, body)| body.to_owned())
            .unwrap_or_default()
    }

    /// End it as a kill does.
    pub async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }

    fn ask(&self, request: Request) -> JoinHandle<Reply> {
        let socket = self.socket.clone();
        tokio::task::spawn_blocking(move || {
            let netns = std::fs::File::open("/proc/self/ns/net").unwrap();
            call(&socket, &request, Some(netns.as_fd()), PATIENCE).unwrap()
        })
    }

    pub fn add(&self, container: &str, name: &str, uid: Option<&str>, wait: Duration) -> JoinHandle<Reply> {
        let wait_ms = u64::try_from(wait.as_millis()).unwrap();
        self.ask(Request::Add(AddRequest {
            attachment: attachment(container),
            pod: pod_ref(name, uid),
            wait_ms,
        }))
    }

    pub fn del(&self, container: &str, name: &str) -> JoinHandle<Reply> {
        self.ask(Request::Del(DelRequest {
            attachment: attachment(container),
            pod: Some(pod_ref(name, None)),
        }))
    }
}

fn attachment(container: &str) -> Attachment {
    Attachment {
        container_id: container.into(),
        ifname: "eth0".into(),
    }
}

fn pod_ref(name: &str, uid: Option<&str>) -> PodRef {
    PodRef {
        namespace: NAMESPACE.into(),
        name: name.into(),
        uid: uid.map(str::to_owned),
    }
}

/// The address in a reply, or the refusal.
pub fn address(reply: Reply) -> Result<String, String> {
    match reply {
        Reply::Network(network) => Ok(network.addresses[0].address.to_string()),
        Reply::Refused(failure) => Err(format!("{}: {}", failure.code, failure.message)),
        other => panic!("{other:?}"),
    }
}

async fn client(kubeconfig: &std::path::Path) -> Client {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).unwrap();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .unwrap();
    Client::try_from(config).unwrap()
}

async fn create<K>(api: &Api<K>, object: Value) -> K
where
    K: Clone + std::fmt::Debug + serde::Serialize + serde::de::DeserializeOwned,
{
    api.create(&PostParams::default(), &serde_json::from_value(object).unwrap())
        .await
        .unwrap()
}
