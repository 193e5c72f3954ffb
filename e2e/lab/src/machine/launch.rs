//! Starts a machine from its plan: cgroups, namespaces and the first process. The first process ends with the launcher.

use std::convert::Infallible;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use super::{Spec, mounts, network, reboot, tasks};
use crate::cgroup::CgroupError;
use crate::process::die_with_thread;
use crate::state::{self, StateError};

/// Starting a machine failed.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    #[error(transparent)]
    State(#[from] StateError),
    #[error("{} is not the plan of a machine", path.display())]
    Spec {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    #[error("cannot {act}; the lab needs root")]
    System {
        act: &'static str,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Mount(#[from] mounts::MountError),
    #[error(transparent)]
    Network(#[from] network::NetworkError),
    #[error(transparent)]
    Tasks(#[from] tasks::TaskError),
    #[error("the first process of the machine ended: {status}")]
    Ended { status: String },
    #[error("the launcher of this machine is gone")]
    Orphan,
}

pub(super) fn system(act: &'static str) -> impl Fn(nix::Error) -> LaunchError {
    move |source| LaunchError::System {
        act,
        source: source.into(),
    }
}

/// Runs the launcher: creates the namespaces, starts the first process in them and waits for its end. The launcher has
/// one thread only, because a process that has unshared its PID namespace cannot create threads (man page
/// pid_namespaces(7)).
pub fn launch(spec_path: &Path) -> Result<Infallible, LaunchError> {
    let spec = load(spec_path)?;
    spec.layout.create(&spec.cgroup)?;
    spec.layout.enter(&spec.cgroup, || {
        let all = CloneFlags::CLONE_NEWNS
            | CloneFlags::CLONE_NEWNET
            | CloneFlags::CLONE_NEWUTS
            | CloneFlags::CLONE_NEWIPC
            | CloneFlags::CLONE_NEWPID
            | CloneFlags::CLONE_NEWCGROUP;
        unshare(all).map_err(system("begin the namespaces of a machine"))
    })?;
    // Private propagation keeps the machine's mounts off the host.
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>)
        .map_err(system("separate the machine's mounts from the host's"))?;

    let mut command = Command::new("/proc/self/exe");
    command.arg("machine-init").arg(spec_path).stdin(Stdio::piped());
    die_with_thread(&mut command);
    let io = |act| move |source| LaunchError::System { act, source };
    let mut child = command
        .spawn()
        .map_err(io("start the first process of a machine"))?;
    state::write(&spec.pid_file, &child.id().to_string())?;
    // The pipe is taken out, because `Child::wait` would close it. It stays open while the launcher lives.
    let mut go = child.stdin.take();
    if let Some(pipe) = &mut go {
        pipe.write_all(b"g")
            .map_err(io("let the first process of a machine begin"))?;
    }
    let status = child
        .wait()
        .map_err(io("wait for the first process of a machine"))?;
    Err(LaunchError::Ended {
        status: status.to_string(),
    })
}

/// The first process of a machine.
pub fn init(spec_path: &Path) -> Result<Infallible, LaunchError> {
    // The launcher sends a byte when it has written the process id. It shares this process's mounts, which become
    // read-only next. If no byte comes, the launcher died before the parent-death signal was set.
    let mut go = [0];
    match io::stdin().read(&mut go) {
        Ok(1) => {}
        Ok(_) | Err(_) => return Err(LaunchError::Orphan),
    }
    let spec = load(spec_path)?;
    nix::unistd::sethostname(&spec.name).map_err(system("set the machine's host name"))?;
    mounts::arrange(&spec)?;
    loop {
        network::configure(spec.address, spec.gateway)?;
        let tasks::Rebooting = tasks::run(&spec.tasks)?;
        reboot::go_down()?;
        mounts::arrange_anew(&spec)?;
    }
}

fn load(path: &Path) -> Result<Spec, LaunchError> {
    let text = state::read(path)?;
    serde_json::from_str(&text).map_err(|source| LaunchError::Spec {
        path: path.to_path_buf(),
        source,
    })
}
