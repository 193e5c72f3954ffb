//! The short form that runs with every test: storms of a few pods on the cluster of the demo, agents killed in
//! them, and then the leader.

use anyhow::{Context as _, Result};
use lab::state::StateDir;

use super::scene::Scene;
use super::steady::Steady;
use super::{agent, controlplane, pods};
use crate::stage::Stage;

/// The storms of the sample, on two nodes with room for ten pods of each kind. The pods fit on the trunks: an ENI that
/// is made for them would be left afterwards.
const COUNTS: [usize; 2] = [8, 6];

pub fn play(stage: &Stage, state: &StateDir) -> Result<()> {
    stage.title("Storms: agents and the leader are killed while pods come and go");
    let scene = Scene::open(stage, state, &["node1", "node2"])?;
    pods::networks(stage)?;
    let steady = Steady::begin(stage, "node1", "node2")?;
    said_by_the_agent(stage)?;
    agent::killed_in_adds(&scene, COUNTS, &["node1"])?;
    controlplane::leader_killed(&scene)?;
    agent::killed_in_dels(&scene, COUNTS, &["node2"])?;
    scene.check_history()?;
    steady.check(stage, "agents and the leader were killed")?;
    steady.end(stage)?;
    scene.comes_to_rest("the storms")?;
    pods::no_networks(stage)
}

/// Checks that an event tells the owner of an ordinary pod its address, and how long that took.
fn said_by_the_agent(stage: &Stage) -> Result<()> {
    let address = stage.get("kubectl get pod answer-shared -o jsonpath='{.status.podIP}'")?;
    let note = stage
        .get(
            "kubectl get events --field-selector involvedObject.name=answer-shared,reason=AllocIPSucceed \
             -o jsonpath='{.items[0].type} {.items[0].message}'",
        )
        .context("reading the events of an ordinary pod")?;
    stage.check(
        note.starts_with(&format!("Normal Alloc IP {address} took ")),
        format!("the agent says so on an ordinary pod: {note}"),
    )
}
