//! Real packets between real network namespaces, across the fabric.

use super::lab::{Namespace, SILENCE, direct, exchange, fabric, pair, transfer};
use cloudsim::{
    fabric::{FabricOptions, Reason},
    world::FabricRules,
};

#[test]
fn instances_of_two_subnets_ping_and_talk_udp_and_tcp() {
    let fabric = fabric(FabricOptions::default());
    let (one, two) = pair(&fabric, "sg-open");

    assert!(one.ping("10.0.16.12"), "the other instance");
    assert!(two.ping("10.0.0.11"), "and back");
    assert!(one.ping("10.0.0.253"), "the gateway");
    assert!(!one.ping("10.0.0.77"), "an address that nobody has");

    let (client, server) = (one.udp("10.0.0.11", 4000), two.udp("10.0.16.12", 5353));
    exchange(&client, &server, 500);
    exchange(&server, &client, 1472);

    let length = 32 << 20;
    let took = transfer(&one, &two, "10.0.16.12", length);
    println!("TCP: {:.0} Mbit/s", length as f64 * 8e-6 / took.as_secs_f64());

    let counters = fabric.counters();
    let dropped: u64 = counters.dropped.values().sum();
    assert_eq!(
        counters.received,
        counters.forwarded + counters.answered + dropped
    );
    assert!(counters.dropped[&Reason::NoOwner] >= 1);
    assert!(counters.enis["eni-2"].delivered_bytes > length as u64);
}

#[test]
fn neighbours_of_one_subnet_see_the_gateway_only() {
    let fabric = fabric(FabricOptions::default());
    let (one, two) = (Namespace::new(), Namespace::new());
    fabric
        .plug(direct(1, "10.0.0.11", "vsw-a", "sg-open", &one))
        .unwrap();
    fabric
        .plug(direct(2, "10.0.0.12", "vsw-a", "sg-open", &two))
        .unwrap();
    one.configure("eth0", "10.0.0.11/24", "10.0.0.253");
    two.configure("eth0", "10.0.0.12/24", "10.0.0.253");
    assert!(one.ping("10.0.0.12"));
    let neighbours = one.ip("neigh show dev eth0");
    assert!(
        neighbours.contains("10.0.0.12 lladdr ee:ff:ff:ff:ff:ff"),
        "{neighbours}"
    );
}

#[test]
fn a_datagram_in_fragments_arrives_whole() {
    let fabric = fabric(FabricOptions::default());
    let (one, two) = pair(&fabric, "sg-web");
    let (client, server) = (one.udp("10.0.0.11", 4000), two.udp("10.0.16.12", 8080));
    exchange(&client, &server, 9000);
    exchange(&server, &client, 40_000);
}

/// A pod's packets come over a veth without checksums and in segments of up to 64 KiB, because both are left to the
/// hardware. The kernel has to finish both before the fabric sees the packets.
#[test]
fn packets_forwarded_from_a_veth_arrive_with_good_checksums() {
    let fabric = fabric(FabricOptions::default());
    let (node, peer) = pair(&fabric, "sg-open");
    let pod = Namespace::new();
    let addresses = ["10.0.0.11", "10.0.0.12"].map(|address| address.parse().unwrap());
    fabric
        .update("eni-1", addresses.to_vec(), vec!["sg-open".to_owned()])
        .unwrap();

    node.set_sysctl("net.ipv4.ip_forward", "1");
    node.ip(&format!(
        "link add cali0 type veth peer name eth0 netns {}",
        pod.path().display()
    ));
    node.ip("link set cali0 up");
    node.ip("route add 10.0.0.12/32 dev cali0");
    node.set_sysctl("net.ipv4.conf.cali0.proxy_arp", "1");
    pod.ip("link set eth0 up");
    pod.ip("addr add 10.0.0.12/32 dev eth0");
    pod.ip("route add default dev eth0");

    assert!(pod.ping("10.0.16.12"));
    let (client, server) = (pod.udp("10.0.0.12", 4000), peer.udp("10.0.16.12", 5353));
    exchange(&client, &server, 1000);
    exchange(&server, &client, 1000);
    exchange(&client, &server, 4000);
    transfer(&pod, &peer, "10.0.16.12", 8 << 20);
    transfer(&peer, &pod, "10.0.0.12", 8 << 20);
}

#[test]
fn a_foreign_source_address_is_dropped_and_counted() {
    let fabric = fabric(FabricOptions::default());
    let (one, two) = pair(&fabric, "sg-open");
    one.ip("addr add 10.0.0.99/32 dev eth0");
    let (liar, server) = (one.udp("10.0.0.99", 4000), two.udp("10.0.16.12", 5353));
    server.set_read_timeout(Some(SILENCE)).unwrap();
    liar.send_to(b"believe me", "10.0.16.12:5353").unwrap();
    assert!(server.recv_from(&mut [0; 64]).is_err());
    let counters = fabric.counters();
    assert_eq!(counters.enis["eni-1"].dropped[&Reason::SpoofIp], 1);

    one.ip("link set eth0 address 02:00:00:00:00:77");
    assert!(!one.ping("10.0.16.12"));
    assert!(fabric.counters().enis["eni-1"].dropped[&Reason::SpoofMac] >= 1);
}

#[test]
fn a_world_may_allow_foreign_source_addresses() {
    let fabric = fabric(FabricOptions::new(FabricRules {
        spoof_drop: false,
        ..Default::default()
    }));
    let (one, two) = pair(&fabric, "sg-open");
    one.ip("addr add 10.0.0.99/32 dev eth0");
    exchange(&one.udp("10.0.0.99", 4000), &two.udp("10.0.16.12", 5353), 100);
}
