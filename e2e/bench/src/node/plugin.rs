//! CNI plugins, called as a container runtime calls them.

use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use lab::binaries;
use serde_json::{Value, json};

use super::Pod;
use crate::cluster;

/// Folder of the plugins in Debian's package containernetworking-plugins.
const REFERENCE_DIR: &str = "/usr/lib/cni";

/// A plugin and its configuration.
#[derive(Debug, Clone)]
pub struct Plugin {
    pub name: &'static str,
    program: PathBuf,
    config: Value,
}

impl Plugin {
    /// The product's plugin, which asks the agent at this socket.
    pub fn ours(socket: &Path) -> anyhow::Result<Self> {
        let config = json!({"cniVersion": "0.4.0", "name": "terway", "type": "terway", "socket": socket});
        Ok(Plugin {
            name: "terway",
            program: binaries::own("terway")?,
            config,
        })
    }

    /// `ptp` with `host-local`, which keeps its addresses in this folder.
    pub fn reference(dir: &Path) -> anyhow::Result<Self> {
        let program = Path::new(REFERENCE_DIR).join("ptp");
        if !program.is_file() {
            bail!(
                "no {}; install Debian's containernetworking-plugins",
                program.display()
            );
        }
        let ipam = json!({"type": "host-local", "subnet": "10.250.0.0/16", "dataDir": dir,
            "routes": [{"dst": "0.0.0.0/0"}]});
        let config = json!({"cniVersion": "0.4.0", "name": "reference", "type": "ptp", "ipam": ipam});
        Ok(Plugin {
            name: "ptp+host-local",
            program,
            config,
        })
    }

    /// Makes one call. The time includes the start of the process.
    pub fn call(&self, verb: &str, container: &str, pod: &Pod) -> anyhow::Result<Duration> {
        let netns = format!("/proc/{}/fd/{}", std::process::id(), pod.netns.as_raw_fd());
        let args = format!(
            "IgnoreUnknown=1;K8S_POD_NAMESPACE={};K8S_POD_NAME={};K8S_POD_UID={}",
            cluster::NAMESPACE,
            pod.name,
            pod.uid
        );
        let mut command = Command::new(&self.program);
        command
            .env("CNI_COMMAND", verb)
            .env("CNI_CONTAINERID", container)
            .env("CNI_NETNS", netns)
            .env("CNI_IFNAME", "eth0")
            .env("CNI_ARGS", args)
            .env("CNI_PATH", REFERENCE_DIR)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let asked = Instant::now();
        let mut child = command
            .spawn()
            .with_context(|| format!("starting {}", self.program.display()))?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin
                .write_all(self.config.to_string().as_bytes())
                .with_context(|| format!("telling {} its configuration", self.name))?;
        }
        let output = child
            .wait_with_output()
            .with_context(|| format!("waiting for {}", self.name))?;
        let took = asked.elapsed();
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stdout);
            bail!("{} {verb} of {} failed: {said}", self.name, pod.name);
        }
        Ok(took)
    }
}
