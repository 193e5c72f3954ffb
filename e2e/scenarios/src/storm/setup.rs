//! A lab of its own, whose nodes have room for a hundred ordinary pods each.

use std::time::Duration;

use anyhow::Result;

use super::Settings;
use crate::stage::Stage;

/// The nodes of the world.
pub const NODES: [&str; 2] = ["node1", "node2"];

pub fn play(stage: &Stage, settings: &Settings) -> Result<()> {
    stage.title("A cluster with Terway");
    let scenarios = settings.root.join("e2e/scenarios");
    stage.run(&format!(
        "lab up --world {}",
        scenarios.join("worlds/storms.yaml").display()
    ))?;
    stage.run(&format!(
        "helm install terway {} -n kube-system -f {}",
        settings.root.join("charts/terway").display(),
        scenarios.join("manifests/values.yaml").display()
    ))?;
    stage.run("kubectl -n kube-system rollout status statefulset/terway-controlplane --timeout=180s")?;
    stage.run("kubectl -n kube-system rollout status daemonset/terway-eniip --timeout=180s")?;
    stage.run("kubectl wait --for=condition=Ready node --all --timeout=120s")?;
    for node in NODES {
        stage.wait(
            format!("{node} offers member ENIs"),
            Duration::from_secs(120),
            || {
                stage
                    .ask(&format!(
                        "kubectl get node {node} -o jsonpath='{{.status.allocatable.aliyun/member-eni}}'"
                    ))
                    .map(|said| said.filter(|number| !number.is_empty() && number != "0"))
            },
        )?;
    }
    Ok(())
}
