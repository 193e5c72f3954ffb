//! The whole agent on a real kernel, without an API server: the test says what the watches would.

use std::{
    collections::{BTreeSet, HashMap},
    os::fd::{AsFd as _, OwnedFd},
    path::PathBuf,
    sync::Arc,
};

use async_trait::async_trait;
use kube::runtime::watcher::Event;
use parking_lot::Mutex;
use terway_agent::{
    cluster::{AttachedEni, NodeView, PodKey, PodView, SharedAddress, SharedPod},
    datapath::{Datapath, DatapathConfig, Symmetric},
    events::Announcer,
    kernel::KernelError,
    metrics::Metrics,
    notes::Notes,
    reconcile,
    server::{Agent, PodReader, listen},
    settings::Settings,
};
use terway_cni_protocol::{
    AddRequest, Attachment, CheckRequest, DelRequest, GcRequest, PodRef, Reply, Request, call,
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::datapath_world::{Node, PATIENCE, Pod, SHARED_MAC};

/// The API server's pods.
#[derive(Default)]
struct Known(Mutex<HashMap<PodKey, PodView>>);

#[async_trait]
impl PodReader for Known {
    async fn get(&self, key: &PodKey) -> Result<Option<PodView>, KernelError> {
        Ok(self.0.lock().get(key).cloned())
    }

    async fn uids(&self) -> Result<BTreeSet<String>, KernelError> {
        Ok(self.0.lock().values().map(|pod| pod.uid.clone()).collect())
    }
}

/// A node with an agent.
pub struct Host {
    config: Box<dyn Fn() -> DatapathConfig>,
    dir: tempfile::TempDir,
    pods: Arc<Known>,
    view: NodeView,
    running: Running,
}

struct Running {
    agent: Arc<Agent>,
    tasks: Vec<JoinHandle<()>>,
}

impl Host {
    /// An agent whose first lists have arrived: no pods, nothing bound.
    pub async fn start(node: &Node) -> Host {
        let config = node.config();
        let config = Box::new(move || DatapathConfig {
            node_ip: config.node_ip,
            symmetric: Some(Symmetric::default()),
            nic_deadline: config.nic_deadline,
            ..DatapathConfig::default()
        }) as Box<dyn Fn() -> DatapathConfig>;
        let (dir, pods, view) = (
            tempfile::tempdir().unwrap(),
            Arc::<Known>::default(),
            NodeView::default(),
        );
        let running = run(config(), dir.path().join("terway.sock"), &pods, &view).await;
        Host {
            config,
            dir,
            pods,
            view,
            running,
        }
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("terway.sock")
    }

    pub fn agent(&self) -> &Agent {
        &self.running.agent
    }

    /// Ends the agent as a kill does, and starts another.
    pub async fn restart(&mut self) {
        self.stop().await;
        self.running = run((self.config)(), self.socket(), &self.pods, &self.view).await;
    }

    /// Ends the agent as a kill does.
    pub async fn stop(&mut self) {
        for task in self.running.tasks.drain(..) {
            task.abort();
            let _ = task.await;
        }
    }

    /// The pod exists, and the control plane has bound its address to it.
    pub fn bind(&mut self, pod: &Pod) {
        let want = &pod.member;
        let view = PodView {
            key: PodKey::new(&want.namespace, &want.pod_name),
            uid: want.sandbox.pod_uid.clone(),
            shaped: want.shaped,
            ..PodView::default()
        };
        let eni = AttachedEni {
            eni_id: "eni-shared".into(),
            mac: SHARED_MAC,
            cidr: "10.0.16.0/22".parse().unwrap(),
        };
        let shared = SharedPod {
            pod_id: view.key.to_string(),
            address: Ok(SharedAddress { ip: want.ip, eni }),
        };
        self.view.idle.remove(&want.ip);
        self.view.shared.insert(want.sandbox.pod_uid.clone(), shared);
        self.pods.0.lock().insert(view.key.clone(), view);
        tell(&self.running.agent, &self.pods, &self.view);
    }

    /// The pod is gone, and its address is idle.
    pub fn free(&mut self, pod: &Pod) {
        let want = &pod.member;
        self.view.shared.remove(&want.sandbox.pod_uid);
        self.view.idle.insert(want.ip);
        let key = PodKey::new(&want.namespace, &want.pod_name);
        self.pods.0.lock().remove(&key);
        tell(&self.running.agent, &self.pods, &self.view);
    }

    pub async fn add(&self, pod: &Pod) -> Reply {
        let request = Request::Add(AddRequest {
            attachment: attachment(pod),
            pod: pod_ref(pod),
            wait_ms: 10_000,
        });
        self.ask(request, Some(pod.netns.descriptor())).await
    }

    pub async fn del(&self, pod: &Pod) -> Reply {
        let request = Request::Del(DelRequest {
            attachment: attachment(pod),
            pod: Some(pod_ref(pod)),
        });
        self.ask(request, Some(pod.netns.descriptor())).await
    }

    pub async fn check(&self, pod: &Pod) -> Reply {
        let request = Request::Check(CheckRequest {
            attachment: attachment(pod),
            pod: pod_ref(pod),
        });
        self.ask(request, Some(pod.netns.descriptor())).await
    }

    /// The runtime knows these sandboxes.
    pub async fn gc<'a>(&self, living: impl Iterator<Item = &'a Pod>) -> Reply {
        let valid = living.map(attachment).collect();
        self.ask(Request::Gc(GcRequest { valid }), None).await
    }

    async fn ask(&self, request: Request, netns: Option<OwnedFd>) -> Reply {
        let socket = self.socket();
        let asking = tokio::task::spawn_blocking(move || {
            call(&socket, &request, netns.as_ref().map(|fd| fd.as_fd()), PATIENCE).unwrap()
        });
        asking.await.unwrap()
    }
}

