//! Pods with addresses of shared ENIs: who carries their packets, and who does not.

use std::net::UdpSocket;

use crate::datapath_world::{
    GATEWAY_MAC, NODE_IP, NODE_LOCAL_DNS, PATIENCE, Pod, REMOTE, SHARED_GATEWAY, SHARED_MAC, TRUNK_GATEWAY,
    TRUNK_MAC, add, count, counted, eventually,
    frame::{ethernet, udp},
    listen, on_a_node, receive, run, settle, talks,
    tap::Tap,
    try_run,
};

#[test]
fn a_shared_pod_talks_through_its_own_eni_without_a_tag() {
    on_a_node(async |node| {
        let (datapath, trunk, eni) = (node.datapath().await, node.trunk(), node.shared_eni());
        let (member, shared) = (Pod::new(1, "a"), Pod::shared(4, "a"));
        add(&datapath, &member).await;
        add(&datapath, &shared).await;
        let socket = listen(&shared);
        socket.send_to(b"out", (REMOTE, 9)).unwrap();
        let frame = eni.expect("the pod's datagram", |f| f.is_udp_from(shared.ip()));
        assert_eq!(frame.vlan, None);
        assert_eq!((frame.destination, frame.source), (GATEWAY_MAC, SHARED_MAC));
        let datagram = udp((REMOTE, 9), (shared.ip(), 7000), "in");
        eni.send(&ethernet(SHARED_MAC, GATEWAY_MAC, None, 0x0800, &datagram));
        assert_eq!(receive(&socket), "in");
        talks(&member, &trunk);
        assert!(trunk.drain().iter().all(|f| !f.is_udp_from(shared.ip())));
        settle(&datapath, &[&member, &shared]).await;
        assert_eq!(
            run("ip -br addr show eth2").split_whitespace().nth(2),
            Some("10.0.0.11/32"),
            "the node's own address and no other is on the ENI"
        );
    });
}

#[test]
fn the_trunk_serves_shared_addresses_beside_its_members() {
    on_a_node(async |node| {
        let (datapath, trunk) = (node.datapath().await, node.trunk());
        let (member, mut shared) = (Pod::new(1, "a"), Pod::shared(4, "a"));
        shared.share(TRUNK_MAC, TRUNK_GATEWAY);
        shared.member.ip = [10, 0, 0, 44].into();
        add(&datapath, &member).await;
        add(&datapath, &shared).await;
        talks(&member, &trunk);
        talks(&shared, &trunk);
        let socket = listen(&shared);
        let datagram = udp((REMOTE, 9), (shared.ip(), 7000), "in");
        trunk.send(&ethernet(TRUNK_MAC, GATEWAY_MAC, None, 0x0800, &datagram));
        assert_eq!(receive(&socket), "in");
        datapath.delete(member.sandbox(), None).await.unwrap();
        settle(&datapath, &[&shared]).await;
        talks(&shared, &trunk);
    });
}

#[test]
fn pods_of_two_enis_and_their_node_talk_without_leaving_it() {
    on_a_node(async |node| {
        let (datapath, trunk, eni) = (node.datapath().await, node.trunk(), node.shared_eni());
        let other = Tap::new("eth3", [0, 0x16, 0x3e, 0, 0, 4]);
        let (one, two, member) = (Pod::shared(4, "a"), Pod::shared(5, "a"), Pod::new(1, "a"));
        let mut third = Pod::shared(6, "a");
        third.share([0, 0x16, 0x3e, 0, 0, 4], SHARED_GATEWAY);
        let pods = [&one, &two, &third, &member];
        for pod in pods {
            add(&datapath, pod).await;
        }
        talks(&third, &other);
        for nic in [&trunk, &eni, &other, &node.uplink] {
            nic.drain();
        }
        let sockets: Vec<UdpSocket> = pods.iter().map(|pod| listen(pod)).collect();
        let host = UdpSocket::bind((NODE_IP, 7000)).unwrap();
        host.set_read_timeout(Some(PATIENCE)).unwrap();
        for (from, socket) in sockets.iter().enumerate() {
            for (to, peer) in sockets.iter().enumerate().filter(|(to, _)| *to != from) {
                socket.send_to(b"pod to pod", (pods[to].member.ip, 7000)).unwrap();
                assert_eq!(receive(peer), "pod to pod", "{from} to {to}");
            }
            socket.send_to(b"pod to node", (NODE_IP, 7000)).unwrap();
            assert_eq!(receive(&host), "pod to node");
            host.send_to(b"node to pod", (pods[from].member.ip, 7000))
                .unwrap();
            assert_eq!(receive(socket), "node to pod");
        }
        for nic in [&trunk, &eni, &other, &node.uplink] {
            let seen = nic.drain();
            assert!(seen.iter().all(|f| f.ipv4().is_none()), "{seen:#?}");
        }
    });
}

