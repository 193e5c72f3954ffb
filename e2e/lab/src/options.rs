//! The options of a lab.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Default of the port on 127.0.0.1 that leads to the API server.
pub const DEFAULT_PORT: u16 = 16443;

/// How kube-proxy makes Services: its own `mode`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum ProxyMode {
    #[default]
    Nftables,
    Iptables,
}

/// The options of a lab. The default is the cluster of the demo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    /// Folder of the lab's files. Two labs in two folders can run side by side.
    pub state_dir: Option<PathBuf>,
    /// The loopback port of the API server; 0 takes a free one.
    pub port: u16,
    /// Kubernetes nodes by name; `node1` is the instance `i-node1` of the world.
    pub nodes: Vec<String>,
    /// The simulator's world file; the documented example when absent.
    pub world: Option<PathBuf>,
    /// Flags for kube-apiserver by name, without dashes; they replace ours of the same name.
    pub apiserver_flags: BTreeMap<String, String>,
    /// An audit policy (YAML); events go to `logs/control/audit.log`, one JSON object a line.
    pub audit_policy: Option<String>,
    /// Seconds without a heartbeat after which a node counts as lost.
    pub node_grace_seconds: u32,
    /// How kube-proxy makes Services on every node.
    pub kube_proxy: ProxyMode,
    /// How long `up` may take.
    pub patience: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            state_dir: None,
            port: DEFAULT_PORT,
            nodes: vec!["node1".to_owned(), "node2".to_owned()],
            world: None,
            apiserver_flags: BTreeMap::new(),
            audit_policy: None,
            node_grace_seconds: 40,
            kube_proxy: ProxyMode::default(),
            patience: Duration::from_secs(240),
        }
    }
}
