//! ADD, CHECK and DEL in any order and repetition.

use std::{net::UdpSocket, time::Duration};

use crate::datapath_world::{
    Pod, REMOTE, add, count, counted, eventually, members, on_a_node, run, settle, talks, try_run,
};
use terway_agent::datapath::{Carrier, Datapath, DatapathError, PairError, VlanId, ownership};
use terway_process::error_chain;

#[test]
fn a_node_looks_as_documented() {
    on_a_node(async |node| {
        let (datapath, _trunk) = (node.datapath().await, node.trunk());
        let mut pod = Pod::new(1, "a");
        pod.member.extra_routes = vec!["100.64.0.0/10".parse().unwrap()];
        pod.member.host_stack_cidrs = vec!["169.254.20.10/32".parse().unwrap()];
        pod.member.mtu = 1400;
        add(&datapath, &pod).await;
        let (veth, table) = (pod.host_ifname(), node.table("eth1"));
        assert_eq!(
            node.ways(),
            [
                "10.0.16.1 dev VETH scope link".replace("VETH", &veth),
                "2048: from 10.0.16.1 lookup TABLE proto 84".replace("TABLE", &table.to_string()),
                "512: from 10.0.16.1 to 169.254.20.10 lookup main proto 84".into(),
                "512: from all to 10.0.16.1 lookup main proto 84".into(),
                "default via 10.0.0.253 dev eth1 table TABLE onlink".replace("TABLE", &table.to_string()),
                "unreachable default table TABLE metric 4294967295".replace("TABLE", &table.to_string()),
            ]
        );
        assert!(run("ip -br addr show eth1").contains("10.0.0.11/32"));
        assert!(run(&format!("ip link show {veth}")).contains("mtu 1400"));
        let alias = run(&format!("ip link show {veth}"));
        assert!(
            alias.contains(&pod.sandbox().pod_uid) && alias.contains(&pod.sandbox().container_id),
            "{alias}"
        );
        assert_eq!(
            pod.netns
                .run("ip -4 -br addr show eth0")
                .split_whitespace()
                .nth(2),
            Some("10.0.16.1/32")
        );
        let routes = pod.netns.run("ip route");
        assert!(
            routes.contains("default via 169.254.1.1 dev eth0")
                && routes.contains("100.64.0.0/10 via 169.254.1.1")
        );
        assert!(pod.netns.run("ip neigh show 169.254.1.1").contains("PERMANENT"));
        for conf in ["all", "eth0", "eth1", &veth] {
            assert_eq!(
                run(&format!("cat /proc/sys/net/ipv4/conf/{conf}/rp_filter")).trim(),
                "0",
                "{conf}"
            );
            assert_eq!(
                run(&format!("cat /proc/sys/net/ipv4/conf/{conf}/forwarding")).trim(),
                "1",
                "{conf}"
            );
        }
    });
}

#[test]
fn every_verb_may_be_repeated() {
    on_a_node(async |node| {
        let (datapath, trunk) = (node.datapath().await, node.trunk());
        let clean = node.ways();
        let pod = Pod::new(1, "a");
        let first = datapath
            .add(pod.member.clone(), pod.netns.descriptor())
            .await
            .unwrap();
        let ways = node.ways();
        let second = datapath
            .add(pod.member.clone(), pod.netns.descriptor())
            .await
            .unwrap();
        assert_eq!((&first, &ways), (&second, &node.ways()));
        assert_eq!(
            datapath
                .check(pod.member.clone(), pod.netns.descriptor())
                .await
                .unwrap(),
            []
        );
        talks(&pod, &trunk);
        datapath
            .delete(pod.sandbox(), Some(pod.netns.descriptor()))
            .await
            .unwrap();
        datapath.delete(pod.sandbox(), None).await.unwrap();
        assert!(try_run(&format!("ip link show {}", pod.host_ifname())).is_err());
        assert!(pod.netns.inside(|| try_run("ip link show eth0")).is_err());
        settle(&datapath, &[]).await;
        assert_eq!(node.ways(), clean);
        let check = datapath.check(pod.member.clone(), pod.netns.descriptor()).await;
        assert!(
            matches!(
                check,
                Err(DatapathError::Pair(PairError::HostInterfaceMissing { .. }))
            ),
            "{check:?}"
        );
    });
}