async fn run(config: DatapathConfig, socket: PathBuf, pods: &Arc<Known>, view: &NodeView) -> Running {
    let metrics = Metrics::default();
    let (events, _) = Announcer::new(&metrics);
    let kernel = Arc::new(Datapath::start(config).await.unwrap());
    let stopping = CancellationToken::new();
    let settings = Settings::default();
    let notes = Notes::new("node1", events.clone());
    let agent = Arc::new(Agent::new(
        kernel,
        pods.clone(),
        settings,
        events,
        notes,
        metrics,
        stopping,
    ));
    tell(&agent, pods, view);
    let listener = listen::bind(&socket).unwrap();
    let tasks = vec![
        tokio::spawn(listen::serve(agent.clone(), listener)),
        tokio::spawn(reconcile::run(agent.clone())),
    ];
    Running { agent, tasks }
}

/// What the watches would tell.
fn tell(agent: &Agent, pods: &Known, view: &NodeView) {
    let pods: Vec<_> = pods.0.lock().clone().into_iter().collect();
    agent.cluster.update_if(|state| {
        state.pods.apply(Event::Init);
        for (key, pod) in pods {
            state.pods.apply(Event::InitApply((key, pod)));
        }
        state.pods.apply(Event::InitDone);
        state.pod_enis.apply(Event::InitDone);
        state.runtime.apply(Event::InitDone);
        state.node.apply(Event::InitDone);
        state
            .node
            .apply(Event::Apply((PodKey::new("", "node1"), view.clone())));
        true
    });
}

pub fn attachment(pod: &Pod) -> Attachment {
    Attachment {
        container_id: pod.sandbox().container_id.clone(),
        ifname: "eth0".into(),
    }
}

fn pod_ref(pod: &Pod) -> PodRef {
    PodRef {
        namespace: pod.member.namespace.clone(),
        name: pod.member.pod_name.clone(),
        uid: Some(pod.sandbox().pod_uid.clone()),
    }
}
