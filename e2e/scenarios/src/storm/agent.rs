//! The agent is killed in the middle of many ADDs and of many DELs, and is replaced under living pods.

use std::time::Duration;

use anyhow::Result;

use super::Storm;
use super::pods::{self, Kind};
use super::scene::Scene;

/// The apps of a storm.
const APPS: [(&str, Kind); 2] = [("wave-shared", Kind::Shared), ("wave-member", Kind::Member)];

/// Plays the ADD storm, the DEL storm, the kill and the rollout.
pub fn play(storm: &Storm<'_>) -> Result<()> {
    let (scene, stage) = (&storm.scene, storm.scene.stage);
    let counts = [storm.settings.pods / 2, 10];
    killed_in_adds(scene, counts, &["node1", "node2"])?;
    killed_in_dels(scene, counts, &["node1", "node2"])?;
    storm.steady.check(stage, "the agents were killed")?;
    stage.run("kubectl -n kube-system rollout restart daemonset/terway-eniip")?;
    stage.run("kubectl -n kube-system rollout status daemonset/terway-eniip --timeout=300s")?;
    scene.comes_to_rest("a rollout of the agents")?;
    storm.steady.check(stage, "the agents were replaced")
}

/// Makes pods of both kinds, and kills the agents of `nodes` once a third of the pods is Ready.
pub fn killed_in_adds(scene: &Scene<'_>, counts: [usize; 2], nodes: &[&str]) -> Result<()> {
    let stage = scene.stage;
    for ((app, kind), count) in APPS.into_iter().zip(counts) {
        pods::deploy(stage, app, kind, None, count)?;
    }
    let all: usize = counts.iter().sum();
    let ready = stage.wait("a third of them is Ready", Duration::from_secs(300), || {
        let ready = APPS.map(|(app, _)| pods::ready(stage, app));
        let ready: usize = ready.into_iter().sum::<Result<usize>>()?;
        Ok((ready * 3 >= all).then_some(ready))
    })?;
    stage.say(format!("{ready} of {all} are Ready when the agent is killed"));
    for node in nodes {
        scene.kill(node, "terway-agent")?;
    }
    for ((app, _), count) in APPS.into_iter().zip(counts) {
        pods::wait_ready(stage, app, count)?;
        stage.say(super::burst::times(stage, app)?);
    }
    scene.comes_to_rest("a kill of the agent among ADDs")
}

/// Deletes the pods, and kills the agents of `nodes` once a third of the pods is gone.
pub fn killed_in_dels(scene: &Scene<'_>, counts: [usize; 2], nodes: &[&str]) -> Result<()> {
    let stage = scene.stage;
    for (app, _) in APPS {
        pods::remove(stage, app)?;
    }
    let all: usize = counts.iter().sum();
    let left = stage.wait("a third of them is gone", Duration::from_secs(300), || {
        let left = APPS.map(|(app, _)| pods::present(stage, app));
        let left: usize = left.into_iter().sum::<Result<usize>>()?;
        Ok((left * 3 <= all * 2).then_some(left))
    })?;
    stage.say(format!("{left} of {all} are left when the agent is killed"));
    for node in nodes {
        scene.kill(node, "terway-agent")?;
    }
    for (app, _) in APPS {
        pods::wait_gone(stage, app)?;
    }
    scene.comes_to_rest("a kill of the agent among DELs")
}
