//! `helm upgrade` with values that roll control plane and agents, under running pods.

use anyhow::Result;

use super::Storm;

pub fn play(storm: &Storm<'_>) -> Result<()> {
    let (scene, stage) = (&storm.scene, storm.scene.stage);
    stage.run(&format!(
        "helm upgrade terway {} -n kube-system --reuse-values --set terway.logLevel=debug --set terwayControlplane.logLevel=debug",
        storm.settings.root.join("charts/terway").display()
    ))?;
    stage.run("kubectl -n kube-system rollout status statefulset/terway-controlplane --timeout=300s")?;
    stage.run("kubectl -n kube-system rollout status daemonset/terway-eniip --timeout=300s")?;
    for (selector, count) in [("app=terway-eniip", 2), ("k8s-app=terway-controlplane", 2)] {
        let levels = stage.get(&format!(
            "kubectl -n kube-system get pods -l {selector} -o jsonpath='{{.items[*].spec.containers[*].env[?(@.name==\"RUST_LOG\")].value}}'"
        ))?;
        let new = levels.split(' ').filter(|level| *level == "debug").count();
        stage.check(
            new == count,
            format!("all pods with {selector} have the new value"),
        )?;
    }
    scene.comes_to_rest("helm upgrade")?;
    storm
        .steady
        .check(stage, "Helm replaced control plane and agents")
}
