//! One machine of the lab: a set of namespaces whose first process is this program.
//!
//! The launcher creates cgroups and namespaces and starts the first process (`launch`). The first process mounts the
//! file systems (`mounts`), waits for its NIC and configures it (`network`), and runs the machine's programs (`tasks`).
//! Killing the first process ends the machine: processes, mounts and network end with their namespaces. SIGUSR1 lets it
//! reboot (`reboot`).

pub mod launch;
mod mounts;
mod network;
mod reboot;
pub mod tasks;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use crate::cgroup::Layout;
use tasks::Task;

/// The folder of a machine that contains the files from the host, whatever their paths on the host are.
pub const HOME: &str = "/mnt/lab";

/// A folder of the host that the machine sees below [`HOME`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bind {
    pub host: PathBuf,
    pub name: String,
    pub writable: bool,
}

/// The plan of one machine. The supervisor makes it, and the machine's first process carries it out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// Name and host name of the machine.
    pub name: String,
    pub cgroup: String,
    pub layout: Layout,
    /// File for the process id of the first process, in the host's PID namespace.
    pub pid_file: PathBuf,
    pub binds: Vec<Bind>,
    pub address: Ipv4Net,
    pub gateway: Ipv4Addr,
    pub directories: Vec<PathBuf>,
    pub files: BTreeMap<PathBuf, String>,
    /// Symbolic links, each with its target.
    pub links: BTreeMap<PathBuf, PathBuf>,
    pub tasks: Vec<Task>,
}
