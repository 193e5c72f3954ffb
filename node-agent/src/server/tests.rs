//! The server over a real socket, with a scripted kernel.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use terway_cni_protocol::{
    AddRequest, Attachment, CheckRequest, Decoder, DelRequest, Failure, GcRequest, PodRef, Reply, Request,
    call,
};
use terway_crds::Phase;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::listen;
use crate::cluster::{NoTrunk, NodeView, PodEniView};
use crate::datapath::Sandbox;
use crate::testing::{Stage, bound, sandbox, sharing, trunk, view};

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

#[tokio::test]
async fn an_add_waits_for_the_binding_and_is_announced() {
    let mut server = Server::with_pod();
    let adding = server.ask(add("c1"));
    server.in_flight("c1").await;
    server.stage.pod_eni(PodEniView {
        phase: Phase::Binding,
        ..bound("db-0", "u-1")
    });
    assert!(!adding.is_finished());
    server.stage.pod_eni(bound("db-0", "u-1"));
    assert!(is_network(&adding.await.unwrap()));
    assert_eq!(server.stage.kernel.containers(), ["c1"]);
    let announcement = server.stage.announced.recv().await.unwrap();
    assert_eq!(announcement.about.uid.as_deref(), Some("u-1"));
    assert_eq!(announcement.news.reason, "AllocIPSucceed");
    assert!(announcement.news.note.starts_with("Alloc IP 10.0.16.7 took "));
}

#[tokio::test]
async fn an_add_may_come_before_the_lists() {
    let server = Server::on(Stage::unsynced());
    let failure = server.refused(add_for("c1", "db-0", Some("u-1"), 100)).await;
    assert_eq!(failure.code, 11);
    let adding = server.ask(add("c2"));
    server.in_flight("c2").await;
    let done = Stage::new();
    server.stage.pod("db-0", "u-1");
    server.stage.node(trunk("eni-t"));
    server.stage.pod_eni(bound("db-0", "u-1"));
    drop(done);
    // Running pods first.
    assert!(!adding.is_finished() && server.stage.kernel.containers().is_empty());
    server.stage.agent.in_order.set(()).unwrap();
    assert!(is_network(&adding.await.unwrap()));
}

#[tokio::test]
async fn an_ordinary_pod_waits_for_its_shared_address() {
    let server = Server::on(Stage::new());
    server.stage.pod_as(view("db-0", "u-1"));
    let failure = server.refused(add_for("c1", "db-0", Some("u-1"), 50)).await;
    assert!(
        failure.code == 11 && failure.message.contains("has not given pod shop/db-0 an address"),
        "{failure:?}"
    );
    let adding = server.ask(add("c1"));
    server.in_flight("c1").await;
    server.stage.node(sharing("db-0", "u-0", "10.0.16.6"));
    assert!(!adding.is_finished(), "another pod's address");
    server.stage.node(sharing("db-0", "u-1", "10.0.16.7"));
    assert!(is_network(&adding.await.unwrap()));
    let made = server.stage.agent.made.lock().values().next().cloned().unwrap();
    assert_eq!(
        (made.carrier.vlan(), made.carrier.nic().mac),
        (None, [2, 0, 0, 0, 0, 2])
    );
}

#[tokio::test]
async fn an_add_that_came_before_the_kernel_was_in_order_says_so() {
    let server = Server::on(Stage::unsynced());
    server.stage.pod("db-0", "u-1");
    server.stage.node(trunk("eni-t"));
    server.stage.pod_eni(bound("db-0", "u-1"));
    let failure = server.refused(add_for("c1", "db-0", Some("u-1"), 50)).await;
    assert!(
        failure.message.contains("running pods in order first"),
        "{failure:?}"
    );
    assert!(server.stage.kernel.containers().is_empty());
}

#[tokio::test]
async fn a_pod_without_a_network_to_come_fails_at_once_with_the_reason() {
    let mut server = Server::on(Stage::new());
    server.stage.pod_as(view("db-0", "u-1"));
    server.stage.node(NodeView {
        no_shared: Some("its instance type has no room".into()),
        ..trunk("eni-t")
    });
    let started = Instant::now();
    let failure = server.refused(add("c1")).await;
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(failure.code, 101);
    assert!(failure.message.contains("has no room"), "{failure:?}");
    let announcement = server.stage.announced.recv().await.unwrap();
    assert_eq!(
        (announcement.news.reason, announcement.news.note),
        ("AllocIPFailed", failure.message)
    );
}

