//! Machines in real network namespaces: the program with its fabric, an instance that is powered on, its NICs, its
//! metadata and its connection to the OpenAPI. The tests need root and fail without it.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use cloudsim::machines::give_host_address;
use nix::sched::{CloneFlags, unshare};

type Job = Box<dyn FnOnce() + Send>;

/// A network namespace with a thread inside. It ends with the thread.
struct Namespace {
    jobs: mpsc::Sender<Job>,
    path: PathBuf,
}

impl Namespace {
    fn new() -> Namespace {
        let (jobs, inbox) = mpsc::channel::<Job>();
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace; this test needs root");
            let path = format!(
                "/proc/{}/task/{}/ns/net",
                std::process::id(),
                nix::unistd::gettid()
            );
            tell.send(PathBuf::from(path)).expect("heard");
            inbox.into_iter().for_each(|job| job());
        });
        Namespace {
            jobs,
            path: told.recv().expect("a path"),
        }
    }

    fn run<R: Send + 'static>(&self, job: impl FnOnce() -> R + Send + 'static) -> R {
        let (tell, told) = mpsc::channel();
        let job = Box::new(move || tell.send(job()).expect("heard"));
        self.jobs.send(job).expect("the namespace lives");
        told.recv_timeout(Duration::from_secs(20)).expect("the job ended")
    }

    fn links(&self) -> Vec<String> {
        self.run(|| {
            // The whole list of devices of the calling thread's namespace.
            let text = fs::read_to_string("/proc/thread-self/net/dev").expect("devices");
            let names = text.lines().skip(2).filter_map(|line| line.split(':').next());
            names.map(|name| name.trim().to_owned()).collect()
        })
    }
}

struct Cloudsim {
    child: Child,
    admin: PathBuf,
}

impl Cloudsim {
    fn start(place: &Namespace, folder: &Path, world: PathBuf) -> Cloudsim {
        let admin = folder.join("admin.sock");
        let socket = admin.clone();
        let child = place.run(move || {
            Command::new(env!("CARGO_BIN_EXE_cloudsim"))
                .args(["--fabric", "--listen", "0.0.0.0:80", "--world"])
                .arg(world)
                .arg("--admin")
                .arg(format!("unix:{}", socket.display()))
                .stdout(Stdio::piped())
                .spawn()
                .expect("cloudsim starts")
        });
        let mut cloudsim = Cloudsim { child, admin };
        let mut ready = String::new();
        let out = cloudsim.child.stdout.take().expect("its output");
        BufReader::new(out).read_line(&mut ready).expect("a line");
        assert!(ready.starts_with("cloudsim ready"), "{ready}");
        cloudsim
    }

    fn admin(&self, method: &str, path: &str, body: &str) -> String {
        let stream = std::os::unix::net::UnixStream::connect(&self.admin).expect("the admin socket");
        http(stream, method, path, body)
    }
}

