//! Links of other programs and of other pods: whatever they are called, they stop nothing and stay.

use std::{fs::File, os::fd::AsRawFd as _};

use crate::agent_world::Host;
use crate::datapath_world::{Pod, add, on_a_node, run, settle, talks, try_run};
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
        pod.netns.run("ip link del eth0; ip link add \"$(printf '\\377')\" type bridge");
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
        run(&format!("ip link add ptp0 type veth peer name eth0 netns {netns}"));
        let Reply::Refused(failure) = host.add(&pod).await else {
            panic!("the ADD was not refused");
        };
        assert!(failure.message.contains("has an interface eth0"), "{}", failure.message);
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
