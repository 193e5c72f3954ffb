//! `make storms`: scenarios of disturbance, on a lab of their own.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use scenarios::stage::Stage;
use scenarios::storm::{self, Settings};

/// Disturbs a real cluster with a simulated cloud, and checks that no packet, address or ENI is lost.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Seed of the random choices
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Ordinary pods at once on one node; its kubelet allows 110
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(3..=100))]
    pods: u64,
    /// One scenario: burst, agent, kubelet, controlplane, upgrade or drain
    #[arg(long)]
    only: Option<String>,
    /// Leave the lab up
    #[arg(long)]
    keep: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = play(&arguments);
    if let Err(error) = &result {
        eprintln!("\nThe storms stopped (seed {}): {error:#}", arguments.seed);
    }
    match result {
        Ok(()) => {
            lab::say!("\nAll of it was true.");
            ExitCode::SUCCESS
        }
        Err(_) => ExitCode::FAILURE,
    }
}

fn play(arguments: &Arguments) -> Result<()> {
    let me = std::env::current_exe().context("finding this program's own path")?;
    // `lab` and the others are built beside it.
    let bin = me.parent().map(Path::to_owned).unwrap_or_default();
    let state = lab::open(&lab::Options::default())?;
    if state.running()?.is_some() {
        bail!(
            "a lab is up in {}: take it down first (lab down)",
            state.root().display()
        );
    }
    let stage = Stage::new(&bin, &lab::binaries::kubernetes_dir()?, state.kubeconfig());
    let settings = Settings {
        root: project_root()?,
        seed: arguments.seed,
        pods: usize::try_from(arguments.pods)?,
        only: arguments.only.clone(),
    };
    let played = storm::play(&stage, &state, &settings);
    if !arguments.keep {
        lab_down(&bin)?;
    }
    played
}

fn lab_down(bin: &Path) -> Result<()> {
    let status = Command::new(bin.join("lab"))
        .arg("down")
        .status()
        .context("starting `lab down`")?;
    anyhow::ensure!(status.success(), "`lab down` ended with {status}");
    Ok(())
}

/// The checkout that this program was built in.
fn project_root() -> Result<PathBuf> {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .context("finding the project's root: the storms run from the checkout they were built in")
}
