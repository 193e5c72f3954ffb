//! Scenarios of disturbance on a real cluster: many pods at once, and agents, kubelets, the control plane and
//! nodes that end in the middle of it. Pods that stay exchange real packets meanwhile and lose none; after
//! each scenario pods, records, cloud and kernels must agree.

mod agent;
mod burst;
mod churn;
mod controlplane;
mod drain;
mod history;
mod kernel;
mod kubelet;
mod look;
mod pods;
pub mod sample;
mod scene;
mod setup;
mod steady;
mod upgrade;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use lab::state::StateDir;

use crate::stage::Stage;
use scene::Scene;
use steady::Steady;

/// The options of a run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The project's root: chart, manifests and world.
    pub root: PathBuf,
    /// Seed of the choices that the churn makes.
    pub seed: u64,
    /// Ordinary pods at once on one node.
    pub pods: usize,
    /// One scenario instead of all.
    pub only: Option<String>,
}

/// A cluster with steady traffic, to be disturbed.
struct Storm<'a> {
    scene: Scene<'a>,
    steady: Steady,
    settings: &'a Settings,
}

type Scenario = fn(&Storm<'_>) -> Result<()>;

/// The scenarios in the order in which they are played.
const SCENARIOS: [(&str, &str, Scenario); 5] = [
    ("burst", "Many pods at once on one node", burst::play),
    (
        "agent",
        "Agents killed in storms of ADDs and DELs, then replaced",
        agent::play,
    ),
    ("kubelet", "Kubelets killed under running pods", kubelet::play),
    (
        "controlplane",
        "The control plane rolled and its leader killed during churn",
        controlplane::play,
    ),
    ("upgrade", "helm upgrade under running pods", upgrade::play),
];
/// The last scenario: the steady pods of its node do not come back.
const DRAIN: &str = "drain";

/// Names of all scenarios.
pub fn names() -> Vec<&'static str> {
    SCENARIOS.iter().map(|(name, ..)| *name).chain([DRAIN]).collect()
}

/// Brings a lab up and plays. The first false statement is the error.
pub fn play(stage: &Stage, state: &StateDir, settings: &Settings) -> Result<()> {
    let chosen = |name: &str| settings.only.as_deref().is_none_or(|only| only == name);
    if !names().into_iter().any(chosen) {
        bail!(
            "there is no scenario '{}'; choose one of {}",
            settings.only.as_deref().unwrap_or_default(),
            names().join(", ")
        );
    }
    setup::play(stage, settings)?;
    let scene = Scene::open(stage, state, &setup::NODES)?;
    pods::networks(stage)?;
    let [here, there] = setup::NODES;
    let steady = Steady::begin(stage, here, there)?;
    let storm = Storm {
        scene,
        steady,
        settings,
    };
    storm.scene.comes_to_rest("the beginning")?;
    let mut summary = Vec::new();
    for (name, title, scenario) in SCENARIOS.into_iter().filter(|(name, ..)| chosen(name)) {
        let began = Instant::now();
        stage.title(title);
        scenario(&storm).with_context(|| format!("scenario {name}, seed {}", settings.seed))?;
        summary.push(format!("{name}: true, {:.0} s", began.elapsed().as_secs_f64()));
    }
    let Storm { scene, steady, .. } = storm;
    steady.check(stage, "all of this happened")?;
    steady.end(stage)?;
    if chosen(DRAIN) {
        let began = Instant::now();
        stage.title("A node is drained");
        drain::play(&scene).context("scenario drain")?;
        summary.push(format!("{DRAIN}: true, {:.0} s", began.elapsed().as_secs_f64()));
    }
    scene.comes_to_rest("everything")?;
    scene.check_history()?;
    stage.title("Summary");
    for line in summary {
        stage.say(line);
    }
    Ok(())
}
