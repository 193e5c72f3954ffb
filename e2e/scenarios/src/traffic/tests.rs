//! Streams and pings on loopback, and a loss that is told.

use std::io::Read;
use std::net::TcpListener;
use std::time::Instant;

use super::ping::{Book, reply, request};
use super::*;

fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "not within 30 s: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn numbers_come_back_in_order_over_one_connection() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    stream::serve(port).unwrap();
    let stream = Stream::begin(port);
    wait_for("ten numbers", || stream.report().returned >= 10);
    let report = stream.report();
    assert_eq!((report.connects, report.wrong), (1, 0));
}

#[test]
fn a_connection_that_breaks_is_a_loss() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = Stream::begin(listener.local_addr().unwrap());
    for _ in 0..2 {
        // Takes one number and hangs up.
        let (mut connection, _) = listener.accept().unwrap();
        connection.read_exact(&mut [0; 8]).unwrap();
    }
    wait_for("the second connection", || stream.report().connects == 2);
    let report = Report {
        streams: vec![stream.report()],
        pings: Vec::new(),
    };
    assert_eq!(report.losses().len(), 1);
}

#[test]
fn a_number_that_is_not_the_next_one_is_a_loss() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = Stream::begin(nobody.local_addr().unwrap());
    stream.note(true);
    let mut report = Report {
        streams: vec![stream.report()],
        pings: Vec::new(),
    };
    assert_eq!(report.losses(), Vec::<String>::new());
    stream.note(false);
    report.streams = vec![stream.report()];
    assert!(report.losses()[0].contains("1 wrong"));
}

#[test]
fn pings_on_loopback_are_answered() {
    let ping = Ping::begin(Ipv4Addr::LOCALHOST, 0).unwrap();
    wait_for("ten answers", || ping.report().answered >= 10);
    assert_eq!(ping.report().lost, 0);
}

#[test]
fn a_ping_without_an_answer_is_lost_after_its_time_and_not_before() {
    let start = Instant::now();
    let mut book = Book::default();
    let (first, second) = (book.send(start), book.send(start));
    assert_eq!((first, second), (1, 2));
    book.answer(2, start + Duration::from_millis(30));
    book.settle(start + Duration::from_secs(9));
    assert_eq!(book.report(Ipv4Addr::LOCALHOST).lost, 0);
    book.settle(start + Duration::from_secs(11));
    // This answer is too late: the ping counts as lost.
    book.answer(1, start + Duration::from_secs(12));
    let report = book.report(Ipv4Addr::LOCALHOST);
    assert_eq!(
        (report.sent, report.answered, report.lost, report.slowest_ms),
        (2, 1, 1, 30)
    );
    let report = Report {
        streams: Vec::new(),
        pings: vec![report],
    };
    assert_eq!(report.losses(), ["1 of 2 pings to 127.0.0.1 were lost"]);
}

#[test]
fn numbers_beyond_16_bits_find_their_answers() {
    let start = Instant::now();
    let mut book = Book::default();
    for _ in 0..70_000 {
        let number = book.send(start);
        book.answer(u16::try_from(number & 0xffff).unwrap(), start);
    }
    assert_eq!(book.report(Ipv4Addr::LOCALHOST).answered, 70_000);
}

#[test]
fn a_reply_is_told_from_a_request() {
    let mut packet = vec![0x45; 20];
    packet.extend(request(7, 0x1_0002));
    assert_eq!(reply(&packet), None, "a request");
    packet[20] = 0;
    assert_eq!(reply(&packet), Some((7, 2)));
    assert_eq!(reply(&packet[..24]), None, "cut short");
}

#[test]
fn what_stands_still_is_told() {
    let report = |returned, answered| Report {
        streams: vec![StreamReport {
            peer: "10.0.0.1:8080".parse().unwrap(),
            connects: 1,
            sent: 9,
            returned,
            wrong: 0,
            longest_gap_ms: 0,
        }],
        pings: vec![PingReport {
            peer: Ipv4Addr::LOCALHOST,
            sent: 9,
            answered,
            lost: 0,
            slowest_ms: 0,
        }],
    };
    assert_eq!(report(2, 2).stalled_since(&report(1, 1)), Vec::<String>::new());
    assert_eq!(report(1, 2).stalled_since(&report(1, 1)).len(), 1);
    assert_eq!(report(2, 1).stalled_since(&report(1, 1)).len(), 1);
}
