//! Restarts, lost pins, leaks, and what others have made on the node.

use std::{
    net::UdpSocket,
    os::fd::AsRawFd as _,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use crate::datapath_world::{
    Pod, REMOTE, TRUNK_MAC, add, count, members, on_a_node, run, settle, talks, try_run,
};
use terway_agent::datapath::{Census, Datapath, Waiting};

#[test]
fn a_restart_loses_no_packet() {
    on_a_node(async |node| {
        let (datapath, trunk) = (node.datapath().await, node.trunk());
        let (pod, peer) = (Pod::new(1, "a"), Pod::new(2, "a"));
        add(&datapath, &pod).await;
        add(&datapath, &peer).await;
        talks(&pod, &trunk);
        let (ways, before) = (node.ways(), count(&datapath, "pushed").await);
        let stop = AtomicBool::new(false);
        let sent = thread::scope(|scope| {
            let sender = scope.spawn(|| {
                let socket = pod.netns.inside(|| UdpSocket::bind((pod.ip(), 0)).unwrap());
                let mut sent = 0;
                while !stop.load(Ordering::Relaxed) {
                    socket.send_to(b"x", (REMOTE, 9)).unwrap();
                    sent += 1;
                    thread::sleep(Duration::from_micros(200));
                }
                sent
            });
            let upgrade = scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .unwrap();
                runtime.block_on(async {
                    drop(datapath);
                    for _ in 0..3 {
                        let next = node.datapath().await;
                        let report = next.reconcile(members(&[&pod, &peer])).await.unwrap();
                        assert!(report.failed.is_empty(), "{report:?}");
                        assert_eq!(report.done.len(), 4, "only programs are replaced: {report:?}");
                    }
                });
            });
            upgrade.join().unwrap();
            stop.store(true, Ordering::Relaxed);
            sender.join().unwrap()
        });
        let datapath = node.datapath().await;
        let drops: u64 = datapath
            .counters()
            .await
            .unwrap()
            .iter()
            .filter(|(c, _)| c.is_drop() && c.name() != "source_protocol")
            .map(|(_, n)| n)
            .sum();
        assert_eq!(drops, 0);
        assert_eq!(count(&datapath, "pushed").await - before, sent);
        assert_eq!(node.ways(), ways);
        talks(&pod, &trunk);
    });
}

#[test]
fn lost_pins_are_made_good() {
    on_a_node(async |node| {
        let (datapath, trunk) = (node.datapath().await, node.trunk());
        let pod = Pod::new(1, "a");
        add(&datapath, &pod).await;
        drop(datapath);
        run("rm -r /sys/fs/bpf/terway");
        let datapath = node.datapath().await;
        talks(&pod, &trunk);
        settle(&datapath, &[&pod]).await;
        talks(&pod, &trunk);
        assert_eq!(count(&datapath, "pushed").await, 1);
    });
}

#[test]
fn pins_of_older_versions_go_and_those_of_other_programs_stay() {
    on_a_node(async |node| {
        run("mkdir -p /sys/fs/bpf/terway/v0 /sys/fs/bpf/terway/others");
        let _datapath = node.datapath().await;
        let pins = run("ls /sys/fs/bpf/terway");
        let own = format!("v{}", terway_ebpf_abi::VERSION);
        assert_eq!(pins.split_whitespace().collect::<Vec<_>>(), ["others", &own]);
    });
}

#[test]
fn links_rules_routes_and_filters_of_others_survive() {
    on_a_node(async |node| {
        let (datapath, trunk) = (node.datapath().await, node.trunk());
        run(
            "ip link add cali12345678901 type veth peer name other0; ip link set cali12345678901 alias 'another plugin'",
        );
        run("ip link set cali12345678901 up; ip link set other0 up; ip link add cni0 type bridge");
        run(
            "ip rule add pref 512 to 10.244.0.0/24 lookup main; ip rule add pref 2048 from 10.244.0.7 lookup 1003",
        );
        run("ip rule add pref 513 to 10.0.16.1 lookup main proto 84");
        run(
            "ip route add 10.244.0.0/24 dev other0 table 1003; ip route add 10.244.1.1/32 dev cali12345678901",
        );
        run(
            "tc qdisc add dev eth1 clsact; tc filter add dev eth1 ingress pref 25000 handle 800::1 protocol ip u32 match u32 0 0",
        );
        let foreign = || {
            run(
                "ip -4 rule show | grep -v -e 'lookup 100. proto 84' -e '^512:.*proto 84'; ip route show table all | grep 10.244; \
                 ip -br link show type bridge; tc filter show dev eth1 ingress pref 25000; ip link show cali12345678901 | grep alias",
            )
        };
        let before = foreign();
        let pod = Pod::new(1, "a");
        add(&datapath, &pod).await;
        talks(&pod, &trunk);
        settle(&datapath, &[&pod]).await;
        assert_eq!(foreign(), before);
        datapath.delete(pod.sandbox(), None).await.unwrap();
        settle(&datapath, &[]).await;
        assert_eq!(foreign(), before);
        assert_eq!(node.ways(), ["513: from all to 10.0.16.1 lookup main proto 84"]);
    });
}

