//! NICs that come and go.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use cloudsim::fabric::{FabricError, FabricOptions, Port, PortKind, Reason};

use super::lab::{Namespace, direct, eventually, fabric, gone, pair, transfer};

#[test]
fn a_plugged_nic_is_down_and_bare_with_its_mac_and_the_next_free_name() {
    let fabric = fabric(FabricOptions::default());
    let namespace = Namespace::new();
    let mut first = direct(1, "10.0.0.11", "vsw-a", "sg-open", &namespace);
    first.kind = PortKind::Direct {
        netns: namespace.path(),
        ifname: Some("eth0".to_owned()),
    };
    fabric.plug(first).unwrap();
    fabric
        .plug(direct(2, "10.0.0.12", "vsw-a", "sg-open", &namespace))
        .unwrap();
    fabric
        .plug(direct(3, "10.0.0.13", "vsw-a", "sg-open", &namespace))
        .unwrap();
    let link = namespace.ip("-d link show dev eth1");
    assert!(
        link.contains("02:00:00:00:00:02") && link.contains("state DOWN") && link.contains("tun"),
        "{link}"
    );
    assert!(link.contains("mtu 1500"), "{link}");
    assert_eq!(namespace.ip("-o -4 addr show dev eth1"), "");
    assert_eq!(fabric.counters().enis["eni-3"].ifname.as_deref(), Some("eth2"));

    fabric.unplug("eni-2");
    gone(&namespace, "eth1");
    assert!(namespace.ip("-br link").contains("eth2"));
    // The free name is used again.
    fabric
        .plug(direct(4, "10.0.0.12", "vsw-a", "sg-open", &namespace))
        .unwrap();
    assert_eq!(fabric.counters().enis["eni-4"].ifname.as_deref(), Some("eth1"));
    drop(fabric);
    gone(&namespace, "eth");
}

#[test]
fn a_refused_nic_leaves_nothing_behind() {
    let fabric = fabric(FabricOptions::default());
    let namespace = Namespace::new();
    let port = |number, address| direct(number, address, "vsw-a", "sg-open", &namespace);
    let mut named = port(1, "10.0.0.11");
    named.kind = PortKind::Direct {
        netns: namespace.path(),
        ifname: Some("eth0".to_owned()),
    };
    fabric.plug(named.clone()).unwrap();

    let mut same_name = named.clone();
    (same_name.eni_id, same_name.addresses) = ("eni-2".to_owned(), vec!["10.0.0.12".parse().unwrap()]);
    assert!(matches!(fabric.plug(same_name), Err(FabricError::Tap { .. })));
    let mut nowhere = port(2, "10.0.0.12");
    nowhere.kind = PortKind::Direct {
        netns: "/proc/self/no-such-namespace".into(),
        ifname: None,
    };
    assert!(matches!(fabric.plug(nowhere), Err(FabricError::Netns { .. })));
    assert!(matches!(
        fabric.plug(port(3, "10.0.0.11")),
        Err(FabricError::AddressTaken { .. })
    ));
    // The address of the failed plug is free, and no link is left.
    fabric.plug(port(2, "10.0.0.12")).unwrap();
    let links = || namespace.ip("-br link").matches("02:00:00:00:00").count();
    eventually("two links and no more", || links() == 2);
}

#[test]
fn a_dead_instance_goes_silent_and_its_eni_can_start_again_elsewhere() {
    let fabric = fabric(FabricOptions::default());
    let (one, two) = pair(&fabric, "sg-open");
    assert!(one.ping("10.0.16.12"));
    drop(two);
    eventually("the NIC is gone with its instance", || {
        !fabric.counters().enis["eni-2"].connected
    });
    assert!(!one.ping("10.0.16.12"));
    assert!(fabric.counters().enis["eni-2"].dropped[&Reason::LinkDown] >= 1);

    fabric.unplug("eni-2");
    let three = Namespace::new();
    fabric
        .plug(direct(2, "10.0.16.12", "vsw-b", "sg-open", &three))
        .unwrap();
    three.configure("eth0", "10.0.16.12/22", "10.0.19.253");
    assert!(one.ping("10.0.16.12"));
}

