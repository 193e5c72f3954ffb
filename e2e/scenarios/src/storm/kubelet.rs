//! The kubelet is killed under running pods: they keep their sandboxes and their network.

use std::time::Duration;

use anyhow::Result;

use super::Storm;
use super::pods::{self, Kind};

/// Pods that run when the kubelets end.
const APPS: [(&str, Kind, usize); 2] = [
    ("settled-shared", Kind::Shared, 20),
    ("settled-member", Kind::Member, 10),
];
const PODS: &str = "kubectl get pods -A -o jsonpath='{range .items[*]}{.metadata.uid} {.status.podIP} \
    {.status.containerStatuses[*].restartCount}{\"\\n\"}{end}' | sort";
const MEMBERS: &str = "kubectl get nodes -o jsonpath='{.items[*].status.allocatable.aliyun/member-eni}'";

pub fn play(storm: &Storm<'_>) -> Result<()> {
    let (scene, stage) = (&storm.scene, storm.scene.stage);
    for (app, kind, count) in APPS {
        pods::deploy(stage, app, kind, None, count)?;
    }
    for (app, _, count) in APPS {
        pods::wait_ready(stage, app, count)?;
    }
    let (pods, sandboxes, members) = (stage.get(PODS)?, scene.sandboxes()?, stage.get(MEMBERS)?);
    for node in scene.nodes() {
        let renewed = || {
            stage.get(&format!(
                "kubectl -n kube-node-lease get lease {node} -o jsonpath='{{.spec.renewTime}}'"
            ))
        };
        scene.kill(node, "kubelet")?;
        let killed = renewed()?;
        stage.wait(
            format!("{node} gives signs of life again"),
            Duration::from_secs(120),
            || Ok((renewed()? != killed).then_some(())),
        )?;
    }
    // A kubelet that starts again sets extended resources to zero.
    stage.wait(
        "the nodes offer their member ENIs again",
        Duration::from_secs(120),
        || Ok((stage.get(MEMBERS)? == members).then_some(())),
    )?;
    stage.run("kubectl wait --for=condition=Ready node --all --timeout=120s")?;
    stage.check(
        scene.sandboxes()? == sandboxes,
        format!("all {} pods have the sandboxes that they had", sandboxes.len()),
    )?;
    stage.check(
        stage.get(PODS)? == pods,
        "no container was restarted, no address changed",
    )?;
    scene.comes_to_rest("a kill of the kubelets")?;
    for (app, ..) in APPS {
        pods::remove(stage, app)?;
    }
    for (app, ..) in APPS {
        pods::wait_gone(stage, app)?;
    }
    scene.comes_to_rest("the end of pods that have outlived their kubelets")?;
    storm.steady.check(stage, "the kubelets were killed")
}
