//! What reaches the API server, how much of it at once, and what comes into the caches.

use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use terway_crds::pod_networking::{PodNetworkingState, PodNetworkingStatus};
use terway_crds::{NetworkInterface, PodEni, PodNetworking};

use super::turn::AT_ONCE;
use super::*;
use crate::error::Retry;
use crate::objects::NodeRecord;
use crate::testing::ApiServer;

fn named<K: Kind + Default>(name: &str) -> K {
    let mut object = K::default();
    *object.meta_mut() = ObjectMeta {
        name: Some(name.to_owned()),
        ..ObjectMeta::default()
    };
    object
}

fn writer(server: &ApiServer) -> Writer {
    Writer::new(server.client(), Caches::default())
}

/// Sends forty writes to a server that does not answer, and counts those that reach it.
async fn at_once<F: Future<Output = ()>>(write: impl Fn(Writer, usize) -> F) -> usize {
    let server = ApiServer::silent();
    let writer = writer(&server);
    let writes = join_all((0..40).map(|number| write(writer.clone(), number)));
    let answers = async {
        while server.most_writing() < AT_ONCE {
            tokio::task::yield_now().await;
        }
        // Those that would come too early have had their chance to.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        server.answer_everything();
    };
    let all = async { tokio::join!(writes, answers) };
    tokio::time::timeout(Duration::from_secs(10), all).await.unwrap();
    server.most_writing()
}

#[tokio::test]
async fn notes_of_addresses_in_pods_take_their_turn() {
    let most = at_once(|writer, number| async move {
        let key = Key::namespaced("ns", &format!("pod-{number}"));
        // The server knows no such pod, which is no failure: it may be gone.
        writer.annotate_pod(&key, "uid", "10.0.0.1").await.unwrap();
    });
    assert_eq!(most.await, AT_ONCE);
}

#[tokio::test]
async fn statuses_of_podnetworkings_take_their_turn() {
    let most = at_once(|writer, number| async move {
        let networking: PodNetworking = named(&format!("pn-{number}"));
        let status = PodNetworkingStatus::default();
        let refused = writer.write_networking_status(&networking, &status).await;
        assert_eq!(refused.unwrap_err().retry(), Retry::Conflict);
    });
    assert_eq!(most.await, AT_ONCE);
}

#[tokio::test]
async fn creates_and_deletes_take_their_turn() {
    let most = at_once(|writer, number| async move {
        let record: NodeRecord = named(&format!("node-{number}"));
        writer.create_node_record(&record).await.unwrap();
    });
    assert_eq!(most.await, AT_ONCE);
    let most = at_once(|writer, number| async move {
        let interface: NetworkInterface = named(&format!("eni-{number}"));
        writer.delete_interface(&interface).await.unwrap();
    });
    assert_eq!(most.await, AT_ONCE);
}

#[tokio::test]
async fn the_status_of_a_podnetworking_is_written_as_it_was_read_and_comes_into_the_cache() {
    let server = ApiServer::default();
    let writer = writer(&server);
    let mut read: PodNetworking = server.put(&named("db"));
    read.status = Some(PodNetworkingStatus {
        message: "no such vSwitch".to_owned(),
        ..PodNetworkingStatus::default()
    });
    let read: PodNetworking = server.put(&read);
    let ready = PodNetworkingStatus {
        status: PodNetworkingState::Ready,
        ..PodNetworkingStatus::default()
    };
    writer.write_networking_status(&read, &ready).await.unwrap();
    assert_eq!(server.writes(), ["PATCH podnetworkings/db/status"]);
    let known = writer.caches.networkings.get(&Key::cluster("db")).unwrap();
    assert_eq!(known.status, Some(ready.clone()));
    // A second write of what was read before finds another version, and is planned again.
    let refused = writer.write_networking_status(&read, &ready).await;
    assert_eq!(refused.unwrap_err().retry(), Retry::Conflict);
}

#[tokio::test]
async fn an_object_that_exists_is_not_taken_for_one_of_ours() {
    let server = ApiServer::default();
    let writer = writer(&server);
    let mut record: PodEni = named("db-0");
    record.metadata.namespace = Some("shop".to_owned());
    assert!(matches!(
        writer.create_pod_eni(&record).await.unwrap(),
        Created::New(_)
    ));
    assert!(matches!(
        writer.create_pod_eni(&record).await.unwrap(),
        Created::Exists
    ));
    let key = Key::namespaced("shop", "db-0");
    assert_eq!(
        writer.live_pod_eni_uid(&key).await.unwrap(),
        writer.caches.pod_enis.get(&key).unwrap().metadata.uid
    );
}

#[tokio::test]
async fn an_object_whose_last_finalizer_went_is_gone_from_the_cache_at_once() {
    let server = ApiServer::default();
    let writer = writer(&server);
    let mut interface: NetworkInterface = named("eni-1");
    interface.metadata.finalizers = Some(vec!["ours".to_owned()]);
    let key = Key::cluster("eni-1");
    writer.caches.interfaces.apply(server.put(&interface), false);
    let read = || writer.caches.interfaces.get(&key).unwrap();
    writer.delete_interface(&read()).await.unwrap();
    assert!(read().metadata.deletion_timestamp.is_some());
    writer.release_interface(&read(), &["ours"]).await.unwrap();
    assert!(writer.caches.interfaces.get(&key).is_none());
    assert_eq!(server.object("networkinterfaces/eni-1"), None);
}

#[tokio::test]
async fn a_read_that_fails_is_not_an_object_that_is_gone() {
    let server = ApiServer::default();
    let writer = writer(&server);
    server.refuse("GET", "/nodes/n1", 500, 1);
    assert!(writer.node_is_gone("n1").await.is_err());
    assert!(writer.node_is_gone("n1").await.unwrap());
    server.put_at(
        "/api/v1/nodes/n1",
        serde_json::json!({ "metadata": { "name": "n1" } }),
    );
    assert!(!writer.node_is_gone("n1").await.unwrap());
}
