//! Reboots a node of a running lab, as a console's "restart" does.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::state::{StateDir, StateError};
use crate::supervisor::{Admin, CloudError};

/// A node could not be rebooted.
#[derive(Debug, thiserror::Error)]
pub enum RebootError {
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Cloud(#[from] CloudError),
    #[error("{0} is no node; the control machine keeps its data in memory and cannot be rebooted")]
    NoNode(String),
    #[error("cannot ask {machine} to reboot; is it still up?")]
    Ask {
        machine: String,
        #[source]
        source: nix::Error,
    },
    #[error("{machine} has not gone down after {} s; its machine.log may say why", patience.as_secs())]
    TooSlow { machine: String, patience: Duration },
}

/// How long the machine may take until nothing of its last boot is left.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(10);

/// Reboots a node, and powers its instance on again. Returns when the machine boots; its programs start afterwards.
pub fn reboot(state: &StateDir, admin: &Admin, node: &str) -> Result<(), RebootError> {
    if node == "control" {
        return Err(RebootError::NoNode(node.to_owned()));
    }
    let pid = state.machine_pid(node)?;
    let network = PathBuf::from(format!("/proc/{pid}/ns/net"));
    let before = fs::read_link(&network).ok();
    let ask = |source| RebootError::Ask {
        machine: node.to_owned(),
        source,
    };
    let number = i32::try_from(pid).map_err(|_| ask(nix::Error::ESRCH))?;
    kill(Pid::from_raw(number), Signal::SIGUSR1).map_err(ask)?;
    let deadline = Instant::now() + PATIENCE;
    // The new network is the last thing that changes before the machine waits for its NIC.
    while fs::read_link(&network).ok() == before {
        if Instant::now() > deadline {
            return Err(RebootError::TooSlow {
                machine: node.to_owned(),
                patience: PATIENCE,
            });
        }
        std::thread::sleep(LOOK);
    }
    Ok(admin.power_on(&format!("i-{node}"), pid)?)
}
