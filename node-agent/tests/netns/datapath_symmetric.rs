//! Connections that enter by the node's own interface are answered by it, whatever ENI the pod has.

use std::net::UdpSocket;

use crate::datapath_world::{
    GATEWAY_MAC, NODE_IP, Node, Pod, REMOTE, add,
    frame::{ethernet, udp},
    listen, members, on_a_node, receive, run, settle, talks,
    tap::Tap,
    try_run,
};

/// The node's own interface.
const UPLINK_MAC: [u8; 6] = [0, 0x16, 0x3e, 0, 0, 2];
const CLIENT: u16 = 40_000;

/// What a NodePort with externalTrafficPolicy Local does: the destination is translated, the source stays.
fn node_port(port: u16, pod: &Pod) {
    run(&format!(
        "nft add table ip test; nft 'add chain ip test pre {{ type nat hook prerouting priority dstnat; }}'; \
         nft add rule ip test pre iifname eth0 udp dport {port} dnat to {}:7000",
        pod.ip()
    ));
}

/// A client asks the node's port; the pod gets the question as the client sent it.
fn ask(node: &Node, port: u16, socket: &UdpSocket) {
    let question = udp((REMOTE, CLIENT), (NODE_IP, port), "question");
    node.uplink
        .send(&ethernet(UPLINK_MAC, GATEWAY_MAC, None, 0x0800, &question));
    assert_eq!(receive(socket), "question");
}

fn answered_by(nic: &Tap, socket: &UdpSocket) {
    socket.send_to(b"answer", (REMOTE, CLIENT)).unwrap();
    let frame = nic.expect("the answer", |f| f.is_udp_from(NODE_IP) && f.text() == "answer");
    assert_eq!((frame.vlan, frame.destination), (None, GATEWAY_MAC));
    assert_eq!(frame.ipv4(), Some((NODE_IP, REMOTE)));
}

#[test]
fn answers_leave_by_the_interface_that_the_question_came_by() {
    on_a_node(async |node| {
        let (datapath, trunk, eni) = (node.symmetric().await, node.trunk(), node.shared_eni());
        for (port, pod, nic) in [
            (30_001, Pod::shared(4, "a"), &eni),
            (30_002, Pod::new(1, "a"), &trunk),
        ] {
            add(&datapath, &pod).await;
            node_port(port, &pod);
            let socket = listen(&pod);
            for _ in 0..2 {
                ask(&node, port, &socket);
                answered_by(&node.uplink, &socket);
            }
            assert!(nic.drain().iter().all(|f| f.ipv4().is_none()));
            // What the pod begins itself goes its own way.
            talks(&pod, nic);
            assert!(node.uplink.drain().iter().all(|f| !f.is_udp_from(pod.ip())));
        }
        let rules = run("ip rule show pref 600");
        assert!(rules.contains("fwmark 0x10/0x10 lookup 100 proto 84"), "{rules}");
        assert_eq!(
            run("ip route show table 100").trim(),
            "default via 10.0.0.253 dev eth0 proto 84 onlink"
        );
    });
}

/// What a NodePort with externalTrafficPolicy Cluster does to a pod of the node: kube-proxy marks the first
/// packet and sends the connection in the node's name.
fn own_node_port(port: u16) {
    run(&format!(
        "nft add table ip test; nft 'add chain ip test pre {{ type nat hook prerouting priority dstnat; }}'; \
         nft add rule ip test pre iifname 'cali*' udp dport {port} meta mark set meta mark or 0x4000 \
         dnat to {REMOTE}:9; \
         nft 'add chain ip test post {{ type nat hook postrouting priority srcnat; }}'; \
         nft add rule ip test post meta mark and 0x4000 == 0x4000 meta mark set meta mark xor 0x4000 masquerade"
    ));
}

#[test]
fn what_is_sent_in_the_nodes_name_leaves_by_the_nodes_interface() {
    on_a_node(async |node| {
        let (datapath, trunk, eni) = (node.symmetric().await, node.trunk(), node.shared_eni());
        own_node_port(30_003);
        for (pod, nic) in [(Pod::shared(4, "a"), &eni), (Pod::new(1, "a"), &trunk)] {
            add(&datapath, &pod).await;
            let socket = listen(&pod);
            for _ in 0..2 {
                socket.send_to(b"question", (NODE_IP, 30_003)).unwrap();
                let frame = node.uplink.expect("the question", |f| {
                    f.is_udp_from(NODE_IP) && f.text() == "question"
                });
                assert_eq!(frame.ipv4(), Some((NODE_IP, REMOTE)));
                let answer = udp((REMOTE, 9), (NODE_IP, frame.source_port()), "answer");
                node.uplink
                    .send(&ethernet(UPLINK_MAC, GATEWAY_MAC, None, 0x0800, &answer));
                assert_eq!(receive(&socket), "answer");
            }
            assert!(nic.drain().iter().all(|f| f.ipv4().is_none()));
            // What the pod sends in its own name goes its own way.
            talks(&pod, nic);
        }
    });
}

#[test]
fn without_it_answers_leave_by_the_pods_eni() {
    on_a_node(async |node| {
        let (datapath, eni) = (node.datapath().await, node.shared_eni());
        let pod = Pod::shared(4, "a");
        add(&datapath, &pod).await;
        node_port(30_001, &pod);
        let socket = listen(&pod);
        ask(&node, 30_001, &socket);
        answered_by(&eni, &socket);
        assert!(try_run("nft list table ip terway_symmetric").is_err());
    });
}

#[test]
fn it_is_repaired_kept_over_restarts_and_removed_when_turned_off() {
    on_a_node(async |node| {
        let (datapath, _eni) = (node.symmetric().await, node.shared_eni());
        let pod = Pod::shared(4, "a");
        add(&datapath, &pod).await;
        node_port(30_001, &pod);
        let socket = listen(&pod);
        run("ip rule add pref 600 fwmark 0x20/0x20 lookup 101; nft add table ip foreign");
        for damage in [
            "ip rule del pref 600 fwmark 0x10/0x10",
            "ip route flush table 100",
            "nft delete table ip terway_symmetric",
            "nft flush chain ip terway_symmetric prerouting",
            "nft flush chain ip terway_symmetric translated",
            "nft delete rule ip terway_symmetric prerouting handle $(nft -a list table ip terway_symmetric | \
             sed -n 's/.*cali.*handle //p' | head -1)",
        ] {
            run(damage);
            settle(&datapath, &[&pod]).await;
            ask(&node, 30_001, &socket);
            answered_by(&node.uplink, &socket);
        }
        // The default route moves; its own follows.
        run("ip route replace default via 10.0.0.1 dev eth0");
        settle(&datapath, &[&pod]).await;
        assert!(run("ip route show table 100").contains("via 10.0.0.1"));
        run("ip route del default");
        let report = datapath.reconcile(members(&[&pod])).await.unwrap();
        assert!(
            report.failed.is_empty() && report.waiting.len() == 1,
            "{report:?}"
        );
        run("ip route add default via 10.0.0.253 dev eth0");

        drop(datapath);
        let datapath = node.symmetric().await;
        settle(&datapath, &[&pod]).await;
        ask(&node, 30_001, &socket);
        answered_by(&node.uplink, &socket);

        drop(datapath);
        let datapath = node.datapath().await;
        settle(&datapath, &[&pod]).await;
        assert_eq!(
            run("ip rule show pref 600").trim(),
            "600:\tfrom all fwmark 0x20/0x20 lookup 101"
        );
        assert!(try_run("nft list table ip terway_symmetric").is_err());
        run("nft list table ip foreign");
    });
}
