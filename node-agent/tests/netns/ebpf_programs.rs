//! Verdicts, bytes and counters of the loaded programs, one frame at a time.
//!
//! Linux 6.18 refuses a test run on an IPv4 frame that ends inside the IPv4 header. The tests of `terway-ebpf-verdict`
//! have such frames, and `datapath_traffic` sends one by the trunk.

use std::{collections::BTreeMap, net::Ipv4Addr};

use terway_agent::datapath::Datapath;
use terway_node_core::program::Program;

use crate::datapath_world::{
    GATEWAY_MAC, Node, Pod, REMOTE, TRUNK_MAC,
    frame::{arp_request, ethernet, udp},
    on_a_node,
    tap::Tap,
    test_run::{self, Run, SHOT, UNSPEC},
};

const NEIGHBOUR: Ipv4Addr = Ipv4Addr::new(10, 0, 16, 2);
const OTHER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0x99];
const IPV4: u16 = 0x0800;
const ARP: u16 = 0x0806;
const IPV6: u16 = 0x86dd;
const TAG: u16 = 0x8100;

/// A node with one pod, whose programs the test runs.
struct World {
    datapath: Datapath,
    pod: Pod,
    pod_mac: [u8; 6],
    host_mac: [u8; 6],
    trunk: u32,
    veth: u32,
    _trunk: Tap,
}

impl World {
    async fn new(node: &Node) -> Self {
        let (datapath, trunk) = (node.datapath().await, node.trunk());
        let pod = Pod::new(1, "a");
        // IPv6 sends packets of its own, which the programs would count.
        pod.netns
            .run("sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1");
        let made = datapath
            .add(pod.member.clone(), pod.netns.descriptor())
            .await
            .unwrap();
        World {
            trunk: ifindex("eth1"),
            veth: ifindex(&made.host_ifname),
            pod_mac: made.pod_mac,
            host_mac: made.host_mac,
            datapath,
            pod,
            _trunk: trunk,
        }
    }

    fn vlan(&self) -> u16 {
        self.pod.vlan().unwrap()
    }

    /// What the run counted, by the counters' names.
    async fn counted(&self, run: impl FnOnce() -> Run) -> (Run, BTreeMap<&'static str, u64>) {
        let before = self.datapath.counters().await.unwrap();
        let run = run();
        let after = self.datapath.counters().await.unwrap();
        let changed = before
            .iter()
            .zip(&after)
            .filter(|((_, before), (_, after))| before != after)
            .map(|((counter, before), (_, after))| (counter.name(), after - before));
        (run, changed.collect())
    }

