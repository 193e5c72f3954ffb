//! What packets meet on a node: tags on the trunk, bindings, and the check of sources.

use std::{
    net::{Ipv4Addr, UdpSocket},
    time::{Duration, Instant},
};

use terway_agent::datapath::Datapath;

use crate::datapath_world::{
    GATEWAY_MAC, NODE_IP, PATIENCE, Pod, REMOTE, TRUNK_GATEWAY, TRUNK_MAC, add, count, counted, eventually,
    frame::{arp_request, ethernet, udp},
    listen, on_a_node, receive, run,
    tap::Tap,
};

/// A member ENI's own MAC, which a cloud may use instead of the trunk's.
const MEMBER_MAC: [u8; 6] = [0, 0x16, 0x3e, 0x77, 0, 1];

fn inject(trunk: &Tap, mac: [u8; 6], vlan: Option<u16>, to: Ipv4Addr, text: &str) {
    trunk.send(&ethernet(
        mac,
        GATEWAY_MAC,
        vlan,
        0x0800,
        &udp((REMOTE, 9), (to, 7000), text),
    ));
}

/// The host puts the pieces together to track the connection, and takes them apart again.
#[test]
fn every_piece_of_a_large_datagram_leaves_in_the_pods_vlan() {
    on_a_node(async |node| {
        let (datapath, trunk) = (node.symmetric().await, node.trunk());
        let pod = Pod::new(1, "a");
        add(&datapath, &pod).await;
        let socket = listen(&pod);
        socket.send_to(&[b'x'; 4000], (REMOTE, 9)).unwrap();
        for piece in 0..3 {
            let frame = trunk.expect("a piece", |f| f.is_udp_from(pod.ip()));
            assert_eq!(frame.vlan, pod.vlan(), "piece {piece}");
        }
        assert_eq!(count(&datapath, "source_address").await, 0);
    });
}

#[test]
fn a_pod_talks_through_the_trunk_in_its_own_vlan() {
    on_a_node(async |node| {
        let (datapath, trunk) = (node.datapath().await, node.trunk());
        let (one, two) = (Pod::new(1, "a"), Pod::new(2, "a"));
        add(&datapath, &one).await;
        add(&datapath, &two).await;
        for pod in [&one, &two] {
            let socket = listen(pod);
            socket.send_to(b"out", (REMOTE, 9)).unwrap();
            let frame = trunk.expect("the pod's datagram", |f| f.is_udp_from(pod.ip()));
            assert_eq!(frame.vlan, pod.vlan());
            assert_eq!((frame.destination, frame.source), (GATEWAY_MAC, TRUNK_MAC));
            assert_eq!(
                (frame.ipv4(), frame.text().as_str()),
                (Some((pod.ip(), REMOTE)), "out")
            );
            inject(&trunk, TRUNK_MAC, pod.vlan(), pod.ip(), "in by the trunk's MAC");
            assert_eq!(receive(&socket), "in by the trunk's MAC");
            inject(&trunk, MEMBER_MAC, pod.vlan(), pod.ip(), "in by the member's MAC");
            assert_eq!(receive(&socket), "in by the member's MAC");
        }
        assert_eq!(
            (count(&datapath, "popped").await, count(&datapath, "pushed").await),
            (4, 2)
        );
    });
}

#[test]
fn the_host_asks_for_its_gateway_untagged_and_in_its_own_name() {
    on_a_node(async |node| {
        let (datapath, trunk) = (node.datapath().await, node.trunk());
        let pod = Pod::new(1, "a");
        add(&datapath, &pod).await;
        listen(&pod).send_to(b"out", (REMOTE, 9)).unwrap();
        let arp = trunk.expect("an ARP request", |f| f.ethertype == 0x0806);
        assert_eq!(arp.vlan, None);
        assert_eq!(arp.payload[14..18], NODE_IP.octets());
        assert_eq!(arp.payload[24..28], TRUNK_GATEWAY.octets());
    });
}

