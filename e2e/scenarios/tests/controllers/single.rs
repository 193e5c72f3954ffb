//! One pod: up, down, and what a person sees of it.

use std::time::{Duration, Instant};

use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::{DeleteParams, ListParams};
use terway_crds::{EniKind, Phase};

use crate::replica::Replica;
use crate::stage::{NAMESPACE, Stage, elastic, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_gets_an_eni_and_gives_it_back() {
    let stage = Stage::set().await;
    let replica = Replica::start(&stage, "one");
    stage.nodes_serve().await;

    let began = Instant::now();
    stage.pod("web-0", "node1", elastic()).await;
    let record = stage.phase("web-0", Phase::Bind).await;
    // The cloud alone takes 1.95 s; the rest is generous because the machine is shared.
    assert!(
        began.elapsed() < Duration::from_secs(30),
        "took {:?}",
        began.elapsed()
    );

    let allocation = &record.spec.allocations[0];
    let status = record.status.expect("a status");
    let info = &status.eni_infos[&allocation.eni.id];
    assert_eq!(stage.pod_enis(), std::slice::from_ref(&allocation.eni.id));
    assert_eq!(status.instance_id, "i-node1");
    assert_eq!(info.kind, Some(EniKind::Member));
    assert!(info.vid.is_some_and(|vid| (1..4095).contains(&vid)));
    assert_eq!(allocation.ipv4_cidr, "10.0.16.0/22");
    assert_eq!(status.summary.ips, allocation.ipv4);
    assert!(
        status
            .conditions
            .iter()
            .any(|c| c.type_ == "Ready" && c.status == "True")
    );
    let interface = stage
        .interfaces()
        .get(&allocation.eni.id)
        .await
        .expect("its NetworkInterface");
    assert_eq!(interface.status.expect("a status").phase, Phase::Bind);

    told(&stage, "CreateENISucceed").await;
    told(&stage, "AttachENISucceed").await;

    stage.remove_pod("web-0").await;
    stage.record_gone("web-0").await;
    stage.no_pod_enis().await;
    assert_eq!(stage.accepted("DetachNetworkInterface"), 1);
    assert_eq!(stage.accepted("DeleteNetworkInterface"), 1);
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_deleted_under_a_living_pod_waits_for_the_pod() {
    let stage = Stage::set().await;
    let replica = Replica::start(&stage, "one");
    stage.nodes_serve().await;
    stage.pod("web-0", "node1", elastic()).await;
    stage.phase("web-0", Phase::Bind).await;

    stage
        .records()
        .delete("web-0", &DeleteParams::default())
        .await
        .expect("it can be deleted");
    until("the condition says why the record stays", || async {
        let record = stage.record("web-0").await.expect("the record stays");
        let conditions = record.status.expect("a status").conditions;
        conditions
            .iter()
            .any(|c| c.reason == "PodStillRuns" && c.message.contains("while the pod lives"))
    })
    .await;
    assert_eq!(stage.accepted("DetachNetworkInterface"), 0);

    stage.remove_pod("web-0").await;
    stage.record_gone("web-0").await;
    stage.no_pod_enis().await;
    replica.stop().await;
}

async fn told(stage: &Stage, reason: &str) {
    let events: Api<Event> = Api::namespaced(stage.client.clone(), NAMESPACE);
    until(&format!("the event {reason} is told"), || async {
        let list = events
            .list(&ListParams::default())
            .await
            .expect("events can be read");
        list.items.iter().any(|event| {
            let about_pod = event
                .regarding
                .as_ref()
                .is_some_and(|r| r.kind.as_deref() == Some("Pod"));
            about_pod && event.reason.as_deref() == Some(reason)
        })
    })
    .await;
}
