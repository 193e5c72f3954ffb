//! A node is drained: its pods move, and the Fixed one keeps its address.

use anyhow::Result;

use super::pods::{self, Kind};
use super::scene::Scene;

const COUNT: usize = 4;
const APPS: [(&str, Kind); 2] = [("movers-shared", Kind::Shared), ("movers-member", Kind::Member)];

/// The steady pods must be gone: nothing would make them again elsewhere.
pub fn play(scene: &Scene<'_>) -> Result<()> {
    let stage = scene.stage;
    stage.run("kubectl cordon node2")?;
    for (app, kind) in APPS {
        pods::deploy(stage, app, kind, None, COUNT)?;
    }
    pods::keeper(stage, "keeper")?;
    stage.run("kubectl rollout status statefulset/keeper --timeout=180s")?;
    for (app, _) in APPS {
        pods::wait_ready(stage, app, COUNT)?;
    }
    scene.comes_to_rest("filling node1")?;
    let identity = || {
        stage.get("kubectl get podeni keeper-0 -o jsonpath='{.spec.allocations[0].ipv4} {.spec.allocations[0].eni.id}'")
    };
    let before = identity()?;
    stage.run("kubectl uncordon node2")?;
    stage.run("kubectl drain node1 --ignore-daemonsets --delete-emptydir-data --timeout=240s")?;
    for (app, _) in APPS {
        pods::wait_ready(stage, app, COUNT)?;
    }
    stage.run("kubectl rollout status statefulset/keeper --timeout=180s")?;
    stage.run("kubectl get pods -o wide")?;
    let nodes = stage.get("kubectl get pods -l app -o jsonpath='{.items[*].spec.nodeName}'")?;
    stage.check(
        nodes.split(' ').all(|node| node == "node2"),
        "all pods run on node2 now",
    )?;
    let replicas = "kubectl -n kube-system get pods -l k8s-app=terway-controlplane -o jsonpath='{.items[*].spec.nodeName}'";
    let replicas = stage.get(replicas)?;
    stage.check(
        !replicas.split(' ').any(|node| node == "node1"),
        "no replica of the control plane has come back to the drained node",
    )?;
    let address = stage.get("kubectl get pod keeper-0 -o jsonpath='{.status.podIP}'")?;
    stage.check(
        identity()? == before && before.starts_with(&format!("{address} ")),
        format!("the Fixed pod has kept its address and ENI: {before}"),
    )?;
    scene.comes_to_rest("the drain")?;
    stage.run("kubectl uncordon node1")?;
    for (app, _) in APPS {
        pods::remove(stage, app)?;
    }
    stage.run("kubectl delete statefulset keeper --wait=true")?;
    for app in ["movers-shared", "movers-member", "keeper"] {
        pods::wait_gone(stage, app)?;
    }
    stage.run("kubectl delete podeni keeper-0 --timeout=120s")?;
    scene.comes_to_rest("the end of the moved pods")
}
