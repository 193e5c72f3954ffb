//! The control plane dies with an intent in flight: the ENI is made and the answer is lost.

use cloudsim::{Fault, Point};
use terway_crds::Phase;

use crate::replica::Replica;
use crate::stage::{Stage, elastic, until};

/// A stage where a pod's ENI was made, the reply was lost, and the control plane is dead.
async fn died_after_create() -> Stage {
    let stage = Stage::set().await;
    let replica = Replica::start(&stage, "one");
    stage.nodes_serve().await;
    // The reply is lost every time, so that no retry can bring it before the process dies.
    stage.cloud.inject(Fault {
        action: Some("CreateNetworkInterface".into()),
        reset: Some(Point::After),
        ..Fault::default()
    });
    stage.pod("web-0", "node1", elastic()).await;
    until("the ENI is made", || async { stage.pod_enis().len() == 1 }).await;
    replica.kill();
    stage.cloud.clear_faults();
    stage
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_process_finds_the_eni_and_makes_no_second_one() {
    let stage = died_after_create().await;
    let made = stage.pod_enis();
    let replica = Replica::start(&stage, "one");
    let record = stage.phase("web-0", Phase::Bind).await;
    assert_eq!(stage.pod_enis(), made);
    assert_eq!(record.spec.allocations[0].eni.id, made[0]);
    stage.remove_pod("web-0").await;
    stage.no_pod_enis().await;
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_process_releases_the_eni_of_a_pod_that_is_gone() {
    let stage = died_after_create().await;
    stage.remove_pod("web-0").await;
    let replica = Replica::start(&stage, "one");
    stage.record_gone("web-0").await;
    stage.no_pod_enis().await;
    // No ENI appears later.
    stage.silence().await;
    assert_eq!(stage.pod_enis(), Vec::<String>::new());
    replica.stop().await;
}
