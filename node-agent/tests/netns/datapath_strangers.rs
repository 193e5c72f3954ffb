//! Links, routes and addresses of other programs and of other pods: they stop nothing and stay.

use std::{fs::File, os::fd::AsRawFd as _};

use crate::agent_world::Host;
use crate::datapath_world::{
    Pod, REMOTE, SHARED_GATEWAY, add, eventually, on_a_node, run, settle, talks, try_run,
};
use terway_agent::datapath::{Census, Waiting};
use terway_cni_protocol::Reply;
use terway_process::error_chain;

/// A name that is no UTF-8, and an alias in GBK, as a shell writes them.
const NO_TEXT: &str = "ip link add \"$(printf 'a\\377')\" type bridge; \
    ip link add gbk type bridge; ip link set gbk alias \"$(printf '\\326\\367\\315\\370')\"";

#[test]
fn names_and_aliases_that_are_no_text_stop_no_verb_on_the_host_or_in_a_pod() {
    on_a_node(async |node| {
        run(NO_TEXT);
        let (datapath, trunk) = (node.datapath().await, node.trunk());
        run("ip link set eth1 alias \"$(printf '\\326\\367')\"");
        let pod = Pod::new(1, "a");
        pod.netns.run(NO_TEXT);
        add(&datapath, &pod).await;
        talks(&pod, &trunk);
        settle(&datapath, &[&pod]).await;
        let check = datapath.check(pod.member.clone(), pod.netns.descriptor()).await;
        assert_eq!(check.unwrap(), []);
        // The pod replaces its own interface.
        pod.netns
            .run("ip link del eth0; ip link add \"$(printf '\\377')\" type bridge");
        let netns = Some(pod.netns.descriptor());
        datapath.delete(pod.sandbox(), netns).await.unwrap();
        settle(&datapath, &[]).await;
        run("ip link show gbk; ip link show \"$(printf 'a\\377')\"");
    });
}

#[test]
fn a_link_that_has_the_pods_name_stays_and_the_pod_gets_another() {
    on_a_node(async |node| {
        let (datapath, trunk) = (node.datapath().await, node.trunk());
        let (pod, mut twin) = (Pod::new(1, "a"), Pod::new(2, "b"));
        let name = pod.host_ifname();
        run(&format!(
            "ip link add {name} type veth peer name other0; ip link set {name} up"
        ));
        let made = datapath.add(pod.member.clone(), pod.netns.descriptor()).await;
        let own = made.unwrap().host_ifname;
        assert!(own.starts_with("cali") && own.len() == 15 && own != name, "{own}");
        talks(&pod, &trunk);
        // Another pod whose name has the same digest.
        twin.member.pod_name.clone_from(&pod.member.pod_name);
        add(&datapath, &twin).await;
        for one in [&pod, &twin] {
            talks(one, &trunk);
        }
        settle(&datapath, &[&pod, &twin]).await;
        for one in [&pod, &twin] {
            datapath.delete(one.sandbox(), None).await.unwrap();
        }
        settle(&datapath, &[]).await;
        let veths = run("ip -br link show type veth");
        assert_eq!(veths.lines().count(), 2, "{veths}");
        assert!(veths.contains(&name), "{veths}");
    });
}

#[test]
fn a_pod_does_not_take_its_name_from_another_pod() {
    on_a_node(async |node| {
        let (datapath, trunk) = (node.datapath().await, node.trunk());
        let (victim, mut twin) = (Pod::new(1, "a"), Pod::new(2, "b"));
        twin.member.pod_name.clone_from(&victim.member.pod_name);
        add(&datapath, &victim).await;
        add(&datapath, &twin).await;
        for pod in [&victim, &twin] {
            talks(pod, &trunk);
        }
        assert_eq!(datapath.sandboxes().await.unwrap().len(), 2);
        settle(&datapath, &[&victim, &twin]).await;
    });
}

