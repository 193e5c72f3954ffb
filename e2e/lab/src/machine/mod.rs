//! One machine of the lab: a set of namespaces whose first process is this program.
//!
//! The launcher makes cgroups and namespaces and starts the first process (`launch`), which arranges
//! the file systems (`mounts`), waits for its NIC and configures it (`network`), and then runs and
//! restarts what the machine is for (`tasks`). Killing the first process ends everything: processes,
//! mounts and network go with their namespaces.

pub mod launch;
mod mounts;
mod network;
pub mod tasks;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use crate::cgroup::Layout;
use tasks::Task;

/// Where a machine sees what it got from the host, whatever the host's paths are.
pub const HOME: &str = "/mnt/lab";

/// A folder of the host that the machine sees below [`HOME`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bind {
    pub host: PathBuf,
    pub name: String,
    pub writable: bool,
}

/// Everything about one machine; a value that the supervisor plans and the first process obeys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// Also its host name.
    pub name: String,
    pub cgroup: String,
    pub layout: Layout,
    /// Receives the process id of the first process, as the host counts.
    pub pid_file: PathBuf,
    pub binds: Vec<Bind>,
    pub address: Ipv4Net,
    pub gateway: Ipv4Addr,
    pub directories: Vec<PathBuf>,
    pub files: BTreeMap<PathBuf, String>,
    /// Link to target.
    pub links: BTreeMap<PathBuf, PathBuf>,
    pub tasks: Vec<Task>,
}
