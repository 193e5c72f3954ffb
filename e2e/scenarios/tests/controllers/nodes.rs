//! Nodes: their trunks and what is published about them.

use k8s_openapi::api::core::v1::{ConfigMap, Node};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;
use terway_crds::names::object;
use terway_crds::{EniKind, TerwayNode};

use crate::replica::Replica;
use crate::stage::{Stage, until};

fn trunks(stage: &Stage) -> usize {
    let state = serde_json::to_value(stage.cloud.enis()).expect("ENIs can be written as JSON");
    let enis = state.as_array().cloned().unwrap_or_default();
    enis.iter()
        .filter(|eni| eni.to_string().contains("\"Trunk\""))
        .count()
}

/// S-125, S-156: a node offers as many members as its type has ENIs in total, less its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_keeps_one_trunk_and_its_published_slots_and_gives_them_back() {
    let stage = Stage::set().await;
    let replica = Replica::start(&stage, "one");
    stage.nodes_serve().await;
    assert_eq!(trunks(&stage), 2);
    let records: Api<TerwayNode> = Api::all(stage.client.clone());
    let record = records.get("node1").await.expect("its Node object");
    let status = record.status.expect("a status");
    let trunk = status
        .network_interfaces
        .values()
        .next()
        .expect("the trunk is recorded");
    assert_eq!(trunk.kind, Some(EniKind::Trunk));
    assert_eq!(trunk.ipv4_cidr, "10.0.0.0/24");
    assert!(!trunk.mac_address.is_empty() && trunk.primary_ip_address.starts_with("10.0.0."));
    assert_eq!(status.operations, []);
    assert_eq!(record.spec.node_cap.member_adapter_limit, 14);

    // A kubelet that registers anew sets extended resources to zero.
    let nodes: Api<Node> = Api::all(stage.client.clone());
    let zero = json!({"status": {"allocatable": {"aliyun/member-eni": "0"}}});
    nodes
        .patch_status("node1", &PatchParams::default(), &Patch::Merge(&zero))
        .await
        .expect("the node can be written");
    stage.nodes_serve().await;

    // A new process takes over what is there, also when the record of it is lost.
    replica.stop().await;
    let lost = json!({"status": {"networkInterfaces": null}});
    records
        .patch_status("node1", &PatchParams::default(), &Patch::Merge(&lost))
        .await
        .expect("the Node object can be written");
    let replica = Replica::start(&stage, "one");
    until("the trunk is recorded again", || async {
        let record = records.get("node1").await.expect("its Node object");
        record
            .status
            .is_some_and(|status| !status.network_interfaces.is_empty())
    })
    .await;
    assert_eq!(trunks(&stage), 2);

    nodes
        .delete("node1", &DeleteParams::default())
        .await
        .expect("the node can be deleted");
    until("the Node object of the gone node is gone", || async {
        records
            .get_opt("node1")
            .await
            .expect("Node objects can be read")
            .is_none()
    })
    .await;
    until("its trunk is gone", || async { trunks(&stage) == 1 }).await;
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_setting_is_named_and_its_repair_noticed() {
    let stage = Stage::set().await;
    let maps: Api<ConfigMap> = Api::namespaced(stage.client.clone(), object::NAMESPACE);
    maps.delete(object::ENI_CONFIG, &DeleteParams::default())
        .await
        .expect("it can be deleted");
    let replica = Replica::start(&stage, "one");
    let records: Api<TerwayNode> = Api::all(stage.client.clone());
    until("the condition names the ConfigMap", || async {
        // The kind itself may not be served yet.
        let record = records.get_opt("node1").await.ok().flatten();
        let conditions = record
            .and_then(|record| record.status)
            .unwrap_or_default()
            .conditions;
        conditions
            .iter()
            .any(|c| c.reason == "ConfigMissing" && c.message.contains("kube-system/eni-config"))
    })
    .await;
    assert_eq!(trunks(&stage), 0);
    stage.eni_config().await;
    stage.nodes_serve().await;
    replica.stop().await;
}