#[test]
fn an_add_that_is_refused_and_its_del_leave_the_interface_of_another_plugin() {
    on_a_node(async |node| {
        let _eni = node.shared_eni();
        let mut host = Host::start(&node).await;
        let pod = Pod::shared(4, "a");
        host.bind(&pod);
        let fd = pod.netns.descriptor();
        let netns = format!("/proc/{}/fd/{}", std::process::id(), fd.as_raw_fd());
        run(&format!(
            "ip link add ptp0 type veth peer name eth0 netns {netns}"
        ));
        let Reply::Refused(failure) = host.add(&pod).await else {
            panic!("the ADD was not refused");
        };
        assert!(
            failure.message.contains("has an interface eth0"),
            "{}",
            failure.message
        );
        assert_eq!(host.del(&pod).await, Reply::Done);
        run("ip link show ptp0");
        pod.netns.run("ip link show eth0");
        host.stop().await;
    });
}

#[test]
fn a_del_succeeds_when_the_path_of_the_namespace_is_a_plain_file() {
    on_a_node(async |node| {
        let (datapath, _trunk) = (node.datapath().await, node.trunk());
        let pod = Pod::new(1, "a");
        let plain = || File::open("/etc/passwd").unwrap().into();
        datapath.delete(pod.sandbox(), Some(plain())).await.unwrap();
        add(&datapath, &pod).await;
        datapath.delete(pod.sandbox(), Some(plain())).await.unwrap();
        assert!(try_run(&format!("ip link show {}", pod.host_ifname())).is_err());
        let refused = datapath.add(pod.member.clone(), plain()).await;
        let told = error_chain(&refused.unwrap_err());
        assert!(told.contains("namespace of the sandbox is none"), "{told}");
    });
}

/// A user's policy routing in the table that is ours by default, and a way of theirs in an ENI's table.
#[test]
fn a_strangers_route_is_never_replaced_and_is_told() {
    on_a_node(async |node| {
        let eni = node.shared_eni();
        let table = node.table("eth2");
        run("ip link set eth2 up; ip route add default via 10.9.9.1 dev eth2 onlink table 100");
        let (datapath, pod) = (node.symmetric().await, Pod::shared(4, "a"));
        add(&datapath, &pod).await;
        let report = datapath.reconcile(vec![pod.member.clone()]).await.unwrap();
        let told: Vec<String> = report.waiting.iter().map(|w| format!("{w:?}")).collect();
        assert!(report.failed.is_empty() && told.len() == 1, "{report:?}");
        assert!(
            told[0].contains("10.9.9.1") && told[0].contains("table: 100"),
            "{told:?}"
        );
        let theirs = run("ip route show table 100");
        assert!(
            theirs.contains("10.9.9.1") && theirs.lines().count() == 1,
            "{theirs}"
        );
        assert!(!run("ip rule show").contains("fwmark"));
        talks(&pod, &eni);

        run(&format!(
            "ip route del default table {table}; ip route add default via 10.9.9.2 dev eth2 onlink table {table}"
        ));
        let other = Pod::shared(5, "a");
        let refused = datapath.add(other.member.clone(), other.netns.descriptor()).await;
        let told = error_chain(&refused.unwrap_err());
        assert!(
            told.contains("another program has a route there") && told.contains("10.9.9.2"),
            "{told}"
        );
        assert!(run(&format!("ip route show table {table}")).contains("10.9.9.2"));

        run(&format!(
            "ip route del default via 10.9.9.2 dev eth2 table {table}; ip route flush table 100"
        ));
        settle(&datapath, &[&pod]).await;
        talks(&pod, &eni);
        assert!(run("ip rule show").contains("fwmark"));
    });
}

