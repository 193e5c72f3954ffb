//! The control plane as processes that are killed, stopped and started again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use lab::binaries;
use lab::process::Tied;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use parking_lot::Mutex;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::settings::{Times, shipped};
use crate::world;

/// How often ended processes are looked for. The next process of a name starts so much later, as with a kubelet.
const RESTART: Duration = Duration::from_millis(50);

/// The surroundings of every replica of a lane.
#[derive(Debug, Clone)]
pub struct Setup {
    pub dir: PathBuf,
    pub kubeconfig: PathBuf,
    /// `127.0.0.1:PORT` of the cloud.
    pub endpoint: String,
}

/// The present process of a replica.
struct Replica {
    process: Tied,
    stopped: bool,
}

/// Runs replicas and starts them again when they end, as a kubelet does.
pub struct Keeper {
    shared: Arc<Shared>,
    watching: JoinHandle<()>,
}

struct Shared {
    setup: Setup,
    config: PathBuf,
    secret: PathBuf,
    replicas: Mutex<BTreeMap<String, Replica>>,
    restarts: AtomicU64,
}

impl Keeper {
    /// Starts replicas of these names.
    pub fn start(setup: &Setup, times: &Times, names: &[&str]) -> Result<Keeper> {
        let config = write(&setup.dir, "ctrl-config.yaml", &shipped(times)?.ctrl_config)?;
        let secret = json!({"accessKey": world::ACCESS_KEY, "accessSecret": world::ACCESS_SECRET});
        let secret = write(&setup.dir, "ctrl-secret.yaml", &secret.to_string())?;
        let shared = Arc::new(Shared {
            setup: setup.clone(),
            config,
            secret,
            replicas: Mutex::default(),
            restarts: AtomicU64::new(0),
        });
        for name in names {
            // Each run has its own log.
            let _ = std::fs::remove_file(shared.log_of(name));
            shared.launch(name)?;
        }
        let watching = tokio::spawn(watch(shared.clone()));
        Ok(Keeper { shared, watching })
    }

    /// Kills a replica as the kernel does when memory is short; a new process follows at once.
    pub fn kill(&self, name: &str) -> Result<()> {
        // Dropping the process kills it and waits for its end.
        drop(self.shared.replicas.lock().remove(name));
        self.shared.restarts.fetch_add(1, Ordering::Relaxed);
        self.shared.launch(name)
    }

    /// Kills every replica. The next processes begin when the result is dropped.
    pub fn down(&self) -> Down {
        let replicas = std::mem::take(&mut *self.shared.replicas.lock());
        Down {
            shared: self.shared.clone(),
            names: replicas.into_keys().collect(),
        }
    }

    /// Asks a replica to end, as a rollout does; a new process follows when it has.
    pub fn ask_to_end(&self, name: &str) -> Result<()> {
        self.signal(name, Signal::SIGTERM)
    }

    /// Stops a replica with SIGSTOP.
    pub fn freeze(&self, name: &str) -> Result<()> {
        if let Some(replica) = self.shared.replicas.lock().get_mut(name) {
            replica.stopped = true;
        }
        self.signal(name, Signal::SIGSTOP)
    }

    /// Lets a stopped replica go on with SIGCONT.
    pub fn thaw(&self, name: &str) -> Result<()> {
        if let Some(replica) = self.shared.replicas.lock().get_mut(name) {
            replica.stopped = false;
        }
        self.signal(name, Signal::SIGCONT)
    }

    /// Ends every replica; none follows.
    pub fn stop(&self) {
        self.watching.abort();
        self.shared.replicas.lock().clear();
    }

    /// Names of all replicas.
    pub fn names(&self) -> Vec<String> {
        self.shared.replicas.lock().keys().cloned().collect()
    }

    /// How often a process ended and another one took its place.
    pub fn restarts(&self) -> u64 {
        self.shared.restarts.load(Ordering::Relaxed)
    }

    /// Log of a replica, with all its processes of a run.
    pub fn log_of(&self, name: &str) -> PathBuf {
        self.shared.log_of(name)
    }

    fn signal(&self, name: &str, signal: Signal) -> Result<()> {
        let replicas = self.shared.replicas.lock();
        let replica = replicas
            .get(name)
            .ok_or_else(|| anyhow!("there is no replica {name}"))?;
        let pid = Pid::from_raw(i32::try_from(replica.process.pid())?);
        kill(pid, signal).with_context(|| format!("sending {signal} to replica {name}"))
    }
}

/// No replica runs, until this is dropped.
pub struct Down {
    shared: Arc<Shared>,
    names: Vec<String>,
}

impl Drop for Down {
    fn drop(&mut self) {
        for name in &self.names {
            self.shared.restarts.fetch_add(1, Ordering::Relaxed);
            // A program that cannot be started shows as a run that does not converge.
            let _ = self.shared.launch(name);
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn log_of(&self, name: &str) -> PathBuf {
        self.setup.dir.join(format!("{name}.log"))
    }

    fn launch(&self, name: &str) -> Result<()> {
        let program = binaries::own("terway-controlplane")?;
        let mut command = Command::new(program);
        command
            .arg(format!("-config={}", self.config.display()))
            .arg(format!("-credential={}", self.secret.display()))
            .env("KUBECONFIG", &self.setup.kubeconfig)
            .env("ALICLOUD_CLIENT_SCHEME", "HTTP")
            .env("ECS_ENDPOINT", &self.setup.endpoint)
            .env("VPC_ENDPOINT", &self.setup.endpoint)
            .env("POD_NAMESPACE", "kube-system")
            .env("POD_NAME", name)
            .env("POD_UID", format!("{name}-uid"))
            .env("NO_PROXY", "127.0.0.1")
            .env("no_proxy", "127.0.0.1");
        let process = Tied::start(name, command, &self.log_of(name))?;
        let replica = Replica {
            process,
            stopped: false,
        };
        self.replicas.lock().insert(name.to_owned(), replica);
        Ok(())
    }

    /// Names of replicas that have ended by themselves.
    fn ended(&self) -> Vec<String> {
        let mut replicas = self.replicas.lock();
        let mut ended = Vec::new();
        for (name, replica) in replicas.iter_mut() {
            if !replica.stopped && !matches!(replica.process.ended(), Ok(None)) {
                ended.push(name.clone());
            }
        }
        ended
    }
}

/// Identity in the Lease of the replica of this name.
pub fn identity(name: &str) -> String {
    format!("{name}_{name}-uid")
}

async fn watch(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(RESTART).await;
        for name in shared.ended() {
            shared.restarts.fetch_add(1, Ordering::Relaxed);
            // A program that cannot be started shows as a run that does not converge.
            let _ = shared.launch(&name);
        }
    }
}

fn write(dir: &Path, name: &str, text: &str) -> Result<PathBuf> {
    let path = dir.join(name);
    std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    Ok(path)
}