#[test]
fn a_pod_whose_namespace_died_leaves_nothing() {
    on_a_node(async |node| {
        let (datapath, trunk) = (node.datapath().await, node.trunk());
        let (kept, dying) = (Pod::new(1, "a"), Pod::new(2, "a"));
        add(&datapath, &kept).await;
        let ways = node.ways();
        add(&datapath, &dying).await;
        let (sandbox, veth) = (dying.sandbox().clone(), dying.host_ifname());
        drop(dying);
        eventually("the kernel has freed the namespace", || {
            try_run(&format!("ip link show {veth}")).is_err()
        });
        datapath.delete(&sandbox, None).await.unwrap();
        assert_eq!(node.ways(), ways);
        talks(&kept, &trunk);
        settle(&datapath, &[&kept]).await;
    });
}

#[test]
fn pods_that_go_together_leave_nothing_and_take_no_strangers_along() {
    on_a_node(async |node| {
        let (datapath, trunk) = (node.datapath().await, node.trunk());
        let kept = Pod::new(1, "a");
        add(&datapath, &kept).await;
        let ways = node.ways();
        run("ip link add stranger type veth peer name strange1");
        // Somebody's own link, in the group that we use too, and elsewhere.
        for group in [ownership::GROUP_OF_THE_LEAVING, 0] {
            run(&format!("ip link set stranger group {group}"));
            let leaving: Vec<Pod> = (2..8).map(|number| Pod::new(number, "a")).collect();
            for pod in &leaving {
                add(&datapath, pod).await;
            }
            let mut gone = tokio::task::JoinSet::new();
            for pod in &leaving {
                let (datapath, sandbox) = (datapath.clone(), pod.sandbox().clone());
                gone.spawn(async move { datapath.delete(&sandbox, None).await });
            }
            gone.join_all().await.into_iter().for_each(Result::unwrap);
            for pod in &leaving {
                assert!(try_run(&format!("ip link show {}", pod.host_ifname())).is_err());
            }
            assert_eq!(node.ways(), ways);
            run("ip link show stranger");
        }
        talks(&kept, &trunk);
        settle(&datapath, &[&kept]).await;
    });
}

#[test]
fn a_pod_whose_sending_is_limited_has_its_check_where_a_shaper_has_room() {
    on_a_node(async |node| {
        let (datapath, trunk) = (node.datapath().await, node.trunk());
        let mut pod = Pod::new(1, "a");
        add(&datapath, &pod).await;
        let veth = pod.host_ifname();
        assert!(run(&format!("tc qdisc show dev {veth}")).contains("clsact"));
        settle(&datapath, &[&pod]).await;
        pod.member.shaped = true;
        settle(&datapath, &[&pod]).await;
        let on_clsact = run(&format!("tc filter show dev {veth} ingress")).contains("bpf");
        assert_eq!(on_clsact, !datapath.has_tcx());
        if on_clsact {
            // Linux before 6.6 has no other place for the check, and the check comes before the shaper.
            let shaper = format!("tc qdisc add dev {veth} ingress");
            assert!(try_run(&shaper).is_err(), "clsact takes the shaper's place");
            talks(&pod, &trunk);
            return;
        }
        run(&format!(
            "tc qdisc del dev {veth} clsact && tc qdisc add dev {veth} ingress"
        ));
        settle(&datapath, &[&pod]).await;
        talks(&pod, &trunk);
        let before = count(&datapath, "source_address").await;
        pod.netns.run("ip addr add 10.0.16.99/32 dev eth0");
        let spoof = pod
            .netns
            .inside(|| UdpSocket::bind(("10.0.16.99", 7001)).unwrap());
        spoof.send_to(b"not mine", (REMOTE, 9)).unwrap();
        counted(&datapath, "source_address", before + 1).await;

        // The pod's owner removes the annotation. The plugin's filter takes every packet away from a filter of clsact.
        pod.member.shaped = false;
        run(&format!(
            "ip link add ifb0 type ifb && ip link set ifb0 up && tc filter add dev {veth} parent ffff: pref 1 \
             protocol all u32 match u32 0 0 action mirred egress redirect dev ifb0"
        ));
        let mut datapath = datapath;
        for attempt in 2..4 {
            settle(&datapath, &[&pod]).await;
            spoof.send_to(b"not mine", (REMOTE, 9)).unwrap();
            counted(&datapath, "source_address", before + attempt).await;
            drop(datapath);
            datapath = node.datapath().await;
        }
        talks(&pod, &trunk);
    });
}