/// The main table would lead the pod's packets to the node's own interface.
#[test]
fn a_pod_without_its_way_reaches_nothing_instead_of_leaving_in_the_nodes_name() {
    on_a_node(async |node| {
        let (datapath, eni) = (node.datapath().await, node.shared_eni());
        let pod = Pod::shared(4, "a");
        add(&datapath, &pod).await;
        talks(&pod, &eni);
        let way = || {
            try_run(&format!(
                "ip route get {REMOTE} from {} iif {}",
                pod.ip(),
                pod.host_ifname()
            ))
        };
        let closed = || way().is_err_and(|told| told.contains("No route to host"));
        assert!(way().unwrap().contains("dev eth2"));
        run(&format!(
            "ip route del default via {SHARED_GATEWAY} dev eth2 table {}",
            node.table("eth2")
        ));
        assert!(closed(), "{:?}", way());
        settle(&datapath, &[&pod]).await;
        talks(&pod, &eni);
        drop(eni);
        eventually("the NIC is gone", || try_run("ip link show eth2").is_err());
        assert!(closed(), "{:?}", way());
        datapath.reconcile(vec![pod.member.clone()]).await.unwrap();
        assert!(closed(), "{:?}", way());
        let eni = node.shared_eni();
        settle(&datapath, &[&pod]).await;
        talks(&pod, &eni);
        assert!(!run("ip rule show").contains("lookup 1000"));
    });
}

#[test]
fn a_chain_that_drops_what_is_forwarded_is_told_until_it_lets_pods_through() {
    on_a_node(async |node| {
        let datapath = node.datapath().await;
        let told = async || datapath.reconcile(vec![]).await.unwrap().waiting;
        assert_eq!(told().await, []);
        run("nft add table ip filter; \
             nft add chain ip filter FORWARD '{ type filter hook forward priority 0; policy drop; }'");
        let chain = "ip filter FORWARD".to_owned();
        assert_eq!(told().await, [Waiting::Closed { chain }]);
        run("nft add rule ip filter FORWARD iifname 'cali*' accept");
        assert_eq!(told().await, []);
        run("nft flush chain ip filter FORWARD; nft chain ip filter FORWARD '{ policy accept; }'");
        assert_eq!(told().await, []);
    });
}

/// A DHCP client gives the primary address of an ENI, which is a pod's, to the host.
#[test]
fn the_address_of_a_pod_goes_from_its_eni_and_is_told_on_other_links() {
    on_a_node(async |node| {
        let (datapath, eni) = (node.datapath().await, node.shared_eni());
        run("ip link set eth2 up; ip addr add 10.0.17.4/22 dev eth2");
        let pod = Pod::shared(4, "a");
        add(&datapath, &pod).await;
        talks(&pod, &eni);
        let addresses = || run("ip -o -4 addr show dev eth2");
        assert!(!addresses().contains("10.0.17.4"), "{}", addresses());

        let idle = ["10.0.17.9".parse().unwrap()];
        run(
            "ip addr add 10.0.17.4/22 dev eth2; ip addr add 10.0.17.9/32 dev eth2; ip addr add 10.0.19.1/32 dev eth2; \
             ip link add docker0 type bridge; ip addr add 10.0.17.4/32 dev docker0",
        );
        let census = || Census {
            idle: idle.into(),
            ..vec![pod.member.clone()].into()
        };
        let report = datapath.reconcile(census()).await.unwrap();
        assert!(report.failed.is_empty(), "{report:?}");
        let told = |ip: &str, link: &str, removed| Waiting::OnHost {
            ip: ip.parse().unwrap(),
            link: link.into(),
            removed,
        };
        let elsewhere = told("10.0.17.4", "docker0", false);
        for expected in [
            told("10.0.17.4", "eth2", true),
            told("10.0.17.9", "eth2", true),
            elsewhere.clone(),
        ] {
            assert!(report.waiting.contains(&expected), "{report:?}");
        }
        assert!(!addresses().contains("10.0.17."), "{}", addresses());
        assert!(addresses().contains("10.0.19.1") && addresses().contains("10.0.0.11"));
        assert_eq!(datapath.reconcile(census()).await.unwrap().waiting, [elsewhere]);
        run("ip addr del 10.0.17.4/32 dev docker0");
        talks(&pod, &eni);
    });
}
