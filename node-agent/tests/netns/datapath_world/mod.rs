//! A node in a network namespace of its own, with TAPs for its NICs and namespaces for
//! its pods. Everything vanishes with the test's thread: no names, no files, no mounts.

pub mod frame;
pub mod tap;
pub mod test_run;

use std::{
    fs::File,
    future::Future,
    net::{IpAddr, Ipv4Addr, UdpSocket},
    os::fd::{AsFd, OwnedFd},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, setns, unshare},
};
use tap::Tap;
use terway_agent::datapath::{
    Carrier, Datapath, DatapathConfig, NicLink, PodInterface, Sandbox, Symmetric, VlanId, ownership,
};

/// Somebody in another zone.
pub const REMOTE: Ipv4Addr = Ipv4Addr::new(10, 0, 48, 9);
pub const NODE_IP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 11);
pub const TRUNK_MAC: [u8; 6] = [0, 0x16, 0x3e, 0, 0, 1];
pub const GATEWAY_MAC: [u8; 6] = [0xee, 0xff, 0xff, 0xff, 0xff, 0xff];
pub const TRUNK_GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 253);
/// A shared ENI in another vSwitch.
pub const SHARED_MAC: [u8; 6] = [0, 0x16, 0x3e, 0, 0, 3];
pub const SHARED_GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 19, 253);
/// Where NodeLocal DNS listens on every node.
pub const NODE_LOCAL_DNS: Ipv4Addr = Ipv4Addr::new(169, 254, 20, 10);
/// How long anything here may take.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A namespace that lives as long as this value (and what runs in it).
pub struct Namespace(File);

impl Namespace {
    pub fn new() -> Self {
        let file = thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).expect("unshare: these tests need root");
            let file = File::open("/proc/thread-self/ns/net").unwrap();
            run("ip link set lo up");
            file
        });
        Self(file.join().unwrap())
    }

    pub fn descriptor(&self) -> OwnedFd {
        self.0.as_fd().try_clone_to_owned().unwrap()
    }

    /// Runs `act` on a thread that is inside.
    pub fn inside<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let thread = scope.spawn(|| {
                setns(self.0.as_fd(), CloneFlags::CLONE_NEWNET).unwrap();
                act()
            });
            thread.join().unwrap()
        })
    }

    pub fn run(&self, command: &str) -> String {
        self.inside(|| run(command))
    }
}

/// Runs a shell command in this thread's namespace.
pub fn run(command: &str) -> String {
    try_run(command).unwrap_or_else(|e| panic!("{command}: {e}"))
}

pub fn try_run(command: &str) -> Result<String, String> {
    let output = Command::new("sh").args(["-ec", command]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        Ok(text)
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// Waits until something is so.
pub fn eventually(what: &str, mut is: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is() {
        assert!(
            Instant::now() < deadline,
            "still not so after {PATIENCE:?}: {what}"
        );
        thread::sleep(Duration::from_millis(5));
    }
}

/// Runs a test on a thread with its own network and mount namespace, in which the node's
/// eth0 has its address and the BPF file system is mounted.
pub fn on_a_node<F: Future<Output = ()>>(test: impl FnOnce(Node) -> F + Send) {
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).expect("unshare: these tests need root");
            let none: Option<&str> = None;
            mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
            mount(Some("bpf"), "/sys/fs/bpf", Some("bpf"), MsFlags::empty(), none).unwrap();
            run("ip link set lo up");
            let uplink = Tap::new("eth0", [0, 0x16, 0x3e, 0, 0, 2]);
            run("ip link set eth0 up && ip addr add 10.0.0.11/24 dev eth0 && ip route add default via 10.0.0.253");
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(test(Node { uplink }));
        });
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
    });
}

/// The node the test runs on.
pub struct Node {
    pub uplink: Tap,
}

impl Node {
    pub fn config(&self) -> DatapathConfig {
        DatapathConfig {
            node_ip: Some(NODE_IP.into()),
            nic_deadline: Duration::from_millis(300),
            ..DatapathConfig::default()
        }
    }

    /// One that answers by the interface that a connection came in by.
    pub async fn symmetric(&self) -> Datapath {
        let mut config = self.config();
        config.symmetric = Some(Symmetric::default());
        Datapath::start(config).await.unwrap()
    }

    pub async fn datapath(&self) -> Datapath {
        Datapath::start(self.config()).await.unwrap()
    }

    /// Hot-plugs the trunk: a NIC that is down and has no address.
    pub fn trunk(&self) -> Tap {
        Tap::new("eth1", TRUNK_MAC)
    }

    /// Hot-plugs a shared ENI.
    pub fn shared_eni(&self) -> Tap {
        Tap::new("eth2", SHARED_MAC)
    }

    /// The routing table of a NIC.
    pub fn table(&self, nic: &str) -> u32 {
        let index = run(&format!(
            "cat /sys/class/net/{nic}/ifindex || ip -o link show {nic} | cut -d: -f1"
        ));
        1000 + index.trim().parse::<u32>().unwrap()
    }