#[tokio::test]
async fn a_del_removes_what_its_own_add_made() {
    let server = Server::on(Stage::new());
    let second = Sandbox {
        ifname: "net1".into(),
        attachment: "net1".into(),
        ..sandbox("c1", "u-1")
    };
    let of_the_first = Sandbox {
        ifname: "eth1".into(),
        ..sandbox("c1", "u-1")
    };
    *server.stage.kernel.sandboxes.lock() = vec![sandbox("c1", "u-1"), second.clone(), of_the_first];
    assert_eq!(server.ask(del("c1")).await.unwrap(), Reply::Done);
    assert_eq!(*server.stage.kernel.sandboxes.lock(), [second]);
    // A second network of the same pod would take the addresses of the first.
    server.stage.pod("db-0", "u-1");
    server.stage.pod_eni(bound("db-0", "u-1"));
    let failure = server.refused(add("c1")).await;
    assert!(
        failure.code == 4 && failure.message.contains("net1"),
        "{failure:?}"
    );
}

#[tokio::test]
async fn a_timeout_names_the_phase_and_the_message() {
    let server = Server::with_pod();
    let message = "the cloud said QuotaExceeded".to_owned();
    server.stage.pod_eni(PodEniView {
        phase: Phase::Initial,
        message,
        ..bound("db-0", "u-1")
    });
    let failure = server.refused(add_for("c1", "db-0", Some("u-1"), 50)).await;
    assert_eq!(failure.code, 11);
    assert!(failure.message.contains("phase Initial"), "{failure:?}");
    assert!(failure.message.contains("QuotaExceeded"), "{failure:?}");
}

#[tokio::test]
async fn another_pods_allocation_is_not_served() {
    let server = Server::on(Stage::new());
    server.stage.pod("db-0", "u-2");
    server.stage.pod_eni(bound("db-0", "u-1"));
    // With the UID from the runtime, and with the UID from the API server.
    for uid in [Some("u-2"), None] {
        let failure = server.refused(add_for("c1", "db-0", uid, 50)).await;
        assert!(failure.message.contains("UID u-1"), "{failure:?}");
    }
    // The sandbox of a pod that has been replaced.
    let failure = server.refused(add_for("c1", "db-0", Some("u-0"), 5000)).await;
    assert!(failure.message.contains("does not exist any more"), "{failure:?}");
    assert!(server.stage.kernel.containers().is_empty());
}

#[tokio::test]
async fn a_waiting_add_ends_when_its_pod_goes() {
    let server = Server::with_pod();
    let adding = server.ask(add("c1"));
    server.in_flight("c1").await;
    // Let it see the pod once.
    server.stage.pod_eni(PodEniView {
        phase: Phase::Binding,
        ..bound("db-0", "u-1")
    });
    tokio::task::yield_now().await;
    server.stage.pod_gone("db-0");
    let Reply::Refused(failure) = adding.await.unwrap() else {
        panic!()
    };
    assert!(failure.message.contains("does not exist any more"), "{failure:?}");
}

#[tokio::test]
async fn a_del_ends_a_waiting_add() {
    let server = Server::with_pod();
    let adding = server.ask(add("c1"));
    server.in_flight("c1").await;
    assert_eq!(server.ask(del("c1")).await.unwrap(), Reply::Done);
    assert!(matches!(adding.await.unwrap(), Reply::Refused(failure) if failure.code == 11));
    server.stage.pod_eni(bound("db-0", "u-1"));
    assert!(server.stage.kernel.containers().is_empty());
}

#[tokio::test]
async fn a_del_that_overtakes_the_making_leaves_nothing() {
    let server = Server::with_bound_pod();
    let hold = Arc::new(Semaphore::new(0));
    *server.stage.kernel.hold.lock() = Some(hold.clone());
    let adding = server.ask(add("c1"));
    server.stage.kernel.arrived.notified().await;
    let deleting = server.ask(del("c1"));
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(!deleting.is_finished(), "the DEL waits for the ADD's end");
    hold.add_permits(1);
    assert!(matches!(adding.await.unwrap(), Reply::Refused(_)));
    assert_eq!(deleting.await.unwrap(), Reply::Done);
    assert!(server.stage.kernel.containers().is_empty());
    assert!(server.stage.agent.made.lock().is_empty());
}