#[test]
fn a_new_sandbox_of_a_pod_replaces_the_old_and_outlives_its_late_delete() {
    on_a_node(async |node| {
        let (datapath, trunk) = (node.datapath().await, node.trunk());
        let (old, new) = (Pod::new(1, "a"), Pod::new(1, "b"));
        add(&datapath, &old).await;
        let ways = node.ways();
        add(&datapath, &new).await;
        assert_eq!(node.ways(), ways);
        talks(&new, &trunk);
        datapath
            .delete(old.sandbox(), Some(old.netns.descriptor()))
            .await
            .unwrap();
        talks(&new, &trunk);
        settle(&datapath, &[&new]).await;
        assert_eq!(datapath.sandboxes().await.unwrap(), [new.sandbox().clone()]);
    });
}

#[test]
fn a_changed_binding_replaces_the_old_one() {
    on_a_node(async |node| {
        let (datapath, trunk) = (node.datapath().await, node.trunk());
        let mut pod = Pod::new(1, "a");
        add(&datapath, &pod).await;
        pod.member.carrier = Carrier::Member {
            trunk: *pod.member.carrier.nic(),
            vlan: VlanId::new(77).unwrap(),
        };
        add(&datapath, &pod).await;
        talks(&pod, &trunk);
        let again = datapath.reconcile(members(&[&pod])).await.unwrap();
        assert!(again.done.is_empty(), "{again:?}");
    });
}

#[test]
fn an_add_waits_for_its_nic_and_says_which_one_never_came() {
    on_a_node(async |node| {
        let datapath = node.datapath().await;
        let pod = Pod::new(1, "a");
        let error = datapath
            .add(pod.member.clone(), pod.netns.descriptor())
            .await
            .unwrap_err();
        assert!(error.to_string().contains("00:16:3e:00:00:01"), "{error}");
        let mut config = node.config();
        config.nic_deadline = crate::datapath_world::PATIENCE;
        let datapath = Datapath::start(config).await.unwrap();
        let plugged = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            // A link stacked on nothing with the same MAC is not the NIC.
            run(
                "ip link add decoy type veth peer name decoy1 && ip link set decoy address 00:16:3e:00:00:01",
            );
            node.trunk()
        };
        let (added, trunk) = tokio::join!(datapath.add(pod.member.clone(), pod.netns.descriptor()), plugged);
        added.unwrap();
        talks(&pod, &trunk);
    });
}

#[test]
fn bad_sandboxes_are_refused() {
    on_a_node(async |node| {
        let (datapath, _trunk) = (node.datapath().await, node.trunk());
        let pod = Pod::new(1, "a");
        let own = std::fs::File::open("/proc/thread-self/ns/net").unwrap();
        let refused = datapath.add(pod.member.clone(), own.into()).await;
        assert!(
            matches!(refused, Err(DatapathError::HostNamespace)),
            "{refused:?}"
        );
        pod.netns.run("ip link add eth0 type veth peer name other");
        let refused = datapath.add(pod.member.clone(), pod.netns.descriptor()).await;
        assert!(
            matches!(
                refused,
                Err(DatapathError::Pair(PairError::InterfaceTaken { .. }))
            ),
            "{refused:?}"
        );
        assert!(try_run(&format!("ip link show {}", pod.host_ifname())).is_err());
        let others = pod.netns.run("ip -br link show type veth");
        assert!(
            others.contains("eth0@other") && others.contains("other@eth0"),
            "{others}"
        );
    });
}

