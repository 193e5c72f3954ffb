//! The programs of a machine. The first process starts a program when its conditions hold, restarts it when it ends,
//! and reaps it and all orphans.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use serde::{Deserialize, Serialize};

use super::HOME;
use crate::https::Client;
use crate::pki::Pair;
use crate::state;

/// The first process cannot do its work.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    #[error("cannot receive signals")]
    Signals(#[source] nix::Error),
    #[error("cannot wait for child processes")]
    Wait(#[source] nix::Error),
    #[error("told to end")]
    Terminated,
}

/// When a task may start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Condition {
    /// A program listens on this unix socket.
    Listens(PathBuf),
    /// The API server at this address is ready. Certificate files are PEM.
    ApiserverReady {
        address: SocketAddr,
        ca: PathBuf,
        certificate: PathBuf,
        key: PathBuf,
    },
    /// The task of this name has succeeded.
    Done(String),
}

/// A program of the machine. Its output goes to `log/NAME.log`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    pub name: String,
    pub argv: Vec<String>,
    pub after: Vec<Condition>,
    /// Whether the task succeeds once and is not restarted afterwards.
    pub once: bool,
}

/// The state of a task. `log/tasks.json` maps names of tasks to states.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum TaskState {
    Waiting,
    Running { pid: i32, starts: u32 },
    Restarting { last: String, starts: u32 },
    Done,
}

/// Time between the end of a task and its next start. It is short, because tests kill kubelets and wait for them.
const RESTART_AFTER: Duration = Duration::from_millis(200);
const CHECK_EVERY: Duration = Duration::from_millis(50);

/// Path of the states, relative to [`HOME`].
pub const STATES_FILE: &str = "log/tasks.json";

struct Runner<'a> {
    tasks: &'a [Task],
    states: BTreeMap<String, TaskState>,
    not_before: BTreeMap<String, Instant>,
}

/// The machine was asked to reboot.
pub(super) struct Rebooting;

/// Runs the tasks until the machine is killed or asked to reboot (SIGUSR1).
pub(super) fn run(tasks: &[Task]) -> Result<Rebooting, TaskError> {
    let mut mask = SigSet::empty();
    mask.add(Signal::SIGCHLD);
    mask.add(Signal::SIGTERM);
    mask.add(Signal::SIGUSR1);
    mask.thread_block().map_err(TaskError::Signals)?;
    let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
    let signals = SignalFd::with_flags(&mask, flags).map_err(TaskError::Signals)?;
    let states = tasks
        .iter()
        .map(|task| (task.name.clone(), TaskState::Waiting))
        .collect();
    let mut runner = Runner {
        tasks,
        states,
        not_before: BTreeMap::new(),
    };
    loop {
        runner.start_what_may();
        let mut fds = [PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, runner.patience()) {
            Ok(_) | Err(nix::Error::EINTR) => {}
            Err(err) => return Err(TaskError::Signals(err)),
        }
        while let Some(signal) = signals.read_signal().map_err(TaskError::Signals)? {
            if signal.ssi_signo == Signal::SIGTERM as u32 {
                return Err(TaskError::Terminated);
            }
            if signal.ssi_signo == Signal::SIGUSR1 as u32 {
                return Ok(Rebooting);
            }
        }
        runner.reap()?;
    }
}