#[tokio::test]
async fn an_add_whose_runtime_hangs_up_leaves_nothing() {
    let server = Server::with_pod();
    for in_the_making in [false, true] {
        let hold = Arc::new(Semaphore::new(0));
        *server.stage.kernel.hold.lock() = Some(hold.clone());
        if in_the_making {
            server.stage.pod_eni(bound("db-0", "u-1"));
        }
        let stream = UnixStream::connect(&server.socket).unwrap();
        let netns = std::fs::File::open("/proc/self/ns/net").unwrap();
        let frame = terway_cni_protocol::encode(&add("c1")).unwrap();
        let fd = |file| Some(std::os::fd::AsFd::as_fd(file));
        terway_cni_protocol::transfer::send(std::os::fd::AsFd::as_fd(&stream), &frame, fd(&netns)).unwrap();
        server.in_flight("c1").await;
        if in_the_making {
            server.stage.kernel.arrived.notified().await;
        }
        drop(stream);
        hold.add_permits(1);
        until(|| !server.stage.agent.flights.contains("c1")).await;
        until(|| server.stage.kernel.containers().is_empty()).await;
    }
}

#[tokio::test]
async fn a_newer_sandbox_of_the_pod_ends_the_older_add() {
    let server = Server::with_pod();
    let older = server.ask(add("c1"));
    server.in_flight("c1").await;
    let newer = server.ask(add("c2"));
    assert!(matches!(older.await.unwrap(), Reply::Refused(_)));
    server.stage.pod_eni(bound("db-0", "u-1"));
    assert!(is_network(&newer.await.unwrap()));
    assert_eq!(server.stage.kernel.containers(), ["c2"]);
}

#[tokio::test]
async fn a_container_is_added_once_at_a_time_and_again_after_that() {
    let server = Server::with_pod();
    let first = server.ask(add("c1"));
    server.in_flight("c1").await;
    let busy = server.refused(add("c1")).await;
    assert!(
        busy.code == 11 && busy.message.contains("being processed"),
        "{busy:?}"
    );
    server.stage.pod_eni(bound("db-0", "u-1"));
    assert!(is_network(&first.await.unwrap()));
    assert!(is_network(&server.ask(add("c1")).await.unwrap()), "repeated");
    assert_eq!(server.stage.kernel.containers(), ["c1"]);
}

#[tokio::test]
async fn what_cannot_be_made_whole_is_not_left_in_part() {
    let server = Server::with_pod();
    let mut pod_eni = bound("db-0", "u-1");
    let allocations = pod_eni.allocations.as_mut().unwrap();
    let mut second = allocations[0].clone();
    second.interface = "eth1".into();
    allocations.push(second);
    server.stage.pod_eni(pod_eni);
    server.stage.kernel.refuses.lock().push("eth1".into());
    let failure = server.refused(add("c1")).await;
    assert!(
        failure.code == 11 && failure.message.contains("the kernel said no"),
        "{failure:?}"
    );
    assert!(server.stage.kernel.containers().is_empty());

    server.stage.kernel.refuses.lock().clear();
    assert!(is_network(&server.ask(add("c1")).await.unwrap()));
    assert_eq!(server.stage.kernel.containers(), ["c1", "c1"]);
    // The runtime's DEL names the first interface only.
    assert_eq!(server.ask(del("c1")).await.unwrap(), Reply::Done);
    assert!(server.stage.kernel.containers().is_empty());
}

#[tokio::test]
async fn an_earlier_sandbox_that_was_never_deleted_goes_before_the_new_one() {
    let server = Server::with_bound_pod();
    *server.stage.kernel.sandboxes.lock() = vec![sandbox("old", "u-1"), sandbox("other", "u-9")];
    assert!(is_network(&server.ask(add("c1")).await.unwrap()));
    assert_eq!(server.stage.kernel.containers(), ["other", "c1"]);
}

#[tokio::test]
async fn a_late_del_of_an_old_sandbox_leaves_the_new_one() {
    let server = Server::on(Stage::new());
    *server.stage.kernel.sandboxes.lock() = vec![sandbox("new", "u-1")];
    assert_eq!(server.ask(del("old")).await.unwrap(), Reply::Done);
    assert_eq!(server.stage.kernel.containers(), ["new"]);
    for _ in 0..2 {
        assert_eq!(server.ask(del("new")).await.unwrap(), Reply::Done);
    }
    assert!(server.stage.kernel.containers().is_empty());
}

#[tokio::test]
async fn a_del_needs_neither_lists_nor_api_server_but_a_readable_kernel() {
    let server = Server::on(Stage::unsynced());
    *server.stage.kernel.sandboxes.lock() = vec![sandbox("c1", "u-1")];
    *server.stage.kernel.blind.lock() = true;
    assert_eq!(
        server.refused(del("c1")).await.code,
        11,
        "a failed read is not an empty one"
    );
    *server.stage.kernel.blind.lock() = false;
    assert_eq!(server.ask(del("c1")).await.unwrap(), Reply::Done);
    assert!(server.stage.kernel.containers().is_empty());
}

