//! `make demo`: the main job, on a real cluster with a simulated cloud.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};
use scenarios::demo::{self, Setting};
use scenarios::stage::Stage;

fn main() -> ExitCode {
    let keep = std::env::var("DEMO_KEEP").map_or(true, |value| value != "0");
    let result = play();
    if let Err(error) = &result {
        eprintln!("\nThe demo stopped: {error:#}");
    }
    let ended = if keep { Ok(()) } else { lab_down() };
    match (result, ended) {
        (Ok(()), Ok(())) => {
            lab::say!("\nAll of it was true.");
            if keep {
                lab::say!("{GO_ON}");
            }
            ExitCode::SUCCESS
        }
        (_, Err(error)) => {
            eprintln!("\nRemoving the cluster failed: {error:#}");
            ExitCode::FAILURE
        }
        (Err(_), Ok(())) => ExitCode::FAILURE,
    }
}

const GO_ON: &str = "
The cluster is still there. To go on by hand:

  export PATH=$PWD/target/debug:${XDG_CACHE_HOME:-$HOME/.cache}/terway/k8s-1.34.2/bin:$PATH
  export KUBECONFIG=$(lab kubeconfig)
  kubectl get nodes
  helm install terway charts/terway -n kube-system -f e2e/scenarios/manifests/values.yaml
  lab exec node1 -- ip rule        a command inside a node
  lab cloud enis                   what the cloud holds
  lab down                         remove all of it
";

fn play() -> Result<()> {
    let bin = programs()?;
    let root = project_root()?;
    let stage = Stage::new(
        &bin,
        &lab::binaries::kubernetes_dir()?,
        lab::open(&lab::Options::default())?.kubeconfig(),
    );
    demo::play(&stage, &Setting::new(root), |_| Ok(()))
}

fn lab_down() -> Result<()> {
    let status = Command::new(programs()?.join("lab"))
        .arg("down")
        .status()
        .context("starting `lab down`")?;
    anyhow::ensure!(status.success(), "`lab down` ended with {status}");
    Ok(())
}

/// The folder of this program: `lab` and the others are built beside it.
fn programs() -> Result<PathBuf> {
    let me = std::env::current_exe().context("finding this program's own path")?;
    Ok(me.parent().map(Path::to_owned).unwrap_or_default())
}

/// The checkout that this program was built in.
fn project_root() -> Result<PathBuf> {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .context("finding the project's root: the demo runs from the checkout it was built in")
}
