//! Secondary addresses. Packets to an address go to the ENI that has it, and only this ENI may send from it.

use std::net::Ipv4Addr;

use cloudsim::fabric::{FabricOptions, Reason};

use super::lab::{Namespace, SILENCE, direct, exchange, fabric, pair, transfer};

const SECONDARY: &str = "10.0.16.77";

fn addresses(texts: &[&str]) -> Vec<Ipv4Addr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// Gives a namespace a second address, which stands for a pod behind its NIC.
fn own(namespace: &Namespace, address: &str) {
    namespace.ip(&format!("addr add {address}/32 dev lo"));
}

#[test]
fn a_secondary_address_is_reached_and_may_speak_while_its_eni_has_it() {
    let fabric = fabric(FabricOptions::default());
    let (one, two) = pair(&fabric, "sg-web");
    own(&two, SECONDARY);
    let groups = || vec!["sg-web".to_owned()];
    let (client, pod) = (one.udp("10.0.0.11", 4000), two.udp(SECONDARY, 8080));

    // No ENI has the address yet, so a frame from it is spoofed.
    pod.set_read_timeout(Some(SILENCE)).unwrap();
    client.send_to(b"anybody there?", (SECONDARY, 8080)).unwrap();
    assert!(pod.recv_from(&mut [0; 64]).is_err());
    assert_eq!(fabric.counters().dropped[&Reason::NoOwner], 1);
    pod.send_to(b"it is me", "10.0.0.11:4000").unwrap();
    client.set_read_timeout(Some(SILENCE)).unwrap();
    assert!(client.recv_from(&mut [0; 64]).is_err());
    assert_eq!(fabric.counters().enis["eni-2"].dropped[&Reason::SpoofIp], 1);

    fabric
        .update("eni-2", addresses(&["10.0.16.12", SECONDARY]), groups())
        .unwrap();
    exchange(&client, &pod, 500);
    exchange(&pod, &client, 1472);
    transfer_to_open_port(&one, &two);
    // The ENI's groups apply to all of its addresses.
    let closed = two.udp(SECONDARY, 9090);
    closed.set_read_timeout(Some(SILENCE)).unwrap();
    client.send_to(b"let me in", (SECONDARY, 9090)).unwrap();
    assert!(closed.recv_from(&mut [0; 64]).is_err());

    fabric
        .update("eni-2", addresses(&["10.0.16.12"]), groups())
        .unwrap();
    client.send_to(b"still there?", (SECONDARY, 8080)).unwrap();
    pod.set_read_timeout(Some(SILENCE)).unwrap();
    assert!(pod.recv_from(&mut [0; 64]).is_err());
    assert_eq!(fabric.counters().dropped[&Reason::NoOwner], 2);
}

fn transfer_to_open_port(one: &Namespace, two: &Namespace) {
    use std::io::{Read, Write};
    let listener = two.listen(SECONDARY, 8080);
    let mut sender = one.connect(SECONDARY, 8080).unwrap();
    let (mut receiver, peer) = listener.accept().unwrap();
    assert_eq!(peer.ip().to_string(), "10.0.0.11");
    sender.write_all(b"by TCP").unwrap();
    let mut heard = [0; 6];
    receiver.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"by TCP");
}

#[test]
fn an_address_that_moves_to_another_eni_takes_its_traffic_along() {
    let fabric = fabric(FabricOptions::default());
    let (one, two) = pair(&fabric, "sg-open");
    let three = Namespace::new();
    fabric
        .plug(direct(3, "10.0.16.13", "vsw-b", "sg-open", &three))
        .unwrap();
    three.configure("eth0", "10.0.16.13/22", "10.0.19.253");
    own(&two, SECONDARY);
    own(&three, SECONDARY);
    let groups = || vec!["sg-open".to_owned()];
    let (before, after) = (two.udp(SECONDARY, 8080), three.udp(SECONDARY, 8080));
    let client = one.udp("10.0.0.11", 4000);

    fabric
        .update("eni-2", addresses(&["10.0.16.12", SECONDARY]), groups())
        .unwrap();
    exchange(&client, &before, 100);
    // An address has one owner at a time.
    let doubled = fabric.update("eni-3", addresses(&["10.0.16.13", SECONDARY]), groups());
    assert!(doubled.is_err());
    exchange(&client, &before, 100);

    fabric
        .update("eni-2", addresses(&["10.0.16.12"]), groups())
        .unwrap();
    fabric
        .update("eni-3", addresses(&["10.0.16.13", SECONDARY]), groups())
        .unwrap();
    exchange(&client, &after, 100);
    exchange(&after, &client, 100);
    transfer(&one, &three, SECONDARY, 4 << 20);
    assert!(two.ping("10.0.16.13"), "the others go on");
}
