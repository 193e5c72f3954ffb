//! DEL: what it removes, and what it leaves.

use terway_cni_protocol::Reply;

use super::{Server, add, del};
use crate::datapath::Sandbox;
use crate::testing::{Stage, bound, sandbox};

#[tokio::test]
async fn a_del_removes_what_its_own_add_made() {
    let server = Server::on(Stage::new());
    let second = Sandbox {
        ifname: "net1".into(),
        attachment: "net1".into(),
        ..sandbox("c1", "u-1")
    };
    let of_the_first = Sandbox {
        ifname: "eth1".into(),
        ..sandbox("c1", "u-1")
    };
    *server.stage.kernel.sandboxes.lock() = vec![sandbox("c1", "u-1"), second.clone(), of_the_first];
    assert_eq!(server.ask(del("c1")).await.unwrap(), Reply::Done);
    assert_eq!(*server.stage.kernel.sandboxes.lock(), [second]);
    // A second network of the same pod would take the addresses of the first.
    server.stage.pod("db-0", "u-1");
    server.stage.pod_eni(bound("db-0", "u-1"));
    let failure = server.refused(add("c1")).await;
    assert!(
        failure.code == 4 && failure.message.contains("net1"),
        "{failure:?}"
    );
}

#[tokio::test]
async fn a_late_del_of_an_old_sandbox_leaves_the_new_one() {
    let server = Server::on(Stage::new());
    *server.stage.kernel.sandboxes.lock() = vec![sandbox("new", "u-1")];
    assert_eq!(server.ask(del("old")).await.unwrap(), Reply::Done);
    assert_eq!(server.stage.kernel.containers(), ["new"]);
    for _ in 0..2 {
        assert_eq!(server.ask(del("new")).await.unwrap(), Reply::Done);
    }
    assert!(server.stage.kernel.containers().is_empty());
}

#[tokio::test]
async fn a_del_needs_neither_lists_nor_api_server_but_a_readable_kernel() {
    let server = Server::on(Stage::unsynced());
    *server.stage.kernel.sandboxes.lock() = vec![sandbox("c1", "u-1")];
    *server.stage.kernel.blind.lock() = true;
    assert_eq!(
        server.refused(del("c1")).await.code,
        11,
        "a failed read is not an empty one"
    );
    *server.stage.kernel.blind.lock() = false;
    assert_eq!(server.ask(del("c1")).await.unwrap(), Reply::Done);
    assert!(server.stage.kernel.containers().is_empty());
}
