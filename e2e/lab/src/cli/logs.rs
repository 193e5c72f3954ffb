//! `lab logs`: lists the logs or prints one.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use lab::state::StateDir;

/// Lists the logs of all machines or of one, or becomes `tail` on one log.
pub fn show(
    state: &StateDir,
    machine: Option<&str>,
    program: Option<&str>,
    follow: bool,
) -> anyhow::Result<()> {
    let (Some(machine), Some(program)) = (machine, program) else {
        let folder = machine.map_or(state.logs(), |machine| state.machine_logs(machine));
        for path in files_below(&folder)? {
            lab::say!("{}", path.display());
        }
        return Ok(());
    };
    let path = state.machine_logs(machine).join(format!("{program}.log"));
    if !path.is_file() {
        bail!("there is no log of {program} on {machine}; `lab logs` lists what there is");
    }
    let mut tail = Command::new("tail");
    tail.arg("-n").arg(if follow { "50" } else { "+1" });
    if follow {
        tail.arg("-F");
    }
    Err(tail.arg(&path).exec()).with_context(|| format!("cannot run tail on {}", path.display()))
}

fn files_below(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(_) => bail!(
            "there are no logs in {}; they begin with `lab up`",
            folder.display()
        ),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(files_below(&path)?);
        } else {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
