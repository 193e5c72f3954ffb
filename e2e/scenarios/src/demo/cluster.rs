//! Act 1: two nodes that wait for a network.

use std::time::Duration;

use anyhow::Result;

use super::Setting;
use crate::cloud;
use crate::stage::Stage;

pub fn play(stage: &Stage, setting: &Setting) -> Result<()> {
    stage.title("1. A cluster without a CNI");
    stage.run(&setting.up)?;
    stage.wait("both nodes are registered", Duration::from_secs(60), || {
        stage.ask("kubectl get node node1 node2")
    })?;
    for node in &setting.further_nodes {
        stage.run(&format!("kubectl cordon {node}"))?;
    }
    stage.run("kubectl get nodes -L node.kubernetes.io/instance-type,topology.kubernetes.io/zone")?;
    for node in ["node1", "node2"] {
        let ready = stage.get(&format!(
            "kubectl get node {node} -o jsonpath='{{.status.conditions[?(@.type==\"Ready\")].status}}'"
        ))?;
        stage.check(ready == "False", format!("{node} is NotReady: it has no CNI yet"))?;
        let proxy = stage.ask(&format!("lab exec {node} -- pgrep kube-proxy"))?;
        stage.check(proxy.is_some(), format!("kube-proxy runs on {node}"))?;
    }
    stage.run("lab cloud enis")?;
    let enis = cloud::enis(stage)?;
    stage.check(
        enis.values().all(|(kind, _)| kind == "Primary"),
        "the cloud holds the primary ENIs of the machines and nothing else",
    )
}
