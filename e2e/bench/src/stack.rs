//! The processes of a run: API server, cloud, and the control plane to be measured. All end with us.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use cloudsim::World;
use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use lab::bare::{Apiserver, Options};
use lab::binaries;
use lab::chart::Settings;
use lab::process::Tied;
use tempfile::TempDir;

use crate::args::Common;
use crate::cost::Meter;

/// User name of the control plane at the API server. It tells the control plane's requests from the benchmark's.
pub const CONTROLLER_USER: &str = "terway-controlplane";

/// API server and cloud, ready.
pub struct Stack {
    // Dropped in this order.
    apiserver: Apiserver,
    pub client: Client,
    cloudsim: Tied,
    /// `http://127.0.0.1:PORT`.
    pub cloud_url: String,
    dir: PathBuf,
    _temporary: Option<TempDir>,
}

impl Stack {
    /// Starts API server and cloud. Logs and data go to a folder of this name in `keep`, or to a temporary folder.
    pub async fn start(common: &Common, name: &str, world: &World) -> anyhow::Result<Self> {
        let (dir, temporary) = match &common.keep {
            Some(dir) => (dir.join(name), None),
            None => {
                let dir = tempfile::tempdir().context("making a folder for data and logs")?;
                (dir.path().to_owned(), Some(dir))
            }
        };
        std::fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
        let (cloudsim, cloud_url) = start_cloudsim(common, world, &dir).await?;
        let kube_dir = dir.join("kube");
        let options = Options::default().audit_policy(&audit_policy());
        let apiserver = tokio::task::spawn_blocking(move || Apiserver::start(kube_dir, options))
            .await
            .context("starting the API server")??;
        let client = client(&apiserver.kubeconfig).await?;
        Ok(Stack {
            apiserver,
            client,
            cloudsim,
            cloud_url,
            dir,
            _temporary: temporary,
        })
    }

    /// One line for every call that reached the cloud.
    pub fn call_log(&self) -> PathBuf {
        self.dir.join("calls.jsonl")
    }

    /// One line for every request of the control plane that reached the API server.
    pub fn audit_log(&self) -> PathBuf {
        self.apiserver.audit_log()
    }

    /// Starts the control plane.
    pub fn start_controller(&self, common: &Common, settings: &Settings) -> anyhow::Result<Tied> {
        let program = match &common.controlplane {
            Some(program) => program.clone(),
            None => binaries::own("terway-controlplane")?,
        };
        let config = self.write("ctrl-config.yaml", &settings.ctrl_config)?;
        let secret = self.write("ctrl-secret.yaml", "accessKey: lab-ak\naccessSecret: lab-sk\n")?;
        let kubeconfig = self
            .apiserver
            .kubeconfig_for(CONTROLLER_USER, &["system:masters"])?;
        let endpoint = self.cloud_url.trim_start_matches("http://");
        let mut command = Command::new(&program);
        command.arg(format!("-config={}", config.display()));
        command.arg(format!("-credential={}", secret.display()));
        command
            .env("KUBECONFIG", kubeconfig)
            .env("ALICLOUD_CLIENT_SCHEME", "HTTP");
        command
            .env("ECS_ENDPOINT", endpoint)
            .env("VPC_ENDPOINT", endpoint);
        command
            .env("POD_NAME", "bench-0")
            .env("POD_NAMESPACE", "kube-system")
            .env("POD_UID", "bench");
        command.env("NO_PROXY", "127.0.0.1").env("no_proxy", "127.0.0.1");
        Ok(Tied::start(
            "terway-controlplane",
            command,
            &self.dir.join("terway-controlplane.log"),
        )?)
    }

    /// Credentials for an agent.
    pub fn kubeconfig_of_an_agent(&self) -> anyhow::Result<PathBuf> {
        Ok(self
            .apiserver
            .kubeconfig_for("terway-agent", &["system:masters"])?)
    }

    /// The sources of figures, for this control plane.
    pub fn meter(&self, controller: &Tied) -> Meter {
        Meter {
            call_log: self.call_log(),
            audit_log: self.audit_log(),
            controller: controller.pid(),
        }
    }

    /// Fails when a process that must run has ended.
    pub fn check(&mut self, controller: &mut Tied) -> anyhow::Result<()> {
        for process in [&mut self.cloudsim, controller] {
            if let Some(status) = process.ended().context("looking after a process")? {
                bail!(
                    "{} ended ({status}); its log ends:\n{}",
                    process.name(),
                    process.log_tail()
                );
            }
        }
        Ok(())
    }

    fn write(&self, name: &str, text: &str) -> anyhow::Result<PathBuf> {
        let path = self.dir.join(name);
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        Ok(path)
    }
}

async fn start_cloudsim(common: &Common, world: &World, dir: &Path) -> anyhow::Result<(Tied, String)> {
    let program = match &common.cloudsim {
        Some(program) => program.clone(),
        None => binaries::own("cloudsim")?,
    };
    let world_file = dir.join("world.yaml");
    let text = serde_saphyr::to_string(world).context("writing the world as YAML")?;
    std::fs::write(&world_file, text).with_context(|| format!("writing {}", world_file.display()))?;
    let log = dir.join("cloudsim.log");
    let mut command = Command::new(program);
    command
        .arg("--world")
        .arg(&world_file)
        .args(["--listen", "127.0.0.1:0"]);
    command
        .arg("--admin")
        .arg(format!("unix:{}", dir.join("admin.sock").display()));
    command
        .arg("--call-log")
        .arg(dir.join("calls.jsonl"))
        .env("RUST_LOG", "warn");
    let mut process = Tied::start("cloudsim", command, &log)?;
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        if let Some(url) = announced(&text) {
            return Ok((process, url));
        }
        if let Some(status) = process.ended()? {
            bail!("cloudsim ended ({status}); its log ends:\n{}", process.log_tail());
        }
        if Instant::now() > deadline {
            return Err(anyhow!(
                "cloudsim said nothing for a minute; its log ends:\n{}",
                process.log_tail()
            ));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The address in the line that cloudsim prints when its ports are open.
fn announced(log: &str) -> Option<String> {
    let line = log
        .lines()
        .find_map(|line| line.strip_prefix("cloudsim ready: OpenAPI "))?;
    Some(line.split(',').next()?.trim().to_owned())
}

/// A client of our own, with these credentials.
pub async fn client(kubeconfig: &Path) -> anyhow::Result<Client> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

/// An audit policy: the requests of the control plane, without their bodies.
fn audit_policy() -> String {
    format!(
        "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules:\n\
         - {{level: Metadata, users: [{CONTROLLER_USER}]}}\n- {{level: None}}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_taken_from_the_announcement() {
        let log = "noise\ncloudsim ready: OpenAPI http://127.0.0.1:4711, admin unix:/x\n";
        assert_eq!(announced(log).as_deref(), Some("http://127.0.0.1:4711"));
        assert_eq!(announced("cloudsim re"), None);
    }
}
