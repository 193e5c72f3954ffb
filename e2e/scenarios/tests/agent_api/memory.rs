//! The memory of the agent: the real program on a real kernel, with 250 pods on its node and a cluster around it.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use terway_cni_protocol::{AddRequest, Attachment, DelRequest, PodRef, Reply, Request, call};

use crate::world::{NODE, World, eventually};

const PODS: usize = 250;
/// Objects of other nodes, which the agent must not even receive.
const OTHERS: usize = 250;
/// Anonymous memory in KiB, in every build: what grows with the pods.
const MOST_ANONYMOUS: u64 = 20 * 1024;
/// RSS in KiB of the program that is shipped. An unoptimised program has three times the code, and its mapped pages
/// count.
const MOST: u64 = if cfg!(debug_assertions) { 40 } else { 30 } * 1024;

/// The agent's process; ends with this value.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    /// A line of /proc/PID/status, in KiB.
    fn memory(&self, line: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let found = status.lines().find_map(|l| l.strip_prefix(line)).unwrap();
        found
            .trim_start_matches(':')
            .trim()
            .trim_end_matches(" kB")
            .parse()
            .unwrap()
    }
}

fn sh(command: &str) {
    let status = Command::new("sh").args(["-ec", command]).status().unwrap();
    assert!(status.success(), "{command}");
}

/// A network namespace of a pod.
fn namespace() -> OwnedFd {
    let opened = thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        File::open("/proc/thread-self/ns/net").unwrap().into()
    });
    opened.join().unwrap()
}

#[test]
fn two_hundred_and_fifty_pods_take_at_most_twenty_mebibytes_beside_the_programs_code() {
    let node = thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).expect("unshare: this test needs root");
        let none: Option<&str> = None;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
        mount(Some("bpf"), "/sys/fs/bpf", Some("bpf"), MsFlags::empty(), none).unwrap();
        sh(
            "ip link set lo up; ip tuntap add dev eth0 mode tap; ip addr add 10.0.0.11/24 dev eth0; ip link set eth0 up; \
            ip route add default via 10.0.0.253 dev eth0; ip tuntap add dev eth2 mode tap; \
            ip link set eth2 address 00:16:3e:00:00:03",
        );
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(measure());
    });
    if let Err(panic) = node.join() {
        std::panic::resume_unwind(panic);
    }
}

async fn measure() {
    let world = World::start().await;
    for n in 0..OTHERS {
        world
            .pod_eni(&format!("other-{n}"), &format!("uid-{n}"), "node2", "10.0.17.7")
            .await;
    }
    let mut pods = Vec::new();
    for n in 0..PODS {
        let name = format!("web-{n}");
        let uid = world.pod(&name, false).await;
        pods.push((name, uid, namespace()));
    }
    let all: Vec<_> = pods
        .iter()
        .enumerate()
        .map(|(n, (name, uid, _))| {
            (
                format!("10.0.{}.{}", 16 + n / 200, 1 + n % 200),
                name.as_str(),
                uid.as_str(),
            )
        })
        .collect();
    world.bind_all(&all).await;

    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("terway.sock");
    let agent = Process(start(&world, dir.path(), &socket));
    eventually("the agent serves", || async { socket.exists() }).await;
    let started = Instant::now();
    let (mut adds, mut dels) = (Vec::new(), Vec::new());
    for (name, uid, netns) in &pods {
        let asked = Instant::now();
        let reply = ask(&socket, add(name, uid), netns);
        assert!(matches!(reply, Reply::Network(_)), "{reply:?}");
        adds.push(asked.elapsed());
    }
    println!("{PODS} ADDs in {:?}, {}", started.elapsed(), spread(&mut adds));
    let (name, uid, _) = &pods[PODS - 1];
    eventually("all are reported", || async {
        world.reported(uid).await == Some("initial")
    })
    .await;
    // A few repairs, each of which compares everything.
    for _ in 0..3 {
        sh("ip rule del pref 600");
        eventually("the repair", || async {
            let shown = Command::new("ip")
                .args(["rule", "show", "pref", "600"])
                .output()
                .unwrap();
            !shown.stdout.is_empty()
        })
        .await;
    }
    let (rss, anonymous, peak) = (
        agent.memory("VmRSS"),
        agent.memory("RssAnon"),
        agent.memory("VmHWM"),
    );
    println!(
        "with {PODS} pods: RSS {rss} KiB, of it anonymous {anonymous} KiB, highest {peak} KiB; last pod {name}"
    );
    for (name, _, netns) in &pods {
        let asked = Instant::now();
        assert_eq!(ask(&socket, del(name), netns), Reply::Done);
        dels.push(asked.elapsed());
    }
    println!("{PODS} DELs, {}", spread(&mut dels));
    assert!(
        rss <= MOST && anonymous <= MOST_ANONYMOUS,
        "RSS {rss} KiB, anonymous {anonymous} KiB"
    );
}

/// Median and 99th percentile.
fn spread(all: &mut [Duration]) -> String {
    all.sort_unstable();
    format!(
        "p50 {:?}, p99 {:?}",
        all[all.len() / 2],
        all[all.len() * 99 / 100]
    )
}

fn start(world: &World, dir: &Path, socket: &Path) -> Child {
    let program = lab::binaries::own("terway-agent").unwrap();
    let path = |name: &str| dir.join(name).display().to_string();
    Command::new(program)
        .env("KUBECONFIG", world.agent_kubeconfig())
        .args([
            "--node-name",
            NODE,
            "--node-ip",
            "10.0.0.11",
            "--health",
            "127.0.0.1:19099",
        ])
        .args(["--socket".to_owned(), socket.display().to_string()])
        .args([
            "--config".to_owned(),
            path("eni"),
            "--cni-conf-dir".to_owned(),
            path("net.d"),
        ])
        .args(["--log-level", "warn"])
        .spawn()
        .unwrap()
}

fn ask(socket: &Path, request: Request, netns: &OwnedFd) -> Reply {
    call(socket, &request, Some(netns.as_fd()), Duration::from_secs(60)).unwrap()
}

fn attachment(name: &str) -> Attachment {
    Attachment {
        container_id: format!("sandbox-of-{name}"),
        ifname: "eth0".into(),
    }
}

fn add(name: &str, uid: &str) -> Request {
    Request::Add(AddRequest {
        attachment: attachment(name),
        pod: PodRef {
            namespace: "shop".into(),
            name: name.into(),
            uid: Some(uid.into()),
        },
        wait_ms: 50_000,
    })
}

fn del(name: &str) -> Request {
    Request::Del(DelRequest {
        attachment: attachment(name),
        pod: None,
    })
}
