//! Network namespaces for the fabric's tests. Each belongs to a thread and ends with it.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket},
    os::fd::{AsRawFd, OwnedFd},
    path::PathBuf,
    process::Command,
    sync::mpsc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use cloudsim::{
    fabric::{Fabric, FabricOptions, Port, PortKind, VSwitchNet},
    world::security_group::{Policy, Protocol, Rule, SecurityGroup},
};
use nix::{
    sched::{CloneFlags, unshare},
    sys::socket::{
        AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, recv, sendto, setsockopt,
        socket, sockopt::ReceiveTimeout,
    },
    unistd::gettid,
};

/// Time limit, long enough for a busy machine. A test that succeeds does not wait for it.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Time in which a frame that passes would arrive.
pub const SILENCE: Duration = Duration::from_millis(300);

type Job = Box<dyn FnOnce() + Send>;

/// A network namespace with a thread that runs closures inside it.
pub struct Namespace {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    path: PathBuf,
}

impl Namespace {
    pub fn new() -> Self {
        let (jobs, queue) = mpsc::channel::<Job>();
        let (tell, told) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace; these tests need root");
            tell.send(gettid()).unwrap();
            queue.into_iter().for_each(|job| job());
        });
        let path = format!(
            "/proc/{}/task/{}/ns/net",
            std::process::id(),
            told.recv().unwrap()
        )
        .into();
        let namespace = Self {
            jobs: Some(jobs),
            thread: Some(thread),
            path,
        };
        namespace.ip("link set lo up");
        namespace
    }

    pub fn path(&self) -> PathBuf {
        self.path.clone()
    }

    /// Runs a closure inside. Its sockets belong to the namespace, also when they are used elsewhere.
    pub fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let (tell, told) = mpsc::channel();
        let job: Job = Box::new(move || drop(tell.send(job())));
        self.jobs.as_ref().unwrap().send(job).unwrap();
        told.recv().expect("the job inside the namespace panicked")
    }

    /// Runs `ip` inside, successfully, and returns what it prints.
    pub fn ip(&self, arguments: &str) -> String {
        let words: Vec<String> = arguments.split_whitespace().map(str::to_owned).collect();
        let output = self.run(move || {
            Command::new("ip")
                .args(words)
                .output()
                .expect("iproute2 is installed")
        });
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "ip {arguments}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    pub fn set_sysctl(&self, name: &str, value: &str) {
        let (path, value) = (format!("/proc/sys/{}", name.replace('.', "/")), value.to_owned());
        // /proc/sys/net shows the namespace of the thread that opens it.
        self.run(move || std::fs::write(&path, value).unwrap_or_else(|error| panic!("{path}: {error}")));
    }

    /// Configures a NIC as an instance does: address, default route by the gateway.
    pub fn configure(&self, ifname: &str, address: &str, gateway: &str) {
        self.ip(&format!("link set {ifname} up"));
        self.ip(&format!("addr add {address} dev {ifname}"));
        self.ip(&format!("route add default via {gateway} dev {ifname}"));
    }

    pub fn udp(&self, address: &str, port: u16) -> UdpSocket {
        let address = SocketAddrV4::new(address.parse().unwrap(), port);
        let socket = self.run(move || UdpSocket::bind(address).unwrap());
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    }

    pub fn listen(&self, address: &str, port: u16) -> TcpListener {
        let address = SocketAddrV4::new(address.parse().unwrap(), port);
        self.run(move || TcpListener::bind(address).unwrap())
    }

    pub fn connect(&self, address: &str, port: u16) -> io::Result<TcpStream> {
        let address = SocketAddr::from(SocketAddrV4::new(address.parse().unwrap(), port));
        let stream = self.run(move || TcpStream::connect_timeout(&address, PATIENCE))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(stream)
    }

    /// Whether the target answers an echo request with its own address as the source.
    pub fn ping(&self, target: &str) -> bool {
        let target: Ipv4Addr = target.parse().unwrap();
        self.run(move || ping(target))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(
                ended.is_ok() || std::thread::panicking(),
                "the namespace's thread panicked"
            );
        }
    }
}

fn ping(target: Ipv4Addr) -> bool {
    // A raw socket sees the IPv4 header and every ICMP packet of its namespace.
    let socket: OwnedFd = socket(
        AddressFamily::Inet,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::Icmp,
    )
    .unwrap();
    setsockopt(&socket, ReceiveTimeout, &nix::sys::time::TimeVal::new(2, 0)).unwrap();
    // Type 8, checksum by hand: the sum of 0x0800, id 0x1234 and sequence 1.
    let request = [8, 0, 0xe5, 0xca, 0x12, 0x34, 0, 1];
    let address = SockaddrIn::from(SocketAddrV4::new(target, 0));
    if sendto(socket.as_raw_fd(), &request, &address, MsgFlags::empty()).is_err() {
        return false;
    }
    let mut answer = [0; 256];
    while let Ok(length) = recv(socket.as_raw_fd(), &mut answer, MsgFlags::empty()) {
        if length >= 28 && answer[12..16] == target.octets() && answer[20] == 0 {
            return true;
        }
    }
    false
}