#[test]
fn leaks_are_removed_but_not_what_has_just_been_added() {
    on_a_node(async |node| {
        let (datapath, trunk) = (node.datapath().await, node.trunk());
        let (leaked, fresh) = (Pod::new(1, "a"), Pod::new(2, "a"));
        add(&datapath, &leaked).await;
        settle(&datapath, &[&leaked]).await;
        run("ip link add twt0123456789ab type veth peer name half");
        let stale = members(&[]);
        add(&datapath, &fresh).await;
        let report = datapath.reconcile(stale).await.unwrap();
        assert!(report.failed.is_empty(), "{report:?}");
        assert!(try_run(&format!("ip link show {}", leaked.host_ifname())).is_err());
        assert!(try_run("ip link show twt0123456789ab").is_err());
        talks(&fresh, &trunk);
        settle(&datapath, &[&fresh]).await;
        let absent = datapath.reconcile(members(&[&fresh, &leaked])).await.unwrap();
        assert_eq!(absent.waiting, [Waiting::HostLink(leaked.sandbox().clone())]);
        assert_eq!(fresh.member.carrier.nic().mac, TRUNK_MAC);
    });
}

#[test]
fn a_sandbox_that_nothing_describes_is_left_as_it_is_while_others_are_repaired() {
    on_a_node(async |node| {
        let (datapath, trunk, eni) = (node.datapath().await, node.trunk(), node.shared_eni());
        let (unknown, known, gone) = (Pod::shared(4, "a"), Pod::new(1, "a"), Pod::new(2, "a"));
        for pod in [&unknown, &known, &gone] {
            add(&datapath, pod).await;
        }
        drop(datapath);
        let datapath = node.datapath().await;
        run("ip rule del from 10.0.16.1");
        let census = || Census {
            unknown: vec![unknown.sandbox().clone()],
            ..members(&[&known]).into()
        };
        let report = datapath.reconcile(census()).await.unwrap();
        assert!(report.failed.is_empty(), "{report:?}");
        talks(&known, &trunk);
        talks(&unknown, &eni);
        assert!(try_run(&format!("ip link show {}", gone.host_ifname())).is_err());
        let again = datapath.reconcile(census()).await.unwrap();
        assert!(again.done.is_empty(), "{again:?}");
    });
}

#[test]
fn what_upstreams_agent_left_goes_and_what_it_still_runs_stays() {
    on_a_node(async |node| {
        let (datapath, eni) = (node.datapath().await, node.shared_eni());
        let pod = Pod::shared(4, "a");
        // Rules without a protocol number: of an address that our pod gets, of an idle one, of one in use.
        for (number, table) in [(4, 1999), (5, 1003), (6, 1003)] {
            run(&format!(
                "ip rule add pref 512 to 10.0.17.{number} lookup main proto 0; \
                 ip rule add pref 2048 from 10.0.17.{number} lookup {table} proto 0"
            ));
        }
        add(&datapath, &pod).await;
        talks(&pod, &eni);
        let census = || Census {
            idle: ["10.0.17.5".parse().unwrap()].into(),
            ..members(&[&pod]).into()
        };
        let report = datapath.reconcile(census()).await.unwrap();
        assert!(report.failed.is_empty(), "{report:?}");
        let rules = run("ip rule show");
        assert!(
            !rules.contains("10.0.17.5") && !rules.contains("lookup 1999"),
            "{rules}"
        );
        assert_eq!(rules.matches("10.0.17.6").count(), 2, "{rules}");
        assert!(datapath.reconcile(census()).await.unwrap().done.is_empty());

        // A sandbox that upstream's agent made ends.
        let old = Pod::shared(6, "old");
        let fd = old.netns.descriptor();
        let netns = format!("/proc/{}/fd/{}", std::process::id(), fd.as_raw_fd());
        run(&format!(
            "ip link add cali0123456789f type veth peer name eth0 netns {netns}"
        ));
        datapath
            .delete(old.sandbox(), Some(old.netns.descriptor()))
            .await
            .unwrap();
        assert!(old.netns.inside(|| try_run("ip link show eth0")).is_err());
    });
}

#[test]
fn a_setting_that_cannot_be_made_keeps_nobody_from_being_served() {
    on_a_node(async |node| {
        let mut config = node.config();
        config.sysctl_net = "/nonexistent".into();
        let datapath = Datapath::start(config).await.unwrap();
        let report = datapath.reconcile(members(&[])).await.unwrap();
        let failed: Vec<String> = report.failed.iter().map(|(step, _)| step.to_string()).collect();
        assert!(
            !failed.is_empty() && failed.iter().all(|step| step.starts_with("set net/")),
            "{failed:?}"
        );
        assert!(datapath.sandboxes().await.unwrap().is_empty());
    });
}
