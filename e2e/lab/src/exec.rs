//! Runs a command inside a machine, in all its namespaces and in its cgroups.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};

use nix::sched::{CloneFlags, setns};

use crate::cgroup::{CgroupError, Layout};
use crate::machine::tasks::environment;
use crate::process::die_with_thread;
use crate::state::{StateDir, StateError};

/// A command could not be run in a machine.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    #[error("cannot enter the {kind} namespace of {machine}; is the machine still up?")]
    Enter {
        machine: String,
        kind: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("cannot run {program} in {machine}")]
    Run {
        machine: String,
        program: String,
        #[source]
        source: io::Error,
    },
}

/// The namespaces to enter. The mount namespace is last, because afterwards /proc is the machine's.
const NAMESPACES: [(&str, CloneFlags); 6] = [
    ("cgroup", CloneFlags::CLONE_NEWCGROUP),
    ("ipc", CloneFlags::CLONE_NEWIPC),
    ("uts", CloneFlags::CLONE_NEWUTS),
    ("net", CloneFlags::CLONE_NEWNET),
    ("pid", CloneFlags::CLONE_NEWPID),
    ("mnt", CloneFlags::CLONE_NEWNS),
];

/// Moves this process into the machine and runs a command there. The process must have one thread and does nothing else
/// afterwards. Returns the exit code as a shell does.
pub fn exec(state: &StateDir, machine: &str, program: &str, arguments: &[String]) -> Result<i32, ExecError> {
    let pid = state.machine_pid(machine)?;
    let enter = |kind, source| ExecError::Enter {
        machine: machine.to_owned(),
        kind,
        source,
    };
    let mut namespaces = Vec::new();
    for (kind, flag) in NAMESPACES {
        let file = File::open(format!("/proc/{pid}/ns/{kind}")).map_err(|source| enter(kind, source))?;
        namespaces.push((kind, flag, file));
    }
    Layout::detect()?.join(&format!("{}{machine}", state.cgroup_prefix()))?;
    for (kind, flag, file) in &namespaces {
        setns(file.as_fd(), *flag).map_err(|source| enter(kind, source.into()))?;
    }
    let run = |source| ExecError::Run {
        machine: machine.to_owned(),
        program: program.to_owned(),
        source,
    };
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir("/")
        .env_clear()
        .envs(environment());
    if let Some(term) = std::env::var_os("TERM") {
        command.env("TERM", term);
    }
    // The command must not outlive this process when this process is killed.
    die_with_thread(&mut command);
    Ok(exit_code(command.status().map_err(run)?))
}

fn exit_code(status: ExitStatus) -> i32 {
    // The exit code of a command that a signal ended is 128 plus the signal's number, as in a shell.
    status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}