    /// Expects this verdict, an unchanged frame, and one more in this counter.
    async fn expect(
        &self,
        name: &str,
        frame: &[u8],
        expected: (i32, Option<&'static str>),
        run: impl FnOnce() -> Run,
    ) {
        let (verdict, counter) = expected;
        let (run, counted) = self.counted(run).await;
        assert_eq!(
            run,
            Run {
                verdict,
                frame: frame.to_vec()
            },
            "{name}"
        );
        assert_eq!(
            counted,
            counter.map(|counter| (counter, 1)).into_iter().collect(),
            "{name}"
        );
    }

    async fn expect_pop(
        &self,
        name: &str,
        tag: Option<u16>,
        frame: &[u8],
        expected: (i32, Option<&'static str>),
    ) {
        let run = || match tag {
            Some(tag) => test_run::run_tagged(Program::MemberPop, tag, self.trunk, frame),
            None => test_run::run(Program::MemberPop, self.trunk, frame, 1),
        };
        self.expect(name, frame, expected, run).await;
    }

    async fn expect_source(&self, name: &str, frame: &[u8], expected: (i32, Option<&'static str>)) {
        let run = || test_run::run(Program::PodSource, self.veth, frame, 1);
        self.expect(name, frame, expected, run).await;
    }

    /// A frame of the pod with this source and payload.
    fn sent(&self, mac: [u8; 6], ethertype: u16, payload: &[u8]) -> Vec<u8> {
        ethernet(self.host_mac, mac, None, ethertype, payload)
    }
}

fn ifindex(name: &str) -> u32 {
    nix::net::if_::if_nametoindex(name).unwrap()
}

fn datagram(from: Ipv4Addr, to: Ipv4Addr) -> Vec<u8> {
    udp((from, 9), (to, 7000), "a datagram")
}

/// A frame of the VPC for the trunk.
fn received(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    ethernet(TRUNK_MAC, GATEWAY_MAC, None, ethertype, payload)
}

#[test]
fn pop_takes_the_tag_off_the_pods_frames_alone() {
    on_a_node(async |node| {
        let world = World::new(&node).await;
        let (vlan, ip) = (world.vlan(), world.pod.ip());
        let to_pod = received(IPV4, &datagram(REMOTE, ip));
        let popped = (UNSPEC, Some("popped"));
        world
            .expect_pop("the pod's VLAN", Some(vlan), &to_pod, popped)
            .await;
        world
            .expect_pop("with a priority", Some(vlan | 0x6000), &to_pod, popped)
            .await;
        let untouched = (UNSPEC, None);
        world.expect_pop("untagged", None, &to_pod, untouched).await;
        let unbound = (SHOT, Some("pop_no_binding"));
        world
            .expect_pop("wrong VLAN", Some(vlan + 1), &to_pod, unbound)
            .await;
        let to_neighbour = received(IPV4, &datagram(REMOTE, NEIGHBOUR));
        world
            .expect_pop("wrong address", Some(vlan), &to_neighbour, unbound)
            .await;
    });
}

#[test]
fn pop_drops_what_no_member_receives() {
    on_a_node(async |node| {
        let world = World::new(&node).await;
        let vlan = Some(world.vlan());
        let arp = received(ARP, &arp_request(GATEWAY_MAC, REMOTE, world.pod.ip()));
        world.expect_pop("ARP", vlan, &arp, (SHOT, Some("pop_arp"))).await;
        let other = (SHOT, Some("pop_protocol"));
        world
            .expect_pop("IPv6", vlan, &received(IPV6, &[0x60; 60]), other)
            .await;
        world
            .expect_pop("a second tag", vlan, &received(TAG, &[0; 60]), other)
            .await;
    });
}

#[test]
fn push_tags_the_pods_frames_alone() {
    on_a_node(async |node| {
        let world = World::new(&node).await;
        let ip = world.pod.ip();
        let leaving = |ethertype, payload: &[u8]| ethernet(GATEWAY_MAC, TRUNK_MAC, None, ethertype, payload);
        let way = (world.veth, world.trunk);
        let push = |frame: &[u8], repeat| test_run::run_forwarded(Program::MemberPush, way, frame, repeat);
        let own = leaving(IPV4, &datagram(ip, REMOTE));
        world
            .expect("the pod's", &own, (UNSPEC, Some("pushed")), || push(&own, 1))
            .await;
        // The kernel shows no tag to its caller. The program sees the tag in its second run, and adds none.
        world
            .expect("the pod's, twice", &own, (UNSPEC, Some("pushed")), || {
                push(&own, 2)
            })
            .await;
        for (name, frame) in [
            ("another's", leaving(IPV4, &datagram(NEIGHBOUR, REMOTE))),
            ("ARP", leaving(ARP, &arp_request(TRUNK_MAC, ip, REMOTE))),
            ("IPv6", leaving(IPV6, &[0x60; 60])),
        ] {
            world
                .expect(name, &frame, (UNSPEC, None), || push(&frame, 1))
                .await;
        }
        // A socket of the host, and another pod, in the member's name.
        for from in [0, world.trunk] {
            let run = || test_run::run_forwarded(Program::MemberPush, (from, world.trunk), &own, 1);
            let dropped = (SHOT, Some("source_address"));
            world.expect("another sender's", &own, dropped, run).await;
        }
        let tagged = || test_run::run_tagged(Program::MemberPush, 7, world.trunk, &own);
        world.expect("tagged", &own, (UNSPEC, None), tagged).await;
    });
}

#[test]
fn the_check_of_sources_passes_the_pods_own_frames_alone() {
    on_a_node(async |node| {
        let world = World::new(&node).await;
        let (ip, mac) = (world.pod.ip(), world.pod_mac);
        let passed = (UNSPEC, None);
        let own = world.sent(mac, IPV4, &datagram(ip, REMOTE));
        world.expect_source("its own", &own, passed).await;
        let arp = world.sent(mac, ARP, &arp_request(mac, ip, REMOTE));
        world.expect_source("its own ARP", &arp, passed).await;
        let spoofed = world.sent(mac, IPV4, &datagram(NEIGHBOUR, REMOTE));
        world
            .expect_source("another's address", &spoofed, (SHOT, Some("source_address")))
            .await;
        let borrowed = world.sent(OTHER_MAC, IPV4, &datagram(ip, REMOTE));
        world
            .expect_source("another's MAC", &borrowed, (SHOT, Some("source_mac")))
            .await;
        let elsewhere = || test_run::run(Program::PodSource, world.trunk, &own, 1);
        world
            .expect(
                "by another interface",
                &own,
                (SHOT, Some("source_address")),
                elsewhere,
            )
            .await;
    });
}

#[test]
fn the_check_of_sources_drops_other_protocols_and_other_senders() {
    on_a_node(async |node| {
        let world = World::new(&node).await;
        let (ip, mac) = (world.pod.ip(), world.pod_mac);
        let arp = |outer, inner, sender| world.sent(outer, ARP, &arp_request(inner, sender, REMOTE));
        for (name, frame, counter) in [
            ("ARP for another", arp(mac, mac, NEIGHBOUR), "source_arp"),
            ("another sender inside", arp(mac, OTHER_MAC, ip), "source_arp"),
            ("another sender outside", arp(OTHER_MAC, mac, ip), "source_arp"),
            ("IPv6", world.sent(mac, IPV6, &[0x60; 60]), "source_protocol"),
            (
                "a tag of the pod's own",
                world.sent(mac, TAG, &[0; 60]),
                "source_protocol",
            ),
            (
                "half an ARP",
                world.sent(mac, ARP, &arp_request(mac, ip, REMOTE)[..16]),
                "source_truncated",
            ),
        ] {
            world.expect_source(name, &frame, (SHOT, Some(counter))).await;
        }
        let own = world.sent(mac, IPV4, &datagram(ip, REMOTE));
        let tagged = || test_run::run_tagged(Program::PodSource, 7, world.veth, &own);
        world
            .expect("tagged", &own, (SHOT, Some("source_protocol")), tagged)
            .await;
    });
}
