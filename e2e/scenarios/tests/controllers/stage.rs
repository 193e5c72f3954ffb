//! A bare API server, a cloud, two nodes nobody runs, and pods nobody starts.

use std::future::Future;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use cloudsim::{Options, Running, Simulator, World};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Node, Pod};
use k8s_openapi::serde::Serialize;
use k8s_openapi::serde::de::DeserializeOwned;
use kube::api::{DeleteParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Resource};
use lab::bare::{self, Apiserver};
use lab::chart;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tempfile::TempDir;
use terway_crds::names::{annotation, label, object};
use terway_crds::{NetworkInterface, Phase, PodEni};

/// Namespace of the pods.
pub const NAMESPACE: &str = "default";
/// Address of a health endpoint on a port that the kernel chooses.
pub const ANY_PORT: &str = "127.0.0.1:0";
/// Longest time that anything here may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Time without a call to the cloud after which nothing is under way: longer than any pause between two looks at an
/// ENI.
const SILENCE: Duration = Duration::from_secs(2);

pub struct Stage {
    pub client: Client,
    pub cloud: Running,
    pub apiserver: Apiserver,
    pub dir: TempDir,
    /// Keys of ctrl-config.yaml beside those of [`Stage::settings`].
    pub extra: Value,
}

impl Stage {
    /// Everything but a control plane.
    pub async fn set() -> Stage {
        let dir = tempfile::tempdir().expect("a folder for the test");
        let kube = dir.path().join("kube");
        let apiserver = tokio::task::spawn_blocking(move || Apiserver::start(kube, bare::Options::default()))
            .await
            .expect("the thread ends")
            .expect("an API server");
        let client = client_of(&apiserver).await;
        let cloud = Simulator::start(World::small(), Options::default())
            .await
            .expect("a cloud");
        let stage = Stage {
            client,
            cloud,
            apiserver,
            dir,
            extra: json!({}),
        };
        stage.prepare().await;
        stage
    }

    async fn prepare(&self) {
        for namespace in [NAMESPACE, object::NAMESPACE] {
            let api: Api<Namespace> = Api::all(self.client.clone());
            if api
                .get_opt(namespace)
                .await
                .expect("namespaces can be read")
                .is_none()
            {
                // The API server makes some namespaces itself, sooner or later.
                let _ = api
                    .create(
                        &PostParams::default(),
                        &object_of(json!({"metadata": {"name": namespace}})),
                    )
                    .await;
            }
        }
        self.eni_config().await;
        for number in [1, 2] {
            let node = json!({
                "metadata": {"name": format!("node{number}"), "labels": {
                    label::REGION: "cn-hangzhou",
                    label::ZONE: "cn-hangzhou-h",
                    label::INSTANCE_TYPE: "ecs.g7.2xlarge",
                }},
                "spec": {"providerID": format!("cn-hangzhou.i-node{number}")},
            });
            self.create::<Node>(Api::all(self.client.clone()), node).await;
        }
    }

    /// What the chart ships for this cluster, with the health endpoint at this address. Addresses are used again
    /// soon and the cloud's reads are assumed to lag little, so that a test need not wait.
    pub fn settings(&self, health: &str) -> chart::Settings {
        let mut extra = json!({"disableWebhook": true, "ipReuseCooldown": "1s", "cloudConsistency": "1s"});
        for (key, value) in self.extra.as_object().expect("a map of keys") {
            extra[key] = value.clone();
        }
        let values = json!({
            "terway": {
                "vSwitchIDs": {"cn-hangzhou-h": ["vsw-node-h"]},
                "securityGroupIDs": ["sg-node"],
            },
            "terwayControlplane": {
                "clusterID": "test",
                "vpcID": "vpc-lab",
                "regionID": "cn-hangzhou",
                "healthzBindAddress": health,
                "metricsBindAddress": "0",
                "minReleaseAfter": "1s",
                "extraConfig": extra,
            },
        });
        chart::settings(&values).expect("the chart renders")
    }

    /// Writes the ConfigMap eni-config as the chart has it.
    pub async fn eni_config(&self) {
        let eni_conf = self.settings(ANY_PORT).eni_conf;
        self.create::<ConfigMap>(
            Api::namespaced(self.client.clone(), object::NAMESPACE),
            json!({
                "metadata": {"name": object::ENI_CONFIG},
                "data": {object::ENI_CONFIG_KEY: eni_conf.to_string()},
            }),
        )
        .await;
    }

    pub async fn create<K>(&self, api: Api<K>, value: Value)
    where
        K: Resource + Clone + Serialize + DeserializeOwned + std::fmt::Debug,
    {
        api.create(&PostParams::default(), &object_of(value))
            .await
            .expect("the object is accepted");
    }

    /// Creates a pod as it looks after the webhook and the scheduler, in the usual network.
    /// `lifetime` is an allocationType.
    pub async fn pod(&self, name: &str, node: &str, lifetime: Value) {
        self.pod_in(
            name,
            node,
            json!([network("eth0", &["vsw-pod-h"], "sg-web", lifetime)]),
        )
        .await;
    }

    /// Creates a pod in these networks.
    pub async fn pod_in(&self, name: &str, node: &str, networks: Value) {
        let pod = json!({
            "metadata": {"name": name, "annotations": {
                annotation::POD_ENI: "true",
                annotation::POD_NETWORKS: json!({"podNetworks": networks}).to_string(),
            }},
            "spec": {
                "nodeName": node,
                "containers": [{"name": "main", "image": "none"}],
                "terminationGracePeriodSeconds": 0,
            },
        });
        self.create::<Pod>(Api::namespaced(self.client.clone(), NAMESPACE), pod)
            .await;
    }

