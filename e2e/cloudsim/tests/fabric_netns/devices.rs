//! NICs that come and go.

use crate::lab::{Namespace, direct, eventually, fabric, pair};
use cloudsim::fabric::{FabricError, FabricOptions, PortKind, Reason};

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
    let links = namespace.ip("-br link");
    assert!(!links.contains("eth1") && links.contains("eth2"), "{links}");
    // The place that became free is taken again.
    fabric
        .plug(direct(4, "10.0.0.12", "vsw-a", "sg-open", &namespace))
        .unwrap();
    assert_eq!(fabric.counters().enis["eni-4"].ifname.as_deref(), Some("eth1"));
    drop(fabric);
    assert!(
        !namespace.ip("-br link").contains("eth"),
        "NICs outlived their fabric"
    );
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
    // The address of the failures is free, and no half-made link lies about.
    fabric.plug(port(2, "10.0.0.12")).unwrap();
    let links = namespace.ip("-br link");
    assert_eq!(links.matches("02:00:00:00:00").count(), 2, "{links}");
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