/// Waits until a namespace has no link with `text` in its name. This takes a moment, because processes that other tests
/// start have a copy of the TAP's descriptor until they execute their program.
pub fn gone(namespace: &Namespace, text: &str) {
    eventually(&format!("{text} is gone"), || {
        !namespace.ip("-br link").contains(text)
    });
}

/// Waits until `holds` is true. Fails with the name `what` after [`PATIENCE`].
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A fabric with two subnets, `sg-open` (everything may enter) and `sg-web` (TCP and UDP 8080).
pub fn fabric(options: FabricOptions) -> Fabric {
    let fabric = Fabric::start(options).unwrap();
    let net = |id: &str, cidr: &str| VSwitchNet {
        id: id.to_owned(),
        cidr: cidr.parse().unwrap(),
    };
    let group = |id: &str, ingress| SecurityGroup {
        id: id.to_owned(),
        vpc: "vpc".to_owned(),
        kind: Default::default(),
        inner_access_policy: Policy::Drop,
        ingress,
        egress: Vec::new(),
        max_addresses: None,
    };
    let web = |protocol| accept(protocol, "8080");
    fabric.set_topology(
        vec![net("vsw-a", "10.0.0.0/24"), net("vsw-b", "10.0.16.0/22")],
        vec![
            group("sg-open", vec![accept(Protocol::All, "0-65535")]),
            group("sg-web", vec![web(Protocol::Tcp), web(Protocol::Udp)]),
        ],
    );
    fabric
}

fn accept(protocol: Protocol, ports: &str) -> Rule {
    Rule {
        policy: Policy::Accept,
        priority: 1,
        protocol,
        ports: ports.parse().unwrap(),
        cidr: Some("10.0.0.0/16".parse().unwrap()),
        group: None,
    }
}

/// A direct port whose id, MAC and address go together.
pub fn direct(number: u8, address: &str, vswitch: &str, group: &str, namespace: &Namespace) -> Port {
    Port {
        eni_id: format!("eni-{number}"),
        mac: [2, 0, 0, 0, 0, number],
        addresses: vec![address.parse().unwrap()],
        vswitch_id: vswitch.to_owned(),
        security_groups: vec![group.to_owned()],
        kind: PortKind::Direct {
            netns: namespace.path(),
            ifname: None,
        },
    }
}

/// Two configured instances in two subnets: `eni-1` 10.0.0.11 and `eni-2` 10.0.16.12.
pub fn pair(fabric: &Fabric, second_group: &str) -> (Namespace, Namespace) {
    let (one, two) = (Namespace::new(), Namespace::new());
    fabric
        .plug(direct(1, "10.0.0.11", "vsw-a", "sg-open", &one))
        .unwrap();
    fabric
        .plug(direct(2, "10.0.16.12", "vsw-b", second_group, &two))
        .unwrap();
    one.configure("eth0", "10.0.0.11/24", "10.0.0.253");
    two.configure("eth0", "10.0.16.12/22", "10.0.19.253");
    (one, two)
}

/// Sends `length` bytes over TCP from one to the other and checks every one of them.
pub fn transfer(from: &Namespace, to: &Namespace, address: &str, length: usize) -> Duration {
    let listener = to.listen("0.0.0.0", 0);
    let port = listener.local_addr().unwrap().port();
    let byte = |place: usize| (place % 251) as u8;
    let mut sender = from.connect(address, port).unwrap();
    let (mut receiver, _) = listener.accept().unwrap();
    receiver.set_read_timeout(Some(PATIENCE)).unwrap();
    let sent: Vec<u8> = (0..length).map(byte).collect();
    let start = Instant::now();
    let writer = std::thread::spawn(move || sender.write_all(&sent));
    let mut bytes = Vec::with_capacity(length);
    receiver.read_to_end(&mut bytes).unwrap();
    let took = start.elapsed();
    writer.join().unwrap().unwrap();
    assert_eq!(bytes.len(), length);
    assert!(
        bytes
            .iter()
            .enumerate()
            .all(|(place, found)| *found == byte(place))
    );
    took
}

/// Sends a datagram and expects it whole.
pub fn exchange(from: &UdpSocket, to: &UdpSocket, length: usize) {
    let bytes: Vec<u8> = (0..length).map(|place| (place % 251) as u8).collect();
    from.send_to(&bytes, to.local_addr().unwrap()).unwrap();
    let mut received = vec![0; 65_535];
    let (count, source) = to.recv_from(&mut received).unwrap();
    assert_eq!(received[..count], bytes);
    assert_eq!(source, from.local_addr().unwrap());
}