/// One priority has one protocol (`tc_new_tfilter` in `net/sched/cls_api.c`). Upstream's filters of trunks are at the
/// priorities of ours.
#[test]
fn a_refused_filter_is_told_with_the_kernels_own_words() {
    on_a_node(async |node| {
        let (datapath, _trunk) = (node.datapath().await, node.trunk());
        run("tc qdisc add dev eth1 clsact; \
             tc filter add dev eth1 ingress pref 20000 protocol 802.1Q u32 match u32 0 0");
        let pod = Pod::new(1, "a");
        let refused = datapath.add(pod.member.clone(), pod.netns.descriptor()).await;
        let told = error_chain(&refused.unwrap_err());
        let words =
            "the kernel says \"Protocol mismatch for filter with specified priority\": Invalid argument";
        assert!(told.contains(words), "{told}");
    });
}

#[test]
fn a_check_repairs_both_sides() {
    on_a_node(async |node| {
        let (datapath, trunk) = (node.datapath().await, node.trunk());
        let pod = Pod::new(1, "a");
        add(&datapath, &pod).await;
        let ways = node.ways();
        pod.netns.run("ip addr flush dev eth0; ip route flush dev eth0; ip neigh flush all nud permanent; ip link set eth0 mtu 1300 down");
        run(&format!(
            "ip rule del pref 512; ip rule del pref 2048; ip link set {} down",
            pod.host_ifname()
        ));
        run("tc filter del dev eth1 ingress; tc qdisc del dev eth1 clsact; ip link set eth1 down");
        let repairs = datapath
            .check(pod.member.clone(), pod.netns.descriptor())
            .await
            .unwrap();
        assert!(repairs.len() >= 8, "{repairs:?}");
        assert_eq!(node.ways(), ways);
        talks(&pod, &trunk);
        assert_eq!(
            datapath
                .check(pod.member.clone(), pod.netns.descriptor())
                .await
                .unwrap(),
            []
        );
        pod.netns
            .run("ip link set eth0 down && ip link set eth0 name lost0");
        let lost = datapath.check(pod.member.clone(), pod.netns.descriptor()).await;
        assert!(
            matches!(
                lost,
                Err(DatapathError::Pair(PairError::PodInterfaceMissing { .. }))
            ),
            "{lost:?}"
        );
    });
}

#[test]
fn an_additional_interface_has_routes_of_its_own() {
    on_a_node(async |node| {
        let (datapath, trunk) = (node.datapath().await, node.trunk());
        let pod = Pod::new(1, "a");
        add(&datapath, &pod).await;
        let other = Pod::new(2, "a");
        let (own, vlan) = (other.ip(), other.vlan());
        let mut second = other.member;
        second.sandbox = pod.member.sandbox.clone();
        second.sandbox.ifname = "eth1".into();
        second.pod_name.clone_from(&pod.member.pod_name);
        second.default_route = false;
        datapath
            .add(second.clone(), pod.netns.descriptor())
            .await
            .unwrap();
        talks(&pod, &trunk);
        let socket = pod.netns.inside(|| UdpSocket::bind((second.ip, 0)).unwrap());
        socket.send_to(b"hello", (REMOTE, 9)).unwrap();
        let frame = trunk.expect("the second interface's datagram", |f| f.is_udp_from(own));
        assert_eq!(frame.vlan, vlan);
        assert_eq!(count(&datapath, "source_address").await, 0);
        datapath.delete(&second.sandbox, None).await.unwrap();
        talks(&pod, &trunk);
    });
}