#[tokio::test]
async fn check_reports_addresses_and_announces_repairs() {
    let mut server = Server::with_bound_pod();
    let check = Request::Check(CheckRequest {
        attachment: attachment("c1"),
        pod: pod_ref("db-0", Some("u-1")),
    });
    assert_eq!(server.refused(check.clone()).await.code, 100);
    *server.stage.kernel.sandboxes.lock() = vec![sandbox("c1", "u-1")];
    server.stage.kernel.repairs.lock().push("add rule 512".into());
    let Reply::Checked { addresses } = server.ask(check).await.unwrap() else {
        panic!()
    };
    assert_eq!(addresses[0].to_string(), "10.0.16.7/32");
    let announcement = server.stage.announced.recv().await.unwrap();
    assert_eq!(
        (announcement.news.reason, announcement.news.note.as_str()),
        ("ConfigCheck", "add rule 512")
    );
}

#[tokio::test]
async fn status_is_honest() {
    let server = Server::on(Stage::unsynced());
    let failure = server.refused(Request::Status).await;
    assert!(
        failure.code == 50 && failure.message.contains("podenis"),
        "{failure:?}"
    );

    let server = Server::on(Stage::new());
    assert_eq!(server.ask(Request::Status).await.unwrap(), Reply::Done);
    let mut node = NodeView {
        trunk: Err(NoTrunk::UnderWay(vec!["CreateTrunk is under way".into()])),
        ..Default::default()
    };
    server.stage.node(node.clone());
    assert_eq!(
        server.ask(Request::Status).await.unwrap(),
        Reply::Done,
        "shared ENIs come when asked for"
    );
    node.no_shared = Some("no room".into());
    server.stage.node(node);
    let failure = server.refused(Request::Status).await;
    assert!(
        failure.code == 50 && failure.message.contains("CreateTrunk"),
        "{failure:?}"
    );
    *server.stage.agent.limited.lock() = Some("a step failed".into());
    assert_eq!(server.refused(Request::Status).await.code, 51);
}

#[tokio::test]
async fn gc_removes_what_the_runtime_does_not_know() {
    let server = Server::with_pod();
    *server.stage.kernel.sandboxes.lock() = vec![sandbox("kept", "u-8"), sandbox("lost", "u-9")];
    let adding = server.ask(add("young"));
    server.in_flight("young").await;
    let gc = Request::Gc(GcRequest {
        valid: vec![attachment("kept")],
    });
    assert_eq!(server.ask(gc).await.unwrap(), Reply::Done);
    assert_eq!(server.stage.kernel.containers(), ["kept"]);
    server.stage.pod_eni(bound("db-0", "u-1"));
    assert!(is_network(&adding.await.unwrap()));
}

#[tokio::test]
async fn what_is_no_request_gets_a_reason_and_harms_nobody() {
    let server = Server::on(Stage::new());
    let newer = [b"TW".as_slice(), &[0, 9, 0, 0, 0, 0]].concat();
    for bytes in [b"GET / HTTP/1.1\r\n\r\n".to_vec(), newer] {
        let socket = server.socket.clone();
        let reply = tokio::task::spawn_blocking(move || {
            let mut stream = UnixStream::connect(socket).unwrap();
            stream.write_all(&bytes).unwrap();
            let mut decoder = Decoder::new();
            loop {
                let mut buffer = [0; 1024];
                let count = std::io::Read::read(&mut stream, &mut buffer).unwrap();
                assert_ne!(count, 0);
                decoder.push(&buffer[..count]).unwrap();
                if let Some(reply) = decoder.message::<Reply>().unwrap() {
                    return reply;
                }
            }
        });
        assert!(matches!(reply.await.unwrap(), Reply::Refused(failure) if failure.code == 6));
    }
    let bad = Request::Del(DelRequest {
        attachment: attachment("a/b"),
        pod: None,
    });
    assert_eq!(server.refused(bad).await.code, 4);
    assert_eq!(server.ask(Request::Status).await.unwrap(), Reply::Done);
}

#[tokio::test]
async fn a_stop_ends_waiting_adds_with_an_answer() {
    let server = Server::with_pod();
    let adding = server.ask(add("c1"));
    server.in_flight("c1").await;
    server.stage.agent.stopping.cancel();
    let Reply::Refused(failure) = adding.await.unwrap() else {
        panic!()
    };
    assert!(
        failure.code == 11 && failure.message.contains("restarting"),
        "{failure:?}"
    );
    tokio::time::timeout(PATIENCE, server.serving)
        .await
        .unwrap()
        .unwrap();
}