/// An exclusive ENI is lent to a pod. When the pod's namespace goes, a real NIC is found back in
/// the instance, where it came from.
#[test]
fn a_nic_whose_pod_namespace_died_returns_to_the_instance() {
    let fabric = fabric(FabricOptions::default());
    let (node, pod) = (Namespace::new(), Namespace::new());
    fabric
        .plug(direct(1, "10.0.0.11", "vsw-a", "sg-open", &node))
        .unwrap();
    node.ip(&format!("link set eth0 netns {}", pod.path().display()));
    assert!(!node.ip("-br link").contains("02:00:00:00:00:01"));
    pod.configure("eth0", "10.0.0.11/24", "10.0.0.253");
    assert!(pod.ping("10.0.0.253"));
    drop(pod);
    eventually("the NIC is back", || {
        node.ip("-br link").contains("02:00:00:00:00:01")
    });
    eventually("the fabric knows", || fabric.counters().enis["eni-1"].connected);
    node.configure("eth0", "10.0.0.11/24", "10.0.0.253");
    assert!(node.ping("10.0.0.253"));
}

/// The OpenAPI endpoint is a host of the VPC that lives where the simulator itself does.
#[test]
fn the_fabrics_own_namespace_can_have_a_nic_as_well() {
    let fabric = fabric(FabricOptions::default());
    let (own, other) = (Namespace::new(), Namespace::new());
    let port = direct(1, "10.0.0.5", "vsw-a", "sg-open", &own);
    let from_inside = fabric.clone();
    own.run(move || from_inside.plug(port)).unwrap();
    fabric
        .plug(direct(2, "10.0.16.12", "vsw-b", "sg-open", &other))
        .unwrap();
    own.configure("eth0", "10.0.0.5/24", "10.0.0.253");
    other.configure("eth0", "10.0.16.12/22", "10.0.19.253");
    assert!(other.ping("10.0.0.5"));
}

#[test]
fn a_nic_that_was_down_works_again_when_it_is_up() {
    let fabric = fabric(FabricOptions::default());
    let (one, two) = pair(&fabric, "sg-open");
    two.ip("link set eth0 down");
    assert!(!one.ping("10.0.16.12"));
    assert!(fabric.counters().enis["eni-2"].dropped[&Reason::LinkDown] >= 1);
    two.ip("link set eth0 up");
    two.ip("route add default via 10.0.19.253 dev eth0");
    assert!(one.ping("10.0.16.12"));
}

#[test]
fn traffic_goes_on_while_other_nics_come_and_go() {
    let fabric = fabric(FabricOptions::default());
    let (one, two) = pair(&fabric, "sg-open");
    let crowd = Namespace::new();
    let churn = fabric.clone();
    let namespace = crowd.path();
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let coming_and_going = std::thread::spawn(move || {
        let mut rounds = 0;
        while !stopped.load(Ordering::Relaxed) || rounds == 0 {
            for number in 10..14 {
                churn.plug(bystander(number, namespace.clone())).unwrap();
            }
            (10..14).for_each(|number| churn.unplug(&format!("eni-{number}")));
            rounds += 1;
        }
    });
    for _ in 0..4 {
        transfer(&one, &two, "10.0.16.12", 4 << 20);
    }
    stop.store(true, Ordering::Relaxed);
    coming_and_going.join().unwrap();
    assert_eq!(fabric.counters().enis.len(), 2);
    gone(&crowd, "eth");
}

fn bystander(number: u8, netns: PathBuf) -> Port {
    Port {
        eni_id: format!("eni-{number}"),
        mac: [2, 0, 0, 0, 0, number],
        addresses: vec![[10, 0, 0, 100 + number].into()],
        vswitch_id: "vsw-a".to_owned(),
        security_groups: Vec::new(),
        kind: PortKind::Direct { netns, ifname: None },
    }
}
