//! Random sequences of ADD, DEL, CHECK, restarts, dying namespaces and meddling end in
//! exactly the state that the living pods ask for, with everything foreign still there.

use std::collections::BTreeMap;

use crate::datapath_world::{
    Node, Pod, SHARED_GATEWAY, TRUNK_GATEWAY, dead_end, on_a_node, run, talks, tap::Tap, try_run,
};
use proptest::prelude::*;
use terway_agent::datapath::{Datapath, PodInterface};

/// The first three have member ENIs, the others addresses of the shared ENI.
const PODS: u8 = 5;
const MEMBERS: u8 = 3;
const FOREIGN_RULE: &str = "777: from 10.244.0.7 lookup 1003";

#[derive(Clone, Debug)]
enum Event {
    /// A new sandbox of a pod; the older one, if any, was not deleted.
    Add(u8),
    AddAgain(u8),
    Delete(u8),
    /// A late DEL of a sandbox that another has followed.
    DeleteOld(u8),
    NamespaceDies(u8),
    Check(u8),
    Reconcile,
    Restart,
    LosePins,
    Meddle(u8),
}

fn event() -> impl Strategy<Value = Event> {
    let pod = 1..=PODS;
    prop_oneof![
        4 => pod.clone().prop_map(Event::Add),
        1 => pod.clone().prop_map(Event::AddAgain),
        2 => pod.clone().prop_map(Event::Delete),
        1 => pod.clone().prop_map(Event::DeleteOld),
        1 => pod.clone().prop_map(Event::NamespaceDies),
        1 => pod.prop_map(Event::Check),
        1 => Just(Event::Reconcile),
        1 => Just(Event::Restart),
        1 => Just(Event::LosePins),
        4 => (0..15_u8).prop_map(Event::Meddle),
    ]
}

/// What somebody does to the node. Each may fail: there may be nothing to spoil.
const MEDDLING: [&str; 15] = [
    "ip rule del pref 512",
    "ip rule del pref 2048",
    "ip route flush table main proto 84",
    "ip link set eth1 down",
    "tc qdisc del dev eth1 clsact",
    "tc filter del dev eth1 egress",
    "ip addr flush dev eth1",
    "for l in $(ls /proc/sys/net/ipv4/conf | grep cali); do ip link set $l down; tc qdisc del dev $l clsact; done",
    "ip rule add pref 2048 from 10.0.16.200 lookup 1004 proto 84; ip rule add pref 512 to 10.0.16.201 lookup main proto 84",
    "ip route add 10.0.16.202/32 dev eth0 proto 84; ip route add default via 10.0.0.1 dev eth0 onlink table 1900 proto 84",
    "echo 1 > /proc/sys/net/ipv4/conf/eth1/rp_filter; echo 0 > /proc/sys/net/ipv4/conf/all/forwarding",
    "ip route replace 10.0.16.1/32 dev eth0 proto 84",
    "ip link set eth2 down; ip addr flush dev eth2",
    "ip route flush table $((1000 + $(ip -o link show eth2 | cut -d: -f1)))",
    "ip rule del from 10.0.17.4; ip rule del to 10.0.17.5",
];

struct World {
    node: Node,
    trunk: Tap,
    eni: Tap,
    datapath: Datapath,
    generation: u32,
    living: BTreeMap<u8, Pod>,
    old: Vec<Pod>,
}

impl World {
    async fn new(node: Node) -> Self {
        let (trunk, eni) = (node.trunk(), node.shared_eni());
        run(
            "ip rule add pref 777 from 10.244.0.7 lookup 1003; ip route add 10.244.0.0/16 dev eth0 table 1003",
        );
        let datapath = node.datapath().await;
        Self {
            node,
            trunk,
            eni,
            datapath,
            generation: 0,
            living: BTreeMap::new(),
            old: Vec::new(),
        }
    }

    fn members(&self) -> Vec<PodInterface> {
        self.living.values().map(|p| p.member.clone()).collect()
    }

