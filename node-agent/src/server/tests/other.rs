//! CHECK, STATUS and GC, and bytes that are no request.

use std::io::Write;
use std::os::unix::net::UnixStream;

use terway_cni_protocol::{CheckRequest, Decoder, DelRequest, GcRequest, Reply, Request};

use super::{Server, add, attachment, is_network, pod_ref};
use crate::cluster::{NoTrunk, NodeView};
use crate::testing::{Stage, bound, sandbox};

#[tokio::test]
async fn check_reports_addresses_and_announces_repairs() {
    let mut server = Server::with_bound_pod();
    let check = Request::Check(CheckRequest {
        attachment: attachment("c1"),
        pod: pod_ref("db-0", Some("u-1")),
    });
    assert_eq!(server.refused(check.clone()).await.code, 100);
    *server.stage.kernel.sandboxes.lock() = vec![sandbox("c1", "u-1")];
    server.stage.kernel.repairs.lock().push("add rule 512".into());
    let Reply::Checked { addresses } = server.ask(check).await.unwrap() else {
        panic!()
    };
    assert_eq!(addresses[0].to_string(), "10.0.16.7/32");
    let announcement = server.stage.announced.recv().await.unwrap();
    assert_eq!(
        (announcement.news.reason, announcement.news.note.as_str()),
        ("ConfigCheck", "add rule 512")
    );
}

#[tokio::test]
async fn status_is_honest() {
    let server = Server::on(Stage::unsynced());
    let failure = server.refused(Request::Status).await;
    assert!(
        failure.code == 50 && failure.message.contains("podenis"),
        "{failure:?}"
    );

    let server = Server::on(Stage::new());
    assert_eq!(server.ask(Request::Status).await.unwrap(), Reply::Done);
    let mut node = NodeView {
        trunk: Err(NoTrunk::UnderWay(vec!["CreateTrunk is under way".into()])),
        ..Default::default()
    };
    server.stage.node(node.clone());
    assert_eq!(
        server.ask(Request::Status).await.unwrap(),
        Reply::Done,
        "shared ENIs come when asked for"
    );
    node.no_shared = Some("no room".into());
    server.stage.node(node);
    let failure = server.refused(Request::Status).await;
    assert!(
        failure.code == 50 && failure.message.contains("CreateTrunk"),
        "{failure:?}"
    );
    *server.stage.agent.limited.lock() = Some("the dump was cut short".into());
    assert_eq!(server.refused(Request::Status).await.code, 51);
}

#[tokio::test]
async fn gc_removes_what_the_runtime_does_not_know() {
    let server = Server::with_pod();
    *server.stage.kernel.sandboxes.lock() = vec![sandbox("kept", "u-8"), sandbox("lost", "u-9")];
    let adding = server.ask(add("young"));
    server.in_flight("young").await;
    let gc = Request::Gc(GcRequest {
        valid: vec![attachment("kept")],
    });
    assert_eq!(server.ask(gc).await.unwrap(), Reply::Done);
    assert_eq!(server.stage.kernel.containers(), ["kept"]);
    server.stage.pod_eni(bound("db-0", "u-1"));
    assert!(is_network(&adding.await.unwrap()));
}

#[tokio::test]
async fn what_is_no_request_gets_a_reason_and_harms_nobody() {
    let server = Server::on(Stage::new());
    let newer = [b"TW".as_slice(), &[0, 9, 0, 0, 0, 0]].concat();
    for bytes in [b"GET / HTTP/1.1\r\n\r\n".to_vec(), newer] {
        let socket = server.socket.clone();
        let reply = tokio::task::spawn_blocking(move || {
            let mut stream = UnixStream::connect(socket).unwrap();
            stream.write_all(&bytes).unwrap();
            let mut decoder = Decoder::new();
            loop {
                let mut buffer = [0; 1024];
                let count = std::io::Read::read(&mut stream, &mut buffer).unwrap();
                assert_ne!(count, 0);
                decoder.push(&buffer[..count]).unwrap();
                if let Some(reply) = decoder.message::<Reply>().unwrap() {
                    return reply;
                }
            }
        });
        assert!(matches!(reply.await.unwrap(), Reply::Refused(failure) if failure.code == 6));
    }
    let bad = Request::Del(DelRequest {
        attachment: attachment("a/b"),
        pod: None,
    });
    assert_eq!(server.refused(bad).await.code, 4);
    assert_eq!(server.ask(Request::Status).await.unwrap(), Reply::Done);
}