    /// Routes and rules of ours, as a person would look at them.
    pub fn ways(&self) -> Vec<String> {
        let protocol = ownership::PROTOCOL;
        let mut lines: Vec<String> = run(&format!(
            "ip -4 rule show | grep 'proto {protocol}' || true; ip -4 route show table all proto {protocol}"
        ))
        .lines()
        // The kernel may take its time to see that the other end of a veth is up.
        .map(|l| l.replace(" linkdown", ""))
        .map(|l| l.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
        lines.sort();
        lines
    }
}

/// The last choice of an ENI's table.
pub fn dead_end(table: u32) -> String {
    format!("unreachable default table {table} metric 4294967295")
}

fn nic(mac: [u8; 6], gateway: Ipv4Addr) -> NicLink {
    let gateway = gateway.into();
    NicLink { mac, gateway }
}

/// A pod: a name, an address, and the namespace of its current sandbox.
pub struct Pod {
    pub number: u8,
    pub netns: Namespace,
    pub member: PodInterface,
}

impl Pod {
    /// Pod `number` has the address 10.0.16.`number` and VLAN 100 + `number`.
    pub fn new(number: u8, container: &str) -> Self {
        let sandbox = Sandbox {
            container_id: format!("{container}{number:02}").repeat(8),
            pod_uid: format!("00000000-0000-4000-8000-0000000000{number:02}"),
            ifname: "eth0".into(),
            attachment: "eth0".into(),
        };
        let member = PodInterface {
            sandbox,
            namespace: "default".into(),
            pod_name: format!("web-{number}"),
            ip: Ipv4Addr::new(10, 0, 16, number).into(),
            carrier: Carrier::Member {
                trunk: nic(TRUNK_MAC, TRUNK_GATEWAY),
                vlan: VlanId::new(100 + u16::from(number)).unwrap(),
            },
            mtu: 1500,
            default_route: true,
            extra_routes: Vec::new(),
            host_stack_cidrs: Vec::new(),
            shaped: false,
        };
        Self {
            number,
            netns: Namespace::new(),
            member,
        }
    }

    /// Pod `number` with the address 10.0.17.`number` of the shared ENI.
    pub fn shared(number: u8, container: &str) -> Self {
        let mut pod = Self::new(number, container);
        pod.member.pod_name = format!("app-{number}");
        pod.member.ip = Ipv4Addr::new(10, 0, 17, number).into();
        pod.share(SHARED_MAC, SHARED_GATEWAY);
        pod
    }

    /// Moves its address to this NIC, as one of the NIC's own.
    pub fn share(&mut self, mac: [u8; 6], gateway: Ipv4Addr) {
        let nic = nic(mac, gateway);
        self.member.carrier = Carrier::Shared { nic };
    }

    /// The VLAN id that its frames have on the NIC.
    pub fn vlan(&self) -> Option<u16> {
        self.member.carrier.vlan().map(VlanId::get)
    }

    /// Its address. Pods here have IPv4 addresses.
    pub fn ip(&self) -> Ipv4Addr {
        match self.member.ip {
            IpAddr::V4(ip) => ip,
            IpAddr::V6(ip) => panic!("{ip} is no IPv4 address"),
        }
    }

    pub fn host_ifname(&self) -> String {
        ownership::host_ifname("default", &self.member.pod_name, "eth0")
    }

    pub fn sandbox(&self) -> &Sandbox {
        &self.member.sandbox
    }
}

/// The count of one outcome.
pub async fn count(datapath: &Datapath, name: &str) -> u64 {
    let all = datapath.counters().await.unwrap();
    all.iter()
        .find(|(c, _)| c.name() == name)
        .unwrap_or_else(|| panic!("no counter {name}"))
        .1
}

/// The same, as the agent's metrics have it.
pub async fn counted_in(agent: &terway_agent::server::Agent, name: &str) -> u64 {
    let all = agent.kernel.packets().await.unwrap();
    all.iter().find(|(outcome, _)| *outcome == name).unwrap().1
}

/// Waits until an outcome has been counted `n` times.
pub async fn counted(datapath: &Datapath, name: &str, n: u64) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let is = count(datapath, name).await;
        if is >= n {
            assert_eq!(is, n, "{name}");
            return;
        }
        assert!(Instant::now() < deadline, "{name} is {is}, not {n}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Adds a pod.
pub async fn add(datapath: &Datapath, pod: &Pod) {
    datapath
        .add(pod.member.clone(), pod.netns.descriptor())
        .await
        .unwrap();
}

/// What the pods ask for.
pub fn members(pods: &[&Pod]) -> Vec<PodInterface> {
    pods.iter().map(|p| p.member.clone()).collect()
}

/// Reconciles; a second time there must be nothing left to do.
pub async fn settle(datapath: &Datapath, pods: &[&Pod]) {
    let report = datapath.reconcile(members(pods)).await.unwrap();
    assert!(report.failed.is_empty(), "{:?}", report.failed);
    let again = datapath.reconcile(members(pods)).await.unwrap();
    assert!(again.done.is_empty() && again.failed.is_empty(), "{again:?}");
}

/// A socket in the pod that waits for datagrams.
pub fn listen(pod: &Pod) -> UdpSocket {
    let socket = pod
        .netns
        .inside(|| UdpSocket::bind((pod.member.ip, 7000)).unwrap());
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

pub fn receive(socket: &UdpSocket) -> String {
    let mut buffer = [0; 256];
    let (n, _) = socket.recv_from(&mut buffer).expect("a datagram");
    String::from_utf8_lossy(&buffer[..n]).into_owned()
}

/// Checks that a datagram of the pod leaves its NIC as it should: tagged, or not.
pub fn talks(pod: &Pod, trunk: &Tap) {
    let socket = pod.netns.inside(|| UdpSocket::bind((pod.member.ip, 0)).unwrap());
    socket.send_to(b"hello", (REMOTE, 9)).unwrap();
    let frame = trunk.expect("the pod's datagram", |f| f.is_udp_from(pod.ip()));
    assert_eq!(frame.vlan, pod.vlan());
}