    async fn happen(&mut self, event: &Event) {
        match event {
            Event::Add(number) => {
                self.generation += 1;
                let container = format!("g{}-", self.generation);
                let pod = if *number > MEMBERS {
                    Pod::shared(*number, &container)
                } else {
                    Pod::new(*number, &container)
                };
                self.datapath
                    .add(pod.member.clone(), pod.netns.descriptor())
                    .await
                    .unwrap();
                self.old.extend(self.living.insert(*number, pod));
            }
            Event::AddAgain(number) => {
                if let Some(pod) = self.living.get(number) {
                    self.datapath
                        .add(pod.member.clone(), pod.netns.descriptor())
                        .await
                        .unwrap();
                }
            }
            Event::Delete(number) => {
                if let Some(pod) = self.living.remove(number) {
                    self.datapath
                        .delete(pod.sandbox(), Some(pod.netns.descriptor()))
                        .await
                        .unwrap();
                }
            }
            Event::DeleteOld(number) => {
                if let Some(pod) = self.old.iter().find(|p| p.number == *number) {
                    self.datapath.delete(pod.sandbox(), None).await.unwrap();
                }
            }
            Event::NamespaceDies(number) => {
                if let Some(pod) = self.living.remove(number) {
                    let sandbox = pod.sandbox().clone();
                    drop(pod);
                    self.datapath.delete(&sandbox, None).await.unwrap();
                }
            }
            Event::Check(number) => {
                if let Some(pod) = self.living.get(number) {
                    self.datapath
                        .check(pod.member.clone(), pod.netns.descriptor())
                        .await
                        .unwrap();
                }
            }
            Event::Reconcile => drop(self.datapath.reconcile(self.members()).await.unwrap()),
            Event::Restart => self.restart().await,
            Event::LosePins => {
                run("rm -r /sys/fs/bpf/terway");
                self.restart().await;
            }
            Event::Meddle(kind) => drop(try_run(MEDDLING[usize::from(*kind)])),
        }
    }

    /// As the agent does: reconcile before anything else.
    async fn restart(&mut self) {
        self.datapath = self.node.datapath().await;
        self.datapath.reconcile(self.members()).await.unwrap();
    }

    fn expected(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let (trunk, eni) = (self.node.table("eth1"), self.node.table("eth2"));
        if self.living.keys().any(|number| *number <= MEMBERS) {
            lines.push(format!(
                "default via {TRUNK_GATEWAY} dev eth1 table {trunk} onlink"
            ));
            lines.push(dead_end(trunk));
        }
        if self.living.keys().any(|number| *number > MEMBERS) {
            lines.push(format!(
                "default via {SHARED_GATEWAY} dev eth2 table {eni} onlink"
            ));
            lines.push(dead_end(eni));
        }
        for pod in self.living.values() {
            let (ip, veth) = (pod.member.ip, pod.host_ifname());
            let table = if pod.number > MEMBERS { eni } else { trunk };
            lines.push(format!("{ip} dev {veth} scope link"));
            lines.push(format!("512: from all to {ip} lookup main proto 84"));
            lines.push(format!("2048: from {ip} lookup {table} proto 84"));
        }
        lines.sort();
        lines
    }

    async fn judge(&mut self) {
        let report = self.datapath.reconcile(self.members()).await.unwrap();
        assert!(report.failed.is_empty(), "{:?}", report.failed);
        assert_eq!(report.waiting, []);
        let again = self.datapath.reconcile(self.members()).await.unwrap();
        assert!(again.done.is_empty(), "not settled: {:?}", again.done);
        assert_eq!(self.node.ways(), self.expected());
        let veths = run("ip -br link show type veth");
        assert_eq!(veths.lines().count(), self.living.len(), "{veths}");
        assert!(run("ip -4 rule show").replace('\t', " ").contains(FOREIGN_RULE));
        assert!(run("ip route show table 1003").contains("10.244.0.0/16 dev eth0"));
        for pod in self.living.values() {
            self.datapath
                .check(pod.member.clone(), pod.netns.descriptor())
                .await
                .unwrap();
            talks(
                pod,
                if pod.number > MEMBERS {
                    &self.eni
                } else {
                    &self.trunk
                },
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, max_shrink_iters: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_node_ends_as_its_pods_ask(events in proptest::collection::vec(event(), 1..14)) {
        on_a_node(async |node| {
            let mut world = World::new(node).await;
            for event in &events {
                world.happen(event).await;
            }
            world.judge().await;
        });
    }
}
