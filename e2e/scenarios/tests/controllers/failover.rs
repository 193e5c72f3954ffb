//! Two replicas: the one that leads dies, or goes in peace.

use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use terway_crds::Phase;
use terway_crds::names::object;

use crate::replica::Replica;
use crate::stage::{Stage, elastic, until};

async fn leader(stage: &Stage) -> String {
    let leases: Api<Lease> = Api::namespaced(stage.client.clone(), object::NAMESPACE);
    let lease = leases
        .get_opt(object::CONTROL_PLANE)
        .await
        .expect("leases can be read");
    lease
        .and_then(|lease| lease.spec?.holder_identity)
        .unwrap_or_default()
}

/// Replica `one` leads, `two` stands by.
async fn two(stage: &Stage) -> (Replica, Replica) {
    let one = Replica::start(stage, "one");
    until("one leads", || async { leader(stage).await.starts_with("one_") }).await;
    let two = Replica::start(stage, "two");
    stage.nodes_serve().await;
    (one, two)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_standby_finishes_what_a_dead_leader_began() {
    let stage = Stage::set().await;
    let (one, two) = two(&stage).await;
    for number in 0..4 {
        stage.pod(&format!("web-{number}"), "node1", elastic()).await;
    }
    until("the first ENI is made", || async { !stage.pod_enis().is_empty() }).await;
    one.kill();
    for number in 0..4 {
        stage.phase(&format!("web-{number}"), Phase::Bind).await;
    }
    assert_eq!(stage.pod_enis().len(), 4);
    assert!(leader(&stage).await.starts_with("two_"));
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_stops_gives_the_lease_back() {
    let stage = Stage::set().await;
    let (one, two) = two(&stage).await;
    one.stop().await;
    let began = Instant::now();
    until("two leads", || async { leader(&stage).await.starts_with("two_") }).await;
    // The lease would have run for 15 s.
    assert!(
        began.elapsed() < Duration::from_secs(12),
        "took {:?}",
        began.elapsed()
    );
    stage.pod("web-0", "node2", elastic()).await;
    stage.phase("web-0", Phase::Bind).await;
    two.stop().await;
}
