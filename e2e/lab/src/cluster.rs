//! A lab, for Rust programs: a test brings a lab up, uses it and drops it.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use crate::binaries::{self, NotFound};
use crate::cgroup::{CgroupError, Layout};
use crate::down::{DownError, down_locked};
use crate::https::{Client, HttpsError};
use crate::kubeconfig::kubeconfig;
use crate::options::Options;
use crate::pki::{Authority, Identity, PkiError};
use crate::state::{self, Running, StateDir, StateError};
use crate::supervisor::{Admin, KEEP, Progress};

/// A lab could not be brought up or used.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Binary(#[from] NotFound),
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    #[error("what a former lab left could not be cleared")]
    Clear(#[from] DownError),
    #[error(transparent)]
    Pki(#[from] PkiError),
    #[error(transparent)]
    Https(#[from] HttpsError),
    #[error("the lab needs root: it makes namespaces, mounts and network devices")]
    NotRoot,
    #[error("a lab with {} is up already in {}; take it down first with `lab down`", machines.join(", "), dir.display())]
    Up { dir: PathBuf, machines: Vec<String> },
    #[error("cannot start the lab's supervisor")]
    Supervisor(#[source] io::Error),
    #[error("the lab did not come up: {message}")]
    Failed { message: String },
    #[error("the lab's supervisor ended without a word; its log is {}", log.display())]
    Silent { log: PathBuf },
}

/// A running lab. A lab of [`Cluster::up`] ends when this value is dropped and when this process dies, unless it was
/// detached. A lab of [`Cluster::attach`] stays.
pub struct Cluster {
    state: StateDir,
    running: Running,
    supervisor: Option<Supervised>,
}

/// The supervisor that this process started, and the pipe whose end ends the supervisor.
struct Supervised {
    child: Child,
    lease: Option<ChildStdin>,
}

impl Cluster {
    /// Brings a lab up and waits until its nodes are registered. The nodes are not Ready, because there is no network
    /// plugin yet. This call blocks for about ten seconds; `say` gets each step as a sentence.
    pub fn up(options: &Options, mut say: impl FnMut(&str)) -> Result<Self, ClusterError> {
        if !nix::unistd::geteuid().is_root() {
            return Err(ClusterError::NotRoot);
        }
        let state = open(options)?;
        let _exclusive = state.lock()?;
        if let Some(running) = state.running()? {
            return Err(ClusterError::Up {
                dir: state.root().to_path_buf(),
                machines: running.machines,
            });
        }
        Layout::detect()?;
        down_locked(&state)?;
        prepare(&state, options)?;
        let mut supervised = start_supervisor(&state)?;
        let port = follow(&state, &mut supervised, &mut say)?;
        let running = state.running()?.ok_or_else(|| StateError::NotUp {
            dir: state.root().to_path_buf(),
        })?;
        debug_assert_eq!(port, running.port);
        Ok(Self {
            state,
            running,
            supervisor: Some(supervised),
        })
    }

    /// Attaches to a lab that is up. Dropping the result does not end the lab.
    pub fn attach(options: &Options) -> Result<Self, ClusterError> {
        let state = open(options)?;
        let running = state.running()?.ok_or_else(|| StateError::NotUp {
            dir: state.root().to_path_buf(),
        })?;
        Ok(Self {
            state,
            running,
            supervisor: None,
        })
    }

    /// Lets the lab stay when this process ends.
    pub fn detach(mut self) -> Result<(), ClusterError> {
        if let Some(mut supervised) = self.supervisor.take()
            && let Some(mut lease) = supervised.lease.take()
        {
            lease.write_all(&[KEEP]).map_err(ClusterError::Supervisor)?;
        }
        Ok(())
    }

    /// Takes the lab down.
    ///
    /// # Errors
    /// When something of the lab is left.
    pub fn down(mut self) -> Result<(), ClusterError> {
        self.end()
    }

    fn end(&mut self) -> Result<(), ClusterError> {
        let Some(mut supervised) = self.supervisor.take() else {
            return Ok(());
        };
        drop(supervised.lease.take());
        let _exclusive = self.state.lock()?;
        down_locked(&self.state)?;
        supervised.child.wait().map_err(ClusterError::Supervisor)?;
        Ok(())
    }

    pub fn state(&self) -> &StateDir {
        &self.state
    }

    /// An administrator's kubeconfig that works on this host.
    pub fn kubeconfig(&self) -> PathBuf {
        self.state.kubeconfig()
    }

    /// The machines by name: `control`, then the nodes.
    pub fn machines(&self) -> &[String] {
        &self.running.machines
    }

    /// URL of the API server: `https://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.running.port)
    }

    /// Writes a kubeconfig for another user into the state folder.
    pub fn kubeconfig_for(&self, user: &str, groups: &[&str]) -> Result<PathBuf, ClusterError> {
        let authority = self.authority()?;
        let pair = authority.issue(&Identity::new(user, groups), &[], &[])?;
        let path = self
            .state
            .machines()
            .join(format!("{}.kubeconfig", user.replace([':', '/'], "-")));
        state::write(&path, &kubeconfig(&self.url(), &authority, &pair))?;
        Ok(path)
    }

    /// The simulator's admin API.
    pub fn admin(&self) -> Admin {
        Admin::new(self.state.admin_socket())
    }

    /// kubectl, pointed at this lab.
    pub fn kubectl(&self) -> Result<Command, ClusterError> {
        self.tool("kubectl")
    }

    /// Helm, pointed at this lab.
    pub fn helm(&self) -> Result<Command, ClusterError> {
        self.tool("helm")
    }

    fn tool(&self, name: &str) -> Result<Command, ClusterError> {
        let mut command = Command::new(binaries::kubernetes(name)?);
        command.env("KUBECONFIG", self.kubeconfig());
        // The user's discovery cache may be of another cluster with the same address.
        command.env("KUBECACHEDIR", self.state.machines().join("kubectl-cache"));
        Ok(command)
    }

    /// A command that runs its program in a machine, in all its namespaces.
    pub fn exec(&self, machine: &str) -> Result<Command, ClusterError> {
        let mut command = Command::new(binaries::own("lab")?);
        command
            .arg("--state-dir")
            .arg(self.state.root())
            .args(["exec", machine, "--"]);
        Ok(command)
    }

    /// A client of the API server for simple requests.
    pub fn client(&self) -> Result<Client, ClusterError> {
        let authority = self.authority()?;
        let admin = authority.issue(&Identity::admin(), &[], &[])?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.running.port));
        Ok(Client::new(address, authority.certificate(), &admin)?)
    }

    fn authority(&self) -> Result<Authority, ClusterError> {
        let (certificate, key) = self.state.authority();
        Ok(Authority::load(state::read(&certificate)?, &state::read(&key)?)?)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Err(err) = self.end() {
            eprintln!(
                "the lab could not be taken down: {}",
                crate::supervisor::chain(&err)
            );
        }
    }
}

