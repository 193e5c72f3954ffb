//! The MTU of pods when the setting changes: what runs keeps its own, new pods get the new one.

use std::net::UdpSocket;

use crate::datapath_world::{Pod, REMOTE, add, on_a_node, run, settle, tap::Tap};

/// Both ends of the pod's veth.
fn mtus(pod: &Pod) -> [String; 2] {
    let of = |name: &str| format!("ip -o link show {name} | sed 's/.* mtu \\([0-9]*\\) .*/\\1/'");
    [run(&of(&pod.host_ifname())), pod.netns.run(&of("eth0"))].map(|text| text.trim().to_owned())
}

/// Sends the largest datagram that fits into this MTU, unfragmented, and expects it at the NIC.
fn fills(pod: &Pod, mtu: usize, nic: &Tap) {
    const HEADERS: usize = 28;
    let socket = pod.netns.inside(|| UdpSocket::bind((pod.ip(), 0)).unwrap());
    socket.send_to(&vec![b'x'; mtu - HEADERS], (REMOTE, 9)).unwrap();
    let frame = nic.expect("the whole datagram", |f| f.is_udp_from(pod.ip()));
    assert_eq!(frame.text().len(), mtu - HEADERS);
}

#[test]
fn a_changed_mtu_is_for_new_pods_alone() {
    for (before, after) in [(1500, 1400), (1400, 1500)] {
        on_a_node(async |node| {
            let (datapath, trunk) = (node.datapath().await, node.trunk());
            let (mut old, mut new) = (Pod::new(1, "a"), Pod::new(2, "a"));
            old.member.mtu = before;
            add(&datapath, &old).await;
            fills(&old, before as usize, &trunk);
            drop(datapath);

            // The agent starts again with another setting.
            let datapath = node.datapath().await;
            (old.member.mtu, new.member.mtu) = (after, after);
            settle(&datapath, &[&old]).await;
            add(&datapath, &new).await;
            let repairs = datapath
                .check(old.member.clone(), old.netns.descriptor())
                .await
                .unwrap();
            assert_eq!(repairs, []);
            // A runtime may repeat its ADD, and is told what is there.
            let again = datapath.add(old.member.clone(), old.netns.descriptor()).await;
            assert_eq!(again.unwrap().mtu, before);
            settle(&datapath, &[&old, &new]).await;

            assert_eq!(mtus(&old), [before.to_string(), before.to_string()]);
            assert_eq!(mtus(&new), [after.to_string(), after.to_string()]);
            fills(&old, before as usize, &trunk);
            fills(&new, after as usize, &trunk);
        });
    }
}
