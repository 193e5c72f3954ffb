//! Takes a lab down, in any state.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::cgroup::{CgroupError, Layout};
use crate::state::{StateDir, StateError};
use crate::supervisor::SWEEP_PATIENCE;

/// Why a lab could not be taken down completely.
#[derive(Debug, thiserror::Error)]
pub enum DownError {
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    #[error(
        "the lab's supervisor (process {pid}) does not end, even when killed; is it stuck in the kernel?"
    )]
    Stuck { pid: u32 },
    #[error("these cgroups could not be removed: {}; processes in them may be stuck in the kernel", paths(.left))]
    Left { left: Vec<PathBuf> },
}

fn paths(list: &[PathBuf]) -> String {
    list.iter()
        .map(|path| path.display().to_string())
        .collect::<Vec<_>>()
        .join(", ")
}

/// How long a supervisor may take to end. It removes the cgroups itself.
const GRACE: Duration = Duration::from_secs(20);
const KILLED: Duration = Duration::from_secs(5);

/// What was found of a lab.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// A running lab, whose supervisor was told to end.
    Running,
    /// Cgroups of a supervisor that was killed.
    Remains,
    Nothing,
}

/// Takes the lab of this state folder down. Machines, simulator and relay end with the supervisor, and with them every
/// process, mount, namespace and link. Only cgroup directories outlive a killed supervisor; they are found by name.
pub fn down(state: &StateDir) -> Result<Found, DownError> {
    let _exclusive = state.lock()?;
    down_locked(state)
}

/// As [`down`], for a caller that holds the lock.
pub(crate) fn down_locked(state: &StateDir) -> Result<Found, DownError> {
    let layout = Layout::detect()?;
    let mut found = Found::Nothing;
    if let Some(pid) = state.supervisor()? {
        found = Found::Running;
        end(state, pid)?;
    }
    let prefix = state.cgroup_prefix();
    if found == Found::Nothing && !layout.find(&prefix)?.is_empty() {
        found = Found::Remains;
    }
    let left = layout.sweep(&prefix, SWEEP_PATIENCE)?;
    if !left.is_empty() {
        return Err(DownError::Left { left });
    }
    state.clear()?;
    Ok(found)
}

fn end(state: &StateDir, pid: u32) -> Result<(), DownError> {
    for (signal, patience) in [(Signal::SIGTERM, GRACE), (Signal::SIGKILL, KILLED)] {
        // The supervisor held its lock a moment ago, so the process id is its own. An error means that it has ended.
        let _ = kill(Pid::from_raw(pid.cast_signed()), signal);
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if state.supervisor()? != Some(pid) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    Err(DownError::Stuck { pid })
}