/// The state folder that the options name.
pub fn open(options: &Options) -> Result<StateDir, StateError> {
    match &options.state_dir {
        Some(path) => StateDir::open(path),
        None => StateDir::open(&StateDir::default_path()?),
    }
}

fn prepare(state: &StateDir, options: &Options) -> Result<(), StateError> {
    // The logs of the previous lab stay until the next lab begins.
    let logs = state.logs();
    if logs.exists() {
        std::fs::remove_dir_all(&logs).map_err(|source| StateError::Io {
            act: "remove the old",
            path: logs.clone(),
            source,
        })?;
    }
    let path = state.options();
    let text = serde_json::to_string_pretty(options).map_err(|source| StateError::Malformed {
        path: path.clone(),
        source,
    })?;
    state::write(&path, &text)
}

fn supervisor_log(state: &StateDir) -> PathBuf {
    state.machine_logs("lab").join("supervisor.log")
}

fn start_supervisor(state: &StateDir) -> Result<Supervised, ClusterError> {
    let log = supervisor_log(state);
    let open = || -> io::Result<std::fs::File> {
        std::fs::create_dir_all(log.parent().unwrap_or(Path::new("/")))?;
        std::fs::File::create(&log)
    };
    let mut child = Command::new(binaries::own("lab")?)
        .arg("supervise")
        .arg(state.root())
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(open().map_err(ClusterError::Supervisor)?)
        .spawn()
        .map_err(ClusterError::Supervisor)?;
    let lease = child.stdin.take();
    Ok(Supervised { child, lease })
}

/// Reports the supervisor's steps until the lab is ready or has failed.
fn follow(
    state: &StateDir,
    supervised: &mut Supervised,
    say: &mut impl FnMut(&str),
) -> Result<u16, ClusterError> {
    let silent = || ClusterError::Silent {
        log: supervisor_log(state),
    };
    let out = supervised.child.stdout.take().ok_or_else(silent)?;
    let mut result = Err(silent());
    for line in BufReader::new(out).lines() {
        match line.ok().and_then(|line| serde_json::from_str(&line).ok()) {
            Some(Progress::Step(text)) => say(&text),
            Some(Progress::Ready { port }) => return Ok(port),
            Some(Progress::Failed(message)) => result = Err(ClusterError::Failed { message }),
            None => break,
        }
    }
    // The supervisor's output ended, so the supervisor has ended. The next `up` removes what it left.
    drop(supervised.lease.take());
    supervised.child.wait().map_err(ClusterError::Supervisor)?;
    result
}