    /// Deletes a pod, as after its containers have ended.
    pub async fn remove_pod(&self, name: &str) {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), NAMESPACE);
        let params = DeleteParams {
            grace_period_seconds: Some(0),
            ..DeleteParams::default()
        };
        api.delete(name, &params).await.expect("the pod can be deleted");
    }

    pub fn records(&self) -> Api<PodEni> {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    pub fn interfaces(&self) -> Api<NetworkInterface> {
        Api::all(self.client.clone())
    }

    /// Waits until both nodes have their trunks and advertise members.
    pub async fn nodes_serve(&self) {
        let nodes: Api<Node> = Api::all(self.client.clone());
        until("both nodes advertise 14 members", || async {
            let mut serving = 0;
            for name in ["node1", "node2"] {
                let node = nodes.get(name).await.expect("nodes can be read");
                let status = node.status.unwrap_or_default();
                let members = status
                    .allocatable
                    .unwrap_or_default()
                    .get("aliyun/member-eni")
                    .cloned();
                let trunk = node
                    .metadata
                    .annotations
                    .unwrap_or_default()
                    .contains_key(annotation::TRUNK_ON);
                serving += usize::from(trunk && members.is_some_and(|q| q.0 == "14"));
            }
            serving == 2
        })
        .await;
    }

    pub async fn record(&self, name: &str) -> Option<PodEni> {
        self.records().get_opt(name).await.expect("PodENIs can be read")
    }

    /// Waits until the PodENI is in a phase, and returns the PodENI.
    pub async fn phase(&self, name: &str, phase: Phase) -> PodEni {
        let in_phase = |record: &PodEni| record.status.as_ref().is_some_and(|status| status.phase == phase);
        found(&format!("{name} in phase {phase}"), || async {
            self.record(name).await.filter(in_phase)
        })
        .await
    }

    pub async fn record_gone(&self, name: &str) {
        until(&format!("the PodENI {name} is gone"), || async {
            self.record(name).await.is_none()
        })
        .await;
    }

    /// Waits until every ENI of pods is gone, and every NetworkInterface.
    pub async fn no_pod_enis(&self) {
        let list = kube::api::ListParams::default();
        until("the cloud has no ENI of a pod", || async {
            self.pod_enis().is_empty()
        })
        .await;
        until("no NetworkInterface is left", || async {
            self.interfaces()
                .list(&list)
                .await
                .expect("a list")
                .items
                .is_empty()
        })
        .await;
    }

    /// Waits until the cloud has not been asked for anything for a while: nothing is under way any more.
    pub async fn silence(&self) {
        let last = Mutex::new((self.cloud.call_count(), Instant::now()));
        until("the cloud is not asked for anything any more", || async {
            let mut last = last.lock();
            if self.cloud.call_count() != last.0 {
                *last = (self.cloud.call_count(), Instant::now());
            }
            last.1.elapsed() > SILENCE
        })
        .await;
    }

    /// Ids of the ENIs in the vSwitch of pods.
    pub fn pod_enis(&self) -> Vec<String> {
        let state = serde_json::to_value(self.cloud.enis()).expect("ENIs can be written as JSON");
        let enis = state.as_array().cloned().unwrap_or_default();
        let of_pods = enis.iter().filter(|eni| eni.to_string().contains("vsw-pod-h"));
        of_pods
            .map(|eni| eni["id"].as_str().unwrap_or_default().to_owned())
            .collect()
    }

    /// File with the keys of a replica.
    pub fn keys(&self, name: &str) -> PathBuf {
        self.dir.path().join(format!("{name}-secret.yaml"))
    }

    /// Writes the keys of a replica, as the mount of a Secret does.
    pub fn write_keys(&self, name: &str, secret: &str) {
        let text = format!("accessKey: lab-ak\naccessSecret: {secret}\n");
        std::fs::write(self.keys(name), text).expect("the keys can be written");
    }

    /// How many calls of an action the cloud accepted.
    pub fn accepted(&self, action: &str) -> usize {
        let calls = self.cloud.calls_since(0);
        calls
            .iter()
            .filter(|call| call.action == action && call.outcome == "OK")
            .count()
    }
}

/// A client with the API server's own credentials.
pub async fn client_of(apiserver: &Apiserver) -> Client {
    let kubeconfig = Kubeconfig::read_from(&apiserver.kubeconfig).expect("a kubeconfig");
    let options = KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .expect("a configuration");
    Client::try_from(config).expect("a client")
}

fn object_of<K: DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).expect("the object has its type's form")
}

/// Waits until a condition holds.
pub async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let once = || {
        let holds = holds();
        async { holds.await.then_some(()) }
    };
    found(what, once).await;
}

/// Waits until `look` finds something, and returns that.
pub async fn found<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// One network of a pod.
pub fn network(interface: &str, vswitches: &[&str], group: &str, lifetime: Value) -> Value {
    json!({
        "vSwitchOptions": vswitches,
        "securityGroupIDs": [group],
        "interface": interface,
        "eniOptions": {"eniType": "Default"},
        "allocationType": lifetime,
    })
}

/// An allocationType that goes with the pod.
pub fn elastic() -> Value {
    json!({"type": "Elastic"})
}

/// An allocationType that outlives the pod for a time.
pub fn fixed(release_after: &str) -> Value {
    json!({"type": "Fixed", "releaseStrategy": "TTL", "releaseAfter": release_after})
}