#[test]
fn node_local_dns_answers_both_kinds_of_pods() {
    on_a_node(async |node| {
        let (datapath, trunk, eni) = (node.datapath().await, node.trunk(), node.shared_eni());
        // As NodeLocal DNS has it: the address on a link of its own that leads nowhere.
        run("ip link add nodelocaldns type bridge && ip addr add 169.254.20.10/32 dev nodelocaldns");
        // The agent's capabilities, with which this test runs too, do not open ports below 1024.
        std::fs::write("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0").unwrap();
        let dns = UdpSocket::bind((NODE_LOCAL_DNS, 53)).unwrap();
        dns.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut pods = [Pod::new(1, "a"), Pod::shared(4, "a")];
        for pod in &mut pods {
            pod.member.host_stack_cidrs = vec!["169.254.20.10/32".parse().unwrap()];
            add(&datapath, pod).await;
            let socket = listen(pod);
            socket.send_to(b"where?", (NODE_LOCAL_DNS, 53)).unwrap();
            let mut question = [0; 64];
            let (n, asker) = dns.recv_from(&mut question).expect("the question");
            assert_eq!(
                (&question[..n], asker.ip()),
                (b"where?".as_slice(), pod.ip().into())
            );
            dns.send_to(b"here", asker).unwrap();
            assert_eq!(receive(&socket), "here");
        }
        for nic in [&trunk, &eni, &node.uplink] {
            assert!(nic.drain().iter().all(|f| f.ipv4().is_none()));
        }
    });
}

#[test]
fn a_shared_pod_cannot_send_in_a_members_name() {
    on_a_node(async |node| {
        let (datapath, trunk, eni) = (node.datapath().await, node.trunk(), node.shared_eni());
        let (member, shared) = (Pod::new(1, "a"), Pod::shared(4, "a"));
        add(&datapath, &member).await;
        add(&datapath, &shared).await;
        talks(&member, &trunk);
        let pushed = count(&datapath, "pushed").await;
        shared.netns.run("ip addr add 10.0.16.1/32 dev eth0");
        let spoof = shared
            .netns
            .inside(|| UdpSocket::bind((member.ip(), 7000)).unwrap());
        spoof.send_to(b"not mine", (REMOTE, 9)).unwrap();
        counted(&datapath, "source_address", 1).await;
        assert_eq!(count(&datapath, "pushed").await, pushed);
        for nic in [&trunk, &eni] {
            assert!(nic.drain().iter().all(|f| f.ipv4().is_none()));
        }
    });
}

#[test]
fn an_eni_that_comes_back_is_put_in_order() {
    on_a_node(async |node| {
        let (datapath, eni) = (node.datapath().await, node.shared_eni());
        let pod = Pod::shared(4, "a");
        add(&datapath, &pod).await;
        talks(&pod, &eni);
        drop(eni);
        eventually("the NIC is gone", || try_run("ip link show eth2").is_err());
        let report = datapath.reconcile(vec![pod.member.clone()]).await.unwrap();
        assert_eq!(report.waiting.len(), 1, "{report:?}");
        let eni = node.shared_eni();
        settle(&datapath, &[&pod]).await;
        talks(&pod, &eni);
        assert!(run("ip route show table all").contains(&format!("default via {SHARED_GATEWAY} dev eth2")));
    });
}
