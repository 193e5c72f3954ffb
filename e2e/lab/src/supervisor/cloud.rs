//! The simulated cloud: the simulator's process in a network namespace of its own, and its admin API.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::json;

use crate::binaries::{self, NotFound};
use crate::http1::{self, Answer};
use crate::process::{SpawnError, Tied};
use crate::state::{StateDir, StateError};

/// Why a request to the simulator failed.
#[derive(Debug, thiserror::Error)]
pub enum CloudError {
    #[error(transparent)]
    Binary(#[from] NotFound),
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    #[error(transparent)]
    State(#[from] StateError),
    #[error("the simulator does not answer on {}", socket.display())]
    Exchange {
        socket: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the simulator refused {method} {path} with {status}: {body}")]
    Refused {
        method: &'static str,
        path: String,
        status: u16,
        body: String,
    },
}

/// The admin API of a running simulator.
#[derive(Debug, Clone)]
pub struct Admin {
    socket: PathBuf,
}

impl Admin {
    pub fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// The JSON body of a GET.
    pub fn get(&self, path: &str) -> Result<String, CloudError> {
        self.call("GET", path, None)
    }

    /// Powers an instance on. Its NICs appear in the network namespace of the process `pid`.
    pub(crate) fn power_on(&self, instance: &str, pid: u32) -> Result<(), CloudError> {
        let body = json!({"path": format!("/proc/{pid}/ns/net")}).to_string();
        self.call("PUT", &format!("/instances/{instance}/netns"), Some(&body))
            .map(|_| ())
    }

    fn call(&self, method: &'static str, path: &str, body: Option<&str>) -> Result<String, CloudError> {
        let exchange = || -> io::Result<Answer> {
            let mut stream = UnixStream::connect(&self.socket)?;
            let patience = Some(Duration::from_secs(10));
            stream.set_read_timeout(patience)?;
            stream.set_write_timeout(patience)?;
            http1::exchange(&mut stream, "cloudsim", method, path, body)
        };
        let answer = exchange().map_err(|source| CloudError::Exchange {
            socket: self.socket.clone(),
            source,
        })?;
        if (200..300).contains(&answer.status) {
            return Ok(answer.body);
        }
        Err(CloudError::Refused {
            method,
            path: path.to_owned(),
            status: answer.status,
            body: answer.body.trim().to_owned(),
        })
    }
}

/// Starts the simulator on the world of the state folder.
pub(super) fn start(state: &StateDir) -> Result<Tied, CloudError> {
    // A subcommand of `lab` creates the namespace and then executes the simulator in it.
    let lab = std::env::current_exe().map_err(NotFound::CurrentExe)?;
    let mut command = Command::new(lab);
    command.arg("in-own-network").arg(binaries::own("cloudsim")?);
    command.arg("--world").arg(state.world());
    command.args(["--listen", "0.0.0.0:80", "--fabric"]);
    command
        .arg("--admin")
        .arg(format!("unix:{}", state.admin_socket().display()));
    command.arg("--call-log").arg(state.call_log());
    Ok(Tied::start("cloudsim", command, &log(state))?)
}

pub(super) fn log(state: &StateDir) -> PathBuf {
    state.machine_logs("lab").join("cloudsim.log")
}

/// Creates a network namespace, brings up its loopback and executes `program`. The namespace ends with the program.
pub fn become_in_own_network(program: &Path, arguments: &[std::ffi::OsString]) -> io::Error {
    use std::os::unix::process::CommandExt;
    if let Err(err) = nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET) {
        return err.into();
    }
    let ip = match binaries::system("ip") {
        Ok(ip) => ip,
        Err(err) => return io::Error::other(err),
    };
    match Command::new(ip).args(["link", "set", "lo", "up"]).status() {
        Ok(status) if status.success() => Command::new(program).args(arguments).exec(),
        Ok(status) => io::Error::other(format!("`ip link set lo up` ended with {status}")),
        Err(err) => err,
    }
}
