//! How soon the agent repairs what somebody spoils, and that it never repairs away what is somebody else's.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use crate::agent_world::Host;
use crate::datapath_world::{Pod, SHARED_GATEWAY, dead_end, on_a_node, run, talks, tap::Tap, try_run};
use proptest::prelude::*;
use terway_cni_protocol::Reply;

/// Half a second of settling, the look at the marks, and the rest for a busy machine.
const SOON: Duration = Duration::from_secs(30);

/// Waits until a look at the node shows what it showed before; tells how long that took.
async fn again(what: &str, before: &str, look: impl Fn() -> String) -> Duration {
    let started = Instant::now();
    loop {
        let now = look();
        if now == before {
            return started.elapsed();
        }
        assert!(started.elapsed() < SOON, "{what}: not repaired:\n{before}\n{now}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn ways(table: u32) -> String {
    let addresses =
        "ip -o -4 addr show dev eth2 | sed 's/.*inet/inet/'; cat /sys/class/net/eth2/flags || true";
    let marks = "nft list table ip terway_symmetric 2>&1 || true";
    let settings =
        "cd /proc/sys/net/ipv4/conf; cat all/forwarding all/rp_filter eth2/forwarding eth2/rp_filter || true";
    let shown = run(&format!(
        "ip rule show | sort; ip route show; ip route show table {table}; ip route show table 100; {addresses}; {marks}; {settings}"
    ));
    // The kernel may take its time to see that the other end of a veth is up.
    shown.replace(" linkdown", "")
}

#[test]
fn what_is_spoiled_is_repaired_within_seconds() {
    on_a_node(async |node| {
        let eni = node.shared_eni();
        let mut host = Host::start(&node).await;
        let pod = Pod::shared(4, "a");
        host.bind(&pod);
        assert!(matches!(host.add(&pod).await, Reply::Network(_)));
        let table = node.table("eth2");
        let before = ways(table);
        assert!(
            before.contains("terway-symmetric") && before.contains("lookup 100"),
            "{before}"
        );
        for damage in [
            "ip rule del pref 2048",
            "ip rule del pref 512",
            "ip rule del pref 600",
            "ip route flush table 100",
            &format!("ip route flush table {table}"),
            &format!("ip route del 10.0.17.4/32 dev {}", pod.host_ifname()),
            "ip addr flush dev eth2",
            "ip link set eth2 down",
            "sysctl -qw net.ipv4.ip_forward=0",
            "sysctl -qw net.ipv4.conf.eth2.rp_filter=1",
            "ip addr add 10.0.17.4/22 dev eth2",
            "nft delete table ip terway_symmetric",
        ] {
            run(damage);
            let took = again(damage, &before, || ways(table)).await;
            println!("repaired after {} ms: {damage}", took.as_millis());
            talks(&pod, &eni);
        }
        host.stop().await;
    });
}

/// Neither the agent nor a record remembers the pod's name then.
#[test]
fn what_is_left_of_a_pod_that_ended_while_no_agent_ran_is_removed() {
    on_a_node(async |node| {
        let _eni = node.shared_eni();
        let mut host = Host::start(&node).await;
        let before = node.ways();
        let pod = Pod::shared(4, "a");
        host.bind(&pod);
        assert!(matches!(host.add(&pod).await, Reply::Network(_)));
        host.stop().await;
        host.free(&pod);
        host.restart().await;
        again("a pod ended meanwhile", &format!("{before:?}"), || {
            format!("{:?}", node.ways())
        })
        .await;
        host.stop().await;
    });
}

const PODS: u8 = 4;

#[derive(Clone, Debug)]
enum Event {
    Add(u8),
    Delete(u8),
    Check(u8),
    /// The pod ends without a DEL; the runtime or the control plane clears it away.
    Vanish(u8),
    Gc,
    Restart,
    Meddle(u8),
}

fn event() -> impl Strategy<Value = Event> {
    let pod = 1..=PODS;
    prop_oneof![
        4 => pod.clone().prop_map(Event::Add),
        2 => pod.clone().prop_map(Event::Delete),
        1 => pod.clone().prop_map(Event::Check),
        1 => pod.prop_map(Event::Vanish),
        1 => Just(Event::Gc),
        1 => Just(Event::Restart),
        3 => (0..6_u8).prop_map(Event::Meddle),
    ]
}

const MEDDLING: [&str; 6] = [
    "ip rule del pref 512 proto 84",
    "ip rule del pref 2048 proto 84",
    "ip route flush table main proto 84",
    "ip link set eth2 down",
    "nft delete table ip terway_symmetric",
    "ip rule add pref 2048 from 10.0.17.200 lookup 1004 proto 84",
];
const FOREIGN: &str = "ip rule add pref 777 from 10.244.0.7 lookup 1777; ip rule add pref 512 to 10.244.0.0/24 lookup main; \
    ip rule add pref 600 fwmark 0x20/0x20 lookup 101; ip route add 10.244.0.0/16 dev eth0 table 1777; \
    ip link add cali12345678901 type veth peer name other0; nft add table ip foreign";

struct World {
    host: Host,
    eni: Tap,
    living: BTreeMap<u8, Pod>,
    /// Ended, and perhaps not cleared away yet.
    ended: Vec<Pod>,
    generation: u32,
}

impl World {
    async fn happen(&mut self, event: &Event) {
        match event {
            Event::Add(number) => {
                self.generation += 1;
                let mut pod = Pod::shared(*number, &format!("g{}-", self.generation));
                pod.member.sandbox.pod_uid = format!("uid-{number}-{}", self.generation);
                if let Some(old) = self.living.remove(number) {
                    self.host.del(&old).await;
                    self.ended.push(old);
                }
                // The name of the pod is the same, the pod is another.
                self.host.bind(&pod);
                self.started(&pod).await;
                self.living.insert(*number, pod);
            }
            Event::Delete(number) => {
                if let Some(pod) = self.living.remove(number) {
                    assert_eq!(self.host.del(&pod).await, Reply::Done);
                    self.host.free(&pod);
                    self.ended.push(pod);
                }
            }
            Event::Check(number) => {
                if let Some(pod) = self.living.get(number) {
                    let reply = self.host.check(pod).await;
                    assert!(matches!(reply, Reply::Checked { .. }), "{reply:?}");
                }
            }
            Event::Vanish(number) => {
                if let Some(pod) = self.living.remove(number) {
                    self.host.free(&pod);
                    self.ended.push(pod);
                }
            }
            Event::Gc => assert_eq!(self.host.gc(self.living.values()).await, Reply::Done),
            Event::Restart => self.host.restart().await,
            Event::Meddle(kind) => drop(try_run(MEDDLING[usize::from(*kind)])),
        }
    }

    /// Repeats the ADD as a kubelet does: the last pod with this address may not be cleared away yet.
    async fn started(&self, pod: &Pod) {
        let deadline = Instant::now() + SOON;
        loop {
            match self.host.add(pod).await {
                Reply::Network(_) => return,
                Reply::Refused(why) if why.message.contains("still runs") && Instant::now() < deadline => {}
                other => panic!("{other:?}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn expected(&self, table: u32) -> Vec<String> {
        let mut lines = vec![
            "600: from all fwmark 0x10/0x10 lookup 100 proto 84".to_owned(),
            "default via 10.0.0.253 dev eth0 table 100 onlink".to_owned(),
        ];
        if !self.living.is_empty() {
            lines.push(format!(
                "default via {SHARED_GATEWAY} dev eth2 table {table} onlink"
            ));
            lines.push(dead_end(table));
        }
        for pod in self.living.values() {
            let (ip, veth) = (pod.member.ip, pod.host_ifname());
            lines.push(format!("{ip} dev {veth} scope link"));
            lines.push(format!("512: from all to {ip} lookup main proto 84"));
            lines.push(format!("2048: from {ip} lookup {table} proto 84"));
        }
        lines.sort();
        lines
    }
}

fn foreign() -> String {
    run(
        "ip rule show | grep -v 'proto 84'; ip route show table 1777; ip -br link show cali12345678901; \
         nft list table ip foreign",
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, max_shrink_iters: 20, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_runtime_asks_the_node_ends_as_the_control_plane_says(events in proptest::collection::vec(event(), 1..16)) {
        on_a_node(async |node| {
            let eni = node.shared_eni();
            run(FOREIGN);
            let untouched = foreign();
            let host = Host::start(&node).await;
            let mut world = World { host, eni, living: BTreeMap::new(), ended: Vec::new(), generation: 0 };
            for event in &events {
                world.happen(event).await;
            }
            let table = node.table("eth2");
            let deadline = Instant::now() + 2 * SOON;
            while node.ways() != world.expected(table) {
                assert!(Instant::now() < deadline, "not as it should be: {:#?}\n{:#?}", node.ways(), world.expected(table));
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            assert_eq!(foreign(), untouched, "what is not ours was touched");
            let veths = run("ip -br link show type veth | grep -c ^cali || true");
            assert_eq!(veths.trim(), (world.living.len() + 1).to_string());
            for pod in world.living.values() {
                talks(pod, &world.eni);
            }
            world.host.stop().await;
        });
    }
}