#[test]
fn tagged_frames_for_nobody_here_are_dropped_and_counted_by_reason() {
    on_a_node(async |node| {
        let (datapath, trunk) = (node.datapath().await, node.trunk());
        let (one, two) = (Pod::new(1, "a"), Pod::new(2, "a"));
        add(&datapath, &one).await;
        add(&datapath, &two).await;
        let socket = listen(&one);
        inject(&trunk, TRUNK_MAC, two.vlan(), one.ip(), "another pod's VLAN");
        inject(
            &trunk,
            TRUNK_MAC,
            one.vlan(),
            NODE_IP,
            "the node by a member's VLAN",
        );
        inject(&trunk, TRUNK_MAC, Some(999), one.ip(), "an unknown VLAN");
        let arp = arp_request(GATEWAY_MAC, TRUNK_GATEWAY, one.ip());
        trunk.send(&ethernet([0xff; 6], GATEWAY_MAC, one.vlan(), 0x0806, &arp));
        trunk.send(&ethernet(TRUNK_MAC, GATEWAY_MAC, one.vlan(), 0x86dd, &[0x60; 60]));
        trunk.send(&ethernet(TRUNK_MAC, GATEWAY_MAC, one.vlan(), 0x0800, &[0x45; 8]));
        inject(&trunk, TRUNK_MAC, one.vlan(), one.ip(), "the right one");
        assert_eq!(receive(&socket), "the right one");
        counted(&datapath, "pop_no_binding", 3).await;
        counted(&datapath, "pop_arp", 1).await;
        counted(&datapath, "pop_protocol", 1).await;
        counted(&datapath, "pop_truncated", 1).await;
        counted(&datapath, "popped", 1).await;
    });
}

