//! The demo: nine acts, each a file of what a user would type and what must then be true.

mod cluster;
mod install;
mod moving;
mod networks;
mod packets;
mod release;
mod uninstall;

use std::path::PathBuf;

use anyhow::Result;

use crate::cloud::Enis;
use crate::stage::Stage;

/// Where the demo finds things.
pub struct Setting {
    /// The project's root: chart and manifests.
    pub root: PathBuf,
}

impl Setting {
    /// A manifest of the demo, as a path that a shell takes.
    pub fn manifest(&self, name: &str) -> String {
        self.root
            .join("e2e/scenarios/manifests")
            .join(name)
            .display()
            .to_string()
    }
}

/// Plays all acts; the first statement that is not true is the error. `interlude` is played while
/// the workloads of the demo run.
pub fn play(stage: &Stage, setting: &Setting, interlude: impl FnOnce(&Stage) -> Result<()>) -> Result<()> {
    cluster::play(stage)?;
    let baseline: Enis = install::play(stage, setting)?;
    networks::play(stage, setting)?;
    packets::play(stage)?;
    interlude(stage)?;
    moving::play(stage)?;
    release::play(stage, setting, &baseline)?;
    uninstall::play(stage, setting)
}
