//! The control plane is rolled, and its leader killed, while pods come and go.

use std::time::Duration;

use anyhow::{Context as _, Result};

use super::scene::Scene;
use super::{Storm, churn};

pub fn play(storm: &Storm<'_>) -> Result<()> {
    let (scene, stage) = (&storm.scene, storm.scene.stage);
    churn::during(stage, storm.settings.seed, || {
        stage.run("kubectl -n kube-system rollout restart statefulset/terway-controlplane")?;
        stage.run("kubectl -n kube-system rollout status statefulset/terway-controlplane --timeout=300s")?;
        leader_killed(scene)
    })?;
    scene.comes_to_rest("a rollout of the control plane and a kill of its leader")?;
    churn::end(stage)?;
    scene.comes_to_rest("the churn")?;
    scene.check_history()?;
    storm
        .steady
        .check(stage, "the control plane was rolled and its leader killed")
}

/// Kills the leader's process, and waits until a leader has taken the lease anew.
pub fn leader_killed(scene: &Scene<'_>) -> Result<()> {
    let stage = scene.stage;
    let lease = |path: &str| {
        stage.get(&format!(
            "kubectl -n kube-system get lease terway-controlplane -o jsonpath='{{{path}}}'"
        ))
    };
    let holder = stage.wait("one replica leads", Duration::from_secs(120), || {
        Ok(Some(lease(".spec.holderIdentity")?).filter(|holder| !holder.is_empty()))
    })?;
    let taken = lease(".spec.acquireTime")?;
    // The identity begins with the name of a pod of the StatefulSet.
    let number: String = holder
        .trim_start_matches("terway-controlplane-")
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    let pod = format!("terway-controlplane-{number}");
    let node = stage
        .get(&format!(
            "kubectl -n kube-system get pod {pod} -o jsonpath='{{.spec.nodeName}}'"
        ))
        .with_context(|| format!("finding the node of the leader {holder}"))?;
    stage.say(format!("{holder} leads, on {node}"));
    scene.kill(&node, "terway-controlplane")?;
    stage.wait(
        "a leader has taken the lease anew",
        Duration::from_secs(120),
        || {
            let now = lease(".spec.acquireTime")?;
            let led = !lease(".spec.holderIdentity")?.is_empty();
            Ok((led && now != taken).then_some(()))
        },
    )
}