#[test]
fn untagged_frames_of_the_trunk_reach_the_host() {
    on_a_node(async |node| {
        let (datapath, trunk) = (node.datapath().await, node.trunk());
        let pod = Pod::new(1, "a");
        add(&datapath, &pod).await;
        let socket = UdpSocket::bind((NODE_IP, 7000)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        trunk.send(&ethernet(
            TRUNK_MAC,
            GATEWAY_MAC,
            None,
            0x0800,
            &udp((REMOTE, 9), (NODE_IP, 7000), "host"),
        ));
        assert_eq!(receive(&socket), "host");
        counted(&datapath, "popped", 0).await;
    });
}

#[test]
fn later_filters_see_frames_without_tags() {
    on_a_node(async |node| {
        let (datapath, trunk) = (node.datapath().await, node.trunk());
        let pod = Pod::new(1, "a");
        add(&datapath, &pod).await;
        // A filter of somebody else between ours, which copies what it sees to a device of the test.
        let seen = Tap::new("seen0", MEMBER_MAC);
        run("ip link set seen0 up");
        run(
            "tc filter add dev eth1 ingress pref 25000 protocol ip u32 match ip dst 10.0.16.1/32 \
             action mirred egress mirror dev seen0",
        );
        let socket = listen(&pod);
        inject(&trunk, TRUNK_MAC, pod.vlan(), pod.ip(), "mirrored");
        assert_eq!(receive(&socket), "mirrored");
        let frame = seen.expect("the copy", |f| f.is_udp_from(REMOTE));
        assert_eq!((frame.vlan, frame.text().as_str()), (None, "mirrored"));
    });
}

#[test]
fn what_is_not_the_pods_own_does_not_leave_it() {
    on_a_node(async |node| {
        let (datapath, trunk) = (node.datapath().await, node.trunk());
        let pod = Pod::new(1, "a");
        let realised = datapath
            .add(pod.member.clone(), pod.netns.descriptor())
            .await
            .unwrap();
        pod.netns
            .run("ip -6 addr flush dev eth0 && sysctl -qw net.ipv6.conf.eth0.disable_ipv6=1");
        let before = count(&datapath, "source_protocol").await;
        pod.netns.run("ip addr add 10.0.16.2/32 dev eth0");
        let spoof = pod.netns.inside(|| UdpSocket::bind(("10.0.16.2", 7000)).unwrap());
        spoof.send_to(b"not mine", (REMOTE, 9)).unwrap();
        counted(&datapath, "source_address", 1).await;

        let own = listen(&pod);
        own.send_to(b"mine", (REMOTE, 9)).unwrap();
        trunk.expect("the honest datagram", |f| f.is_udp_from(pod.ip()));
        pod.netns.run("ip link set eth0 address 02:00:00:00:00:99");
        // The kernel forgets its neighbours with the address.
        let gateway = realised.host_mac.map(|b| format!("{b:02x}")).join(":");
        pod.netns.run(&format!(
            "ip neigh replace 169.254.1.1 lladdr {gateway} dev eth0 nud permanent"
        ));
        own.send_to(b"borrowed MAC", (REMOTE, 9)).unwrap();
        counted(&datapath, "source_mac", 1).await;
        assert_eq!(count(&datapath, "source_protocol").await, before);
        assert!(
            trunk
                .drain()
                .iter()
                .all(|f| f.ipv4().is_none_or(|_| f.text() == "mine"))
        );
    });
}

#[test]
fn arp_in_anothers_name_does_not_leave_the_pod() {
    on_a_node(async |node| {
        let (datapath, _trunk) = (node.datapath().await, node.trunk());
        let pod = Pod::new(1, "a");
        add(&datapath, &pod).await;
        // The pod asks for the node's own address, in its own name or in another pod's. The kernel of the node takes
        // the sender of each request that reaches it into its neighbour table.
        let ask = |source: &str| {
            pod.netns.run(&format!(
                "ip neigh flush dev eth0 10.0.0.11; ip route replace 10.0.0.11/32 dev eth0 scope link src {source}"
            ));
            pod.netns.inside(|| {
                let socket = UdpSocket::bind((source, 0)).unwrap();
                socket.send_to(b"x", (NODE_IP, 9)).unwrap();
            });
        };
        let learnt = |source: &str| run(&format!("ip neigh show {source} dev {}", pod.host_ifname()));
        let before = learnt("10.0.16.1");
        run(&format!("ip neigh flush dev {} nud all", pod.host_ifname()));
        assert_eq!(
            (learnt("10.0.16.1").as_str(), learnt("10.0.16.2").as_str()),
            ("", ""),
            "{before}"
        );

        pod.netns.run("ip addr add 10.0.16.2/32 dev eth0");
        ask("10.0.16.2");
        counted_at_least_once(&datapath, "source_arp").await;
        // The pod repeats its request for some seconds. None of them may arrive while the pod's own does.
        ask("10.0.16.1");
        eventually("the pod's own request arrives", || {
            !learnt("10.0.16.1").is_empty()
        });
        assert_eq!(learnt("10.0.16.2"), "");
    });
}

async fn counted_at_least_once(datapath: &Datapath, name: &str) {
    let deadline = Instant::now() + PATIENCE;
    while count(datapath, name).await == 0 {
        assert!(Instant::now() < deadline, "{name} was not counted");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn node_and_pods_talk_without_the_trunk() {
    on_a_node(async |node| {
        let (datapath, trunk) = (node.datapath().await, node.trunk());
        let (one, two) = (Pod::new(1, "a"), Pod::new(2, "a"));
        add(&datapath, &one).await;
        add(&datapath, &two).await;
        trunk.drain();
        let (at_one, at_two) = (listen(&one), listen(&two));
        at_one.send_to(b"pod to pod", (two.ip(), 7000)).unwrap();
        assert_eq!(receive(&at_two), "pod to pod");
        let host = UdpSocket::bind((NODE_IP, 7000)).unwrap();
        host.set_read_timeout(Some(PATIENCE)).unwrap();
        host.send_to(b"node to pod", (one.ip(), 7000)).unwrap();
        assert_eq!(receive(&at_one), "node to pod");
        at_one.send_to(b"pod to node", (NODE_IP, 7000)).unwrap();
        assert_eq!(receive(&host), "pod to node");
        // The kernel chooses the node's address by itself, as a probe of the kubelet has it.
        let unbound = UdpSocket::bind("0.0.0.0:0").unwrap();
        unbound.connect((one.ip(), 7000)).unwrap();
        assert_eq!(unbound.local_addr().unwrap().ip(), NODE_IP);
        let seen = trunk.drain();
        assert!(seen.iter().all(|f| f.ipv4().is_none()), "{seen:#?}");
        let seen = node.uplink.drain();
        assert!(seen.iter().all(|f| f.ipv4().is_none()), "{seen:#?}");
    });
}
