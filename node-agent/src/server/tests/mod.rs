//! The server over a real socket, with a scripted kernel. This file has the set-up and the requests.

mod add;
mod del;
mod other;
mod overlap;
mod waiting;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use terway_cni_protocol::{AddRequest, Attachment, DelRequest, Failure, PodRef, Reply, Request, call};
use tokio::task::JoinHandle;

use super::listen;
use crate::testing::{Stage, bound};

const PATIENCE: Duration = Duration::from_secs(20);

struct Server {
    stage: Stage,
    socket: PathBuf,
    serving: JoinHandle<()>,
    _dir: tempfile::TempDir,
}

impl Server {
    fn on(stage: Stage) -> Server {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("run/terway.sock");
        let listener = listen::bind(&socket).unwrap();
        let serving = tokio::spawn(listen::serve(stage.agent.clone(), listener));
        Server {
            stage,
            socket,
            serving,
            _dir: dir,
        }
    }

    /// The pod db-0 with the UID u-1 is to have an ENI.
    fn with_pod() -> Server {
        let server = Server::on(Stage::new());
        server.stage.pod("db-0", "u-1");
        server
    }

    /// And it is bound.
    fn with_bound_pod() -> Server {
        let server = Server::with_pod();
        server.stage.pod_eni(bound("db-0", "u-1"));
        server
    }

    /// Ask as the binary does, in the background.
    fn ask(&self, request: Request) -> JoinHandle<Reply> {
        let socket = self.socket.clone();
        tokio::task::spawn_blocking(move || {
            let netns = std::fs::File::open("/proc/self/ns/net").unwrap();
            let needs = !matches!(request, Request::Status | Request::Gc(_));
            let netns = needs.then(|| std::os::fd::AsFd::as_fd(&netns));
            call(&socket, &request, netns, PATIENCE).unwrap()
        })
    }

    async fn refused(&self, request: Request) -> Failure {
        match self.ask(request).await.unwrap() {
            Reply::Refused(failure) => failure,
            other => panic!("{other:?}"),
        }
    }

    async fn in_flight(&self, container: &str) {
        until(|| self.stage.agent.flights.contains(container)).await;
    }

    /// Expects that the state of the world as it is now does not answer this request. The server runs on the thread
    /// of the test, so it has seen that state when a request that was sent later is answered.
    async fn stays_unanswered(&self, request: &JoinHandle<Reply>) {
        let unknown = Request::Del(DelRequest {
            attachment: attachment("unknown"),
            pod: None,
        });
        assert_eq!(self.ask(unknown).await.unwrap(), Reply::Done);
        assert!(!request.is_finished());
    }
}

async fn until(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "not reached in time");
        tokio::time::sleep(Duration::from_millis(2)).await;
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
        namespace: "shop".into(),
        name: name.into(),
        uid: uid.map(str::to_owned),
    }
}

fn add_for(container: &str, name: &str, uid: Option<&str>, wait_ms: u64) -> Request {
    Request::Add(AddRequest {
        attachment: attachment(container),
        pod: pod_ref(name, uid),
        wait_ms,
    })
}

fn add(container: &str) -> Request {
    add_for(container, "db-0", Some("u-1"), 20_000)
}

fn del(container: &str) -> Request {
    Request::Del(DelRequest {
        attachment: attachment(container),
        pod: Some(pod_ref("db-0", Some("u-1"))),
    })
}

fn is_network(reply: &Reply) -> bool {
    matches!(reply, Reply::Network(network) if network.addresses[0].address.to_string() == "10.0.16.7/32")
}
