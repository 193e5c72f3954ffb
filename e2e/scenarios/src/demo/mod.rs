//! The demo: ten acts, each a file of what a user would type and what must then be true.

mod cluster;
mod install;
mod moving;
mod names;
mod networks;
mod packets;
mod release;
mod uninstall;

use std::path::PathBuf;

use anyhow::Result;

use crate::cloud::Enis;
use crate::stage::Stage;

/// The folders and nodes of the demo.
pub struct Setting {
    /// The project's root: chart and manifests.
    pub root: PathBuf,
    /// The command that brings the cluster up.
    pub up: String,
    /// Nodes beyond node1 and node2; they take only pods that name them.
    pub further_nodes: Vec<String>,
}

impl Setting {
    /// The setting of the demo: two nodes.
    pub fn new(root: PathBuf) -> Self {
        Self {
            root,
            up: "lab up".to_owned(),
            further_nodes: Vec::new(),
        }
    }

    /// The folder of the manifests.
    pub fn manifests(&self) -> PathBuf {
        self.root.join("e2e/scenarios/manifests")
    }

    fn nodes(&self) -> impl Iterator<Item = &str> {
        let further = self.further_nodes.iter().map(String::as_str);
        ["node1", "node2"].into_iter().chain(further)
    }

    /// A manifest of the demo, as a path that a shell takes.
    pub fn manifest(&self, name: &str) -> String {
        self.manifests().join(name).display().to_string()
    }
}

/// Plays all acts. The first false statement is the error. `interlude` is played while the workloads of the demo run.
pub fn play(stage: &Stage, setting: &Setting, interlude: impl FnOnce(&Stage) -> Result<()>) -> Result<()> {
    cluster::play(stage, setting)?;
    install::play(stage, setting)?;
    let baseline: Enis = names::play(stage, setting)?;
    networks::play(stage, setting)?;
    packets::play(stage)?;
    interlude(stage)?;
    moving::play(stage)?;
    release::play(stage, setting, &baseline)?;
    uninstall::play(stage, setting)
}