impl Drop for Cloudsim {
    fn drop(&mut self) {
        // An error means that the process has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn http(mut stream: impl Read + Write, method: &str, path: &str, body: &str) -> String {
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

fn tcp(address: Ipv4Addr) -> TcpStream {
    let to = SocketAddr::new(IpAddr::V4(address), 80);
    let stream = TcpStream::connect_timeout(&to, Duration::from_secs(5)).expect("connected");
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .expect("a timeout");
    stream
}

fn boot(namespace: &Namespace, address: &'static str) {
    namespace.run(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let gateway = Some(Ipv4Addr::new(10, 0, 0, 253));
        let address = address.parse().expect("an address");
        runtime
            .block_on(give_host_address("eth0", address, gateway))
            .expect("eth0 is up");
    });
}

fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_machine_that_is_powered_on_has_its_nics_metadata_and_the_openapi() {
    let folder = tempfile::tempdir().expect("a folder");
    let world = folder.path().join("world.yaml");
    // Calls are unsigned here, because signatures have their own tests.
    let text = include_str!("../../worlds/small.yaml").to_owned() + "\nrules: {verifySignatures: false}\n";
    fs::write(&world, text).expect("a world");
    let (place, node) = (Namespace::new(), Namespace::new());
    let cloudsim = Cloudsim::start(&place, folder.path(), world);
    assert!(
        place.links().contains(&"eth0".to_owned()),
        "the openapi port: {:?}",
        place.links()
    );

    let netns = format!(r#"{{"path": "{}"}}"#, node.path.display());
    let answer = cloudsim.admin("PUT", "/instances/i-node1/netns", &netns);
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    assert!(node.links().contains(&"eth0".to_owned()));
    boot(&node, "10.0.0.11/24");

    let id = node.run(|| {
        http(
            tcp(Ipv4Addr::new(100, 100, 100, 200)),
            "GET",
            "/latest/meta-data/instance-id",
            "",
        )
    });
    assert!(id.ends_with("i-node1"), "{id}");

    let act = |query: &str| {
        let path = format!("/?Version=2014-05-26&RegionId=cn-hangzhou&{query}");
        let answer = node.run(move || http(tcp(Ipv4Addr::new(10, 0, 0, 5)), "POST", &path, ""));
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let body = answer.split_once("\r\n\r\n").expect("a body").1;
        serde_json::from_str::<serde_json::Value>(body).expect("JSON")
    };
    let create = "Action=CreateNetworkInterface&VSwitchId=vsw-pod-h&SecurityGroupIds.1=sg-web";
    let trunk = act(&format!("{create}&InstanceType=Trunk"));
    let id = trunk["NetworkInterfaceId"].as_str().expect("an id").to_owned();
    act(&format!(
        "Action=AttachNetworkInterface&NetworkInterfaceId={id}&InstanceId=i-node1"
    ));
    until("the trunk's NIC", || node.links().contains(&"eth1".to_owned()));

    let member = act(create)["NetworkInterfaceId"]
        .as_str()
        .expect("an id")
        .to_owned();
    act(&format!(
        "Action=AttachNetworkInterface&NetworkInterfaceId={member}&InstanceId=i-node1&TrunkNetworkInstanceId={id}"
    ));
    let counters = || cloudsim.admin("GET", "/fabric/counters", "");
    until("the member's port", || counters().contains(&member));

    act(&format!(
        "Action=DetachNetworkInterface&NetworkInterfaceId={member}&InstanceId=i-node1"
    ));
    until("the end of the member", || {
        cloudsim.admin("GET", "/state", "").matches("Member").count() == 0
    });
    act(&format!(
        "Action=DetachNetworkInterface&NetworkInterfaceId={id}&InstanceId=i-node1"
    ));
    until("the end of the trunk's NIC", || {
        !node.links().contains(&"eth1".to_owned())
    });

    let answer = cloudsim.admin("DELETE", "/instances/i-node1/netns", "");
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    assert!(!node.links().contains(&"eth0".to_owned()));
    assert!(cloudsim.admin("GET", "/state", "").contains("Stopped"));
}

/// A datagram from a host of the VPC to an address that a machine has been assigned.
fn heard(from: &Namespace, at: &Namespace, address: Ipv4Addr) -> bool {
    let pod = at.run(move || UdpSocket::bind((address, 5000)).expect("a socket"));
    pod.set_read_timeout(Some(Duration::from_millis(300)))
        .expect("a timeout");
    let client = from.run(|| UdpSocket::bind(("0.0.0.0", 0)).expect("a socket"));
    client.send_to(b"hello", (address, 5000)).expect("sent");
    let mut bytes = [0; 16];
    let Ok((5, peer)) = pod.recv_from(&mut bytes) else {
        return false;
    };
    // The answer comes from the same address.
    pod.send_to(b"hello", peer).expect("sent");
    client
        .set_read_timeout(Some(Duration::from_millis(300)))
        .expect("a timeout");
    matches!(client.recv_from(&mut bytes), Ok((5, source)) if source.ip() == address)
}

#[test]
fn a_secondary_address_works_from_assign_to_unassign() {
    let folder = tempfile::tempdir().expect("a folder");
    let world = folder.path().join("world.yaml");
    let text = include_str!("../../worlds/small.yaml").to_owned() + "\nrules: {verifySignatures: false}\n";
    fs::write(&world, text).expect("a world");
    let (place, node) = (Namespace::new(), Namespace::new());
    let cloudsim = Cloudsim::start(&place, folder.path(), world);
    let netns = format!(r#"{{"path": "{}"}}"#, node.path.display());
    let answer = cloudsim.admin("PUT", "/instances/i-node1/netns", &netns);
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    boot(&node, "10.0.0.11/24");
    let act = |query: &str| {
        let path = format!("/?Version=2014-05-26&RegionId=cn-hangzhou&NetworkInterfaceId=eni-node1&{query}");
        let answer = node.run(move || http(tcp(Ipv4Addr::new(10, 0, 0, 5)), "POST", &path, ""));
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        answer
    };
    let address = Ipv4Addr::new(10, 0, 0, 77);
    node.run(move || {
        let added = Command::new("ip")
            .args(["addr", "add", &format!("{address}/32"), "dev", "lo"])
            .status();
        assert!(added.expect("iproute2 is installed").success());
    });
    assert!(!heard(&place, &node, address), "nobody has it yet");
    let answer = act("Action=AssignPrivateIpAddresses&PrivateIpAddress.1=10.0.0.77");
    assert!(answer.contains("10.0.0.77"), "{answer}");
    until("its traffic", || heard(&place, &node, address));
    act("Action=UnassignPrivateIpAddresses&PrivateIpAddress.1=10.0.0.77");
    until("the end of its traffic", || !heard(&place, &node, address));
}

#[test]
fn a_machine_that_dies_is_powered_off() {
    let folder = tempfile::tempdir().expect("a folder");
    let (place, node) = (Namespace::new(), Namespace::new());
    let world = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/worlds/small.yaml"));
    let cloudsim = Cloudsim::start(&place, folder.path(), world);
    let netns = format!(r#"{{"path": "{}"}}"#, node.path.display());
    let answer = cloudsim.admin("PUT", "/instances/i-node2/netns", &netns);
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    drop(node);
    until("the power off", || {
        cloudsim.admin("GET", "/state", "").contains("Stopped")
    });
    let answer = cloudsim.admin("PUT", "/instances/i-none/netns", &netns);
    assert!(answer.starts_with("HTTP/1.1 409"), "{answer}");
}
