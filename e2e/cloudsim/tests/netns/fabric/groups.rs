//! Security groups as an application meets them.

use std::{
    io::{ErrorKind, Read, Write},
    time::Duration,
};

use super::lab::{PATIENCE, SILENCE, exchange, fabric, pair};
use cloudsim::fabric::{FabricOptions, Reason};

#[test]
fn only_the_open_port_answers_and_the_drop_is_counted_at_the_receiver() {
    let fabric = fabric(FabricOptions::default());
    let (one, two) = pair(&fabric, "sg-web");
    let (allowed, refused) = (two.udp("10.0.16.12", 8080), two.udp("10.0.16.12", 9090));
    let client = one.udp("10.0.0.11", 4000);
    exchange(&client, &allowed, 100);
    // The answer belongs to the session and needs no rule.
    exchange(&allowed, &client, 100);

    refused.set_read_timeout(Some(SILENCE)).unwrap();
    client.send_to(b"let me in", "10.0.16.12:9090").unwrap();
    assert!(refused.recv_from(&mut [0; 64]).is_err());
    assert!(!one.ping("10.0.16.12"), "no rule lets ICMP in");
    let counters = fabric.counters();
    assert_eq!(counters.enis["eni-2"].dropped[&Reason::SgIngress], 2);
    assert_eq!(counters.dropped[&Reason::SgIngress], 2);
}

/// The refusal of a closed port is an ICMP error, which no rule of the client lets in: it belongs
/// to the client's own session.
#[test]
fn a_closed_udp_port_says_so_through_the_session() {
    let fabric = fabric(FabricOptions::default());
    let (one, _two) = pair(&fabric, "sg-web");
    fabric
        .update(
            "eni-1",
            vec!["10.0.0.11".parse().unwrap()],
            vec!["sg-web".to_owned()],
        )
        .unwrap();
    let client = one.udp("10.0.0.11", 4000);
    client.connect("10.0.16.12:8080").unwrap();
    client.send(b"anybody there?").unwrap();
    let error = client.recv(&mut [0; 64]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn a_connection_ends_with_the_group_that_allowed_it_and_resumes_with_it() {
    let fabric = fabric(FabricOptions::default());
    let (one, two) = pair(&fabric, "sg-open");
    let address = vec!["10.0.16.12".parse().unwrap()];
    let listener = two.listen("0.0.0.0", 9090);
    let mut client = one.connect("10.0.16.12", 9090).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    let mut say = |text: &[u8; 5], patience: Duration| {
        server.set_read_timeout(Some(patience)).unwrap();
        client.write_all(text).unwrap();
        let mut heard = [0; 5];
        server.read_exact(&mut heard).map(|()| heard)
    };
    assert_eq!(&say(b"first", PATIENCE).unwrap(), b"first");
    // Only port 8080 is open now, and this connection uses another port.
    fabric
        .update("eni-2", address.clone(), vec!["sg-web".to_owned()])
        .unwrap();
    assert!(say(b"again", SILENCE).is_err());
    assert!(fabric.counters().enis["eni-2"].dropped[&Reason::SgIngress] >= 1);
    // TCP retransmits by itself.
    fabric
        .update("eni-2", address, vec!["sg-open".to_owned()])
        .unwrap();
    let mut rest = [0; 5];
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    server.read_exact(&mut rest).unwrap();
    assert_eq!(&rest, b"again");
}
