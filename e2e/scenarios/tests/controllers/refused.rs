//! Creates that the cloud refuses, and pods in more than one network.

use cloudsim::Fault;
use serde_json::json;
use terway_crds::Phase;

use crate::replica::Replica;
use crate::stage::{Stage, elastic, network, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exhausted_vswitch_is_left_for_the_next_one() {
    let stage = Stage::set().await;
    let replica = Replica::start(&stage, "one");
    stage.nodes_serve().await;
    stage.cloud.inject(Fault {
        action: Some("CreateNetworkInterface".into()),
        code: Some("InvalidVSwitchId.IpNotEnough".into()),
        times: Some(1),
        ..Fault::default()
    });
    let networks = json!([network("eth0", &["vsw-pod-h", "vsw-db-h"], "sg-web", elastic())]);
    stage.pod_in("web-0", "node1", networks).await;
    let record = stage.phase("web-0", Phase::Bind).await;
    let allocation = &record.spec.allocations[0];
    assert_eq!(allocation.eni.vswitch_id, "vsw-db-h");
    assert_eq!(allocation.ipv4_cidr, "10.0.32.0/24");
    let creation = allocation.creation.as_ref().expect("the intent stays recorded");
    assert_eq!(creation.attempt, 2);
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_is_told_in_the_clouds_words_and_repaired_when_its_cause_is_gone() {
    let stage = Stage::set().await;
    let replica = Replica::start(&stage, "one");
    stage.nodes_serve().await;
    stage.cloud.inject(Fault {
        action: Some("CreateNetworkInterface".into()),
        code: Some("InvalidSecurityGroupId.NotFound".into()),
        message: Some("The specified group is not there.".into()),
        ..Fault::default()
    });
    stage.pod("web-0", "node1", elastic()).await;
    until("the condition tells what the cloud said", || async {
        let record = stage.record("web-0").await;
        let conditions = record
            .and_then(|record| record.status)
            .unwrap_or_default()
            .conditions;
        conditions
            .iter()
            .any(|c| c.status == "False" && c.message.contains("group is not there"))
    })
    .await;
    stage.cloud.clear_faults();
    stage.phase("web-0", Phase::Bind).await;
    assert_eq!(stage.pod_enis().len(), 1);
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_in_two_networks_gets_two_enis_and_gives_both_back() {
    let stage = Stage::set().await;
    let replica = Replica::start(&stage, "one");
    stage.nodes_serve().await;
    let networks = json!([
        network("eth0", &["vsw-pod-h"], "sg-web", elastic()),
        network("eth1", &["vsw-pod-h"], "sg-db", elastic()),
    ]);
    stage.pod_in("web-0", "node1", networks).await;
    let record = stage.phase("web-0", Phase::Bind).await;
    let status = record.status.expect("a status");
    assert_eq!(status.eni_infos.len(), 2);
    assert_eq!(stage.pod_enis().len(), 2);
    let vlans: std::collections::BTreeSet<_> = status.eni_infos.values().map(|info| info.vid).collect();
    assert_eq!(vlans.len(), 2);
    stage.remove_pod("web-0").await;
    stage.record_gone("web-0").await;
    stage.no_pod_enis().await;
    replica.stop().await;
}