impl Runner<'_> {
    fn start_what_may(&mut self) {
        let now = Instant::now();
        for task in self.tasks {
            let starts = match self.states.get(&task.name) {
                Some(TaskState::Waiting) => 0,
                Some(TaskState::Restarting { starts, .. }) => *starts,
                Some(TaskState::Running { .. } | TaskState::Done) | None => continue,
            };
            let rested = self.not_before.get(&task.name).is_none_or(|time| now >= *time);
            if !rested || !task.after.iter().all(|condition| self.holds(condition)) {
                continue;
            }
            let state = match start(task) {
                Ok(pid) => TaskState::Running {
                    pid,
                    starts: starts + 1,
                },
                Err(err) => self.rest(&task.name, format!("cannot start: {err}"), starts),
            };
            self.set(&task.name, state);
        }
    }

    /// How long to wait for a signal: without limit, unless a task waits for a condition that sends no signal.
    fn patience(&self) -> PollTimeout {
        let pending = |state: &TaskState| matches!(state, TaskState::Waiting | TaskState::Restarting { .. });
        if self.states.values().any(pending) {
            PollTimeout::try_from(CHECK_EVERY).unwrap_or(PollTimeout::ZERO)
        } else {
            PollTimeout::NONE
        }
    }

    fn reap(&mut self) -> Result<(), TaskError> {
        loop {
            let (pid, how, success) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) => (pid, format!("exited {code}"), code == 0),
                Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, format!("killed by {signal}"), false),
                Ok(WaitStatus::StillAlive) | Err(nix::Error::ECHILD) => return Ok(()),
                Ok(_) | Err(nix::Error::EINTR) => continue,
                Err(err) => return Err(TaskError::Wait(err)),
            };
            let ended = self
                .tasks
                .iter()
                .find_map(|task| match self.states.get(&task.name) {
                    Some(TaskState::Running { pid: its, starts }) if *its == pid.as_raw() => {
                        Some((task, *starts))
                    }
                    _ => None,
                });
            // A process that is no task is an orphan of a container. `waitpid` has reaped it.
            let Some((task, starts)) = ended else { continue };
            let state = if task.once && success {
                TaskState::Done
            } else {
                eprintln!("{}: {how}", task.name);
                self.rest(&task.name, how, starts)
            };
            self.set(&task.name, state);
        }
    }

    fn rest(&mut self, name: &str, last: String, starts: u32) -> TaskState {
        self.not_before
            .insert(name.to_owned(), Instant::now() + RESTART_AFTER);
        TaskState::Restarting { last, starts }
    }

    fn set(&mut self, name: &str, state: TaskState) {
        self.states.insert(name.to_owned(), state);
        let path = Path::new(HOME).join(STATES_FILE);
        let text = serde_json::to_string_pretty(&self.states).unwrap_or_default();
        // The machine goes on without the report, which is for people only.
        if let Err(err) = state::write(&path, &text) {
            eprintln!("{err}");
        }
    }

    fn holds(&self, condition: &Condition) -> bool {
        match condition {
            Condition::Listens(path) => UnixStream::connect(path).is_ok(),
            Condition::Done(name) => self.states.get(name) == Some(&TaskState::Done),
            Condition::ApiserverReady {
                address,
                ca,
                certificate,
                key,
            } => apiserver_ready(*address, ca, certificate, key).unwrap_or(false),
        }
    }
}

fn apiserver_ready(address: SocketAddr, ca: &Path, certificate: &Path, key: &Path) -> io::Result<bool> {
    let pair = Pair {
        certificate: std::fs::read_to_string(certificate)?,
        key: std::fs::read_to_string(key)?,
    };
    let client = Client::new(address, &std::fs::read_to_string(ca)?, &pair).map_err(io::Error::other)?;
    Ok(client.ready())
}

/// Starts a task and returns its process id. The handle is dropped, because `waitpid` reports the ends of all children.
fn start(task: &Task) -> io::Result<i32> {
    let log = Path::new(HOME).join("log").join(format!("{}.log", task.name));
    let out = OpenOptions::new().create(true).append(true).open(log)?;
    let (program, arguments) = task
        .argv
        .split_first()
        .ok_or_else(|| io::Error::other("a task without a program"))?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir("/")
        .stdin(Stdio::null())
        .stderr(out.try_clone()?)
        .stdout(out);
    command.env_clear().envs(environment());
    Ok(command.spawn()?.id().cast_signed())
}

/// The environment of all programs of a machine. The host's environment (proxies, credentials) is not passed on.
pub fn environment() -> [(&'static str, String); 2] {
    let path = format!("{HOME}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    [("PATH", path), ("HOME", "/var/tmp".to_owned())]
}
