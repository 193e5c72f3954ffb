//! Fixed allocations: they move with their pod, and end when their time is over.

use terway_crds::Phase;

use crate::replica::Replica;
use crate::stage::{Stage, fixed, found};

/// S-042, S-120: a pod of a StatefulSet keeps its address.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fixed_pod_keeps_its_address_on_another_node_until_its_time_is_over() {
    let stage = Stage::set().await;
    let replica = Replica::start(&stage, "one");
    stage.nodes_serve().await;
    stage.pod("db-0", "node1", fixed("5s")).await;
    let before = stage.phase("db-0", Phase::Bind).await;

    stage.remove_pod("db-0").await;
    stage.pod("db-0", "node2", fixed("5s")).await;
    let moved = found("db-0 is bound on node2", || async {
        let record = stage.record("db-0").await?;
        let status = record.status.as_ref()?;
        (status.phase == Phase::Bind && status.instance_id == "i-node2").then_some(record)
    })
    .await;
    assert_eq!(moved.metadata.uid, before.metadata.uid);
    assert_eq!(moved.spec.allocations[0].ipv4, before.spec.allocations[0].ipv4);
    assert_eq!(stage.pod_enis(), [before.spec.allocations[0].eni.id.clone()]);
    assert_eq!(stage.accepted("DeleteNetworkInterface"), 0);

    stage.remove_pod("db-0").await;
    stage.phase("db-0", Phase::Unbind).await;
    stage.record_gone("db-0").await;
    stage.no_pod_enis().await;
    replica.stop().await;
}
