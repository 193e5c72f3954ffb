//! A bare API server: etcd and kube-apiserver on loopback ports, for tests of controllers and for benchmarks. There is
//! no kubelet, no scheduler and no controller-manager; a test writes the status of pods itself. Several bare API
//! servers can run at once. Each ends with the process that started it.

mod ports;

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::binaries::{self, NotFound};
use crate::https::{Client, HttpsError};
use crate::kubeconfig::kubeconfig;
use crate::pki::{Authority, Identity, Pair, PkiError, SigningKey};
use crate::process::{SpawnError, Tied};
use ports::ReservedPort;

/// Why a bare API server did not start.
#[derive(Debug, thiserror::Error)]
pub enum BareError {
    #[error(transparent)]
    Binary(#[from] NotFound),
    #[error(transparent)]
    Pki(#[from] PkiError),
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    #[error(transparent)]
    Https(#[from] HttpsError),
    #[error("cannot write {}", path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot reserve a port on 127.0.0.1; is the loopback interface up?")]
    Port(#[source] io::Error),
    #[error("{name} ended ({status}) before the API server was ready; its log ends:\n{log}")]
    Ended {
        name: String,
        status: String,
        log: String,
    },
    #[error("the API server was not ready after {} s; its log ends:\n{log}", patience.as_secs())]
    NotReady { patience: Duration, log: String },
}

/// How to start a bare API server. The default suits tests of controllers.
#[derive(Debug, Clone)]
pub struct Options {
    /// Flags for kube-apiserver by name, without dashes; they replace ours of the same name.
    pub flags: BTreeMap<String, String>,
    /// An audit policy (YAML). The log is written to [`Apiserver::audit_log`], one JSON event a line.
    pub audit_policy: Option<String>,
    /// How long to wait for `/readyz`.
    pub patience: Duration,
}

impl Default for Options {
    fn default() -> Self {
        // A start takes three seconds on a free machine, and far longer while the machine compiles.
        Self {
            flags: BTreeMap::new(),
            audit_policy: None,
            patience: Duration::from_secs(120),
        }
    }
}

impl Options {
    /// Adds or replaces one kube-apiserver flag, e.g. `flag("default-watch-cache-size", "1000")`.
    #[must_use]
    pub fn flag(mut self, name: &str, value: &str) -> Self {
        self.flags.insert(name.to_owned(), value.to_owned());
        self
    }

    #[must_use]
    pub fn audit_policy(mut self, yaml: &str) -> Self {
        self.audit_policy = Some(yaml.to_owned());
        self
    }
}

/// A running API server with its etcd. Dropping this ends both.
pub struct Apiserver {
    /// Path of the kubeconfig of an administrator (`system:masters`), in the folder of [`Apiserver::start`].
    pub kubeconfig: PathBuf,
    /// URL of the API server: `https://127.0.0.1:PORT`.
    pub url: String,
    dir: PathBuf,
    authority: Authority,
    // Fields are dropped in this order, so kube-apiserver ends before etcd.
    apiserver: Tied,
    etcd: Tied,
    _ports: [ReservedPort; 3],
}

impl Apiserver {
    /// Starts both programs in the network namespace of the calling thread, and waits until `/readyz` answers ok. Data,
    /// certificates and logs are in `dir`, which is created if it is missing and should be empty. This call blocks;
    /// from async code, use `spawn_blocking`.
    pub fn start(dir: impl AsRef<Path>, options: Options) -> Result<Self, BareError> {
        let dir = dir.as_ref().to_path_buf();
        std::fs::create_dir_all(&dir).map_err(|source| BareError::Write {
            path: dir.clone(),
            source,
        })?;
        let reserve = || ReservedPort::new().map_err(BareError::Port);
        let ports = [reserve()?, reserve()?, reserve()?];
        let [secure, client, peer] = ports.each_ref().map(ReservedPort::port);
        let url = format!("https://127.0.0.1:{secure}");

        let authority = Authority::generate()?;
        let admin = authority.issue(&Identity::admin(), &[], &[])?;
        write_credentials(&dir, &authority)?;
        let kubeconfig = write(&dir, "admin.kubeconfig", &kubeconfig(&url, &authority, &admin))?;
        if let Some(policy) = &options.audit_policy {
            write(&dir, "audit-policy.yaml", policy)?;
        }

        let etcd = Tied::start("etcd", etcd_command(&dir, client, peer)?, &dir.join("etcd.log"))?;
        let command = apiserver_command(&dir, secure, client, &options)?;
        let apiserver = Tied::start("kube-apiserver", command, &dir.join("kube-apiserver.log"))?;

        let mut server = Self {
            kubeconfig,
            url,
            dir,
            authority,
            apiserver,
            etcd,
            _ports: ports,
        };
        server.wait_ready(secure, &admin, options.patience)?;
        Ok(server)
    }

    /// Writes a kubeconfig for another user, e.g. a ServiceAccount
    /// (`system:serviceaccount:NAMESPACE:NAME` with the groups `system:serviceaccounts` and
    /// `system:serviceaccounts:NAMESPACE`), and returns its path. The authorizer is `Node,RBAC`.
    pub fn kubeconfig_for(&self, user: &str, groups: &[&str]) -> Result<PathBuf, BareError> {
        let pair = self.authority.issue(&Identity::new(user, groups), &[], &[])?;
        let name = format!("{}.kubeconfig", user.replace([':', '/'], "-"));
        write(&self.dir, &name, &kubeconfig(&self.url, &self.authority, &pair))
    }

    /// Path of the audit log, which exists if a policy was given.
    pub fn audit_log(&self) -> PathBuf {
        self.dir.join("audit.log")
    }

    /// The certificate authority that signs client and serving certificates of this server, PEM.
    pub fn ca_certificate(&self) -> &str {
        self.authority.certificate()
    }

    pub fn apiserver_pid(&self) -> u32 {
        self.apiserver.pid()
    }

    pub fn etcd_pid(&self) -> u32 {
        self.etcd.pid()
    }

    fn wait_ready(&mut self, port: u16, admin: &Pair, patience: Duration) -> Result<(), BareError> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let client = Client::new(address, self.authority.certificate(), admin)?;
        let deadline = Instant::now() + patience;
        loop {
            for process in [&mut self.etcd, &mut self.apiserver] {
                let status = match process.ended() {
                    Ok(None) => continue,
                    Ok(Some(status)) => status.to_string(),
                    Err(err) => err.to_string(),
                };
                let name = process.name().to_owned();
                return Err(BareError::Ended {
                    name,
                    status,
                    log: process.log_tail(),
                });
            }
            if client.ready() {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(BareError::NotReady {
                    patience,
                    log: self.apiserver.log_tail(),
                });
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn write_credentials(dir: &Path, authority: &Authority) -> Result<(), BareError> {
    let serving = authority.issue(
        &Identity::new("kube-apiserver", &[]),
        &[
            "localhost",
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
        ],
        &[IpAddr::V4(Ipv4Addr::LOCALHOST)],
    )?;
    write(dir, "ca.crt", authority.certificate())?;
    write(dir, "apiserver.crt", &serving.certificate)?;
    write(dir, "apiserver.key", &serving.key)?;
    let tokens = SigningKey::generate()?;
    write(dir, "service-accounts.key", &tokens.private)?;
    write(dir, "service-accounts.pub", &tokens.public)?;
    Ok(())
}

fn etcd_command(dir: &Path, client: u16, peer: u16) -> Result<Command, NotFound> {
    let mut command = Command::new(binaries::kubernetes("etcd")?);
    let (client, peer) = (
        format!("http://127.0.0.1:{client}"),
        format!("http://127.0.0.1:{peer}"),
    );
    command.arg("--data-dir").arg(dir.join("etcd"));
    command.args([
        "--listen-client-urls",
        &client,
        "--advertise-client-urls",
        &client,
    ]);
    command.args([
        "--listen-peer-urls",
        &peer,
        "--initial-advertise-peer-urls",
        &peer,
    ]);
    command.args(["--initial-cluster", &format!("default={peer}")]);
    // The data does not have to survive a power cut, so fsync is off.
    command.args(["--socket-reuse-port", "--unsafe-no-fsync", "--log-level", "warn"]);
    Ok(command)
}

fn apiserver_command(dir: &Path, port: u16, etcd: u16, options: &Options) -> Result<Command, NotFound> {
    let path = |name: &str| dir.join(name).to_string_lossy().into_owned();
    let mut flags: BTreeMap<String, String> = [
        ("etcd-servers", format!("http://127.0.0.1:{etcd}")),
        ("bind-address", "127.0.0.1".to_owned()),
        ("secure-port", port.to_string()),
        ("permit-port-sharing", "true".to_owned()),
        // A loopback address may not be an endpoint of the `kubernetes` Service, and nobody here uses this Service.
        ("endpoint-reconciler-type", "none".to_owned()),
        ("service-cluster-ip-range", "10.96.0.0/16".to_owned()),
        ("authorization-mode", "Node,RBAC".to_owned()),
        // The plugin waits for the ServiceAccount `default`, which the controller-manager creates. There is none here.
        ("disable-admission-plugins", "ServiceAccount".to_owned()),
        ("client-ca-file", path("ca.crt")),
        ("tls-cert-file", path("apiserver.crt")),
        ("tls-private-key-file", path("apiserver.key")),
        (
            "service-account-issuer",
            "https://kubernetes.default.svc".to_owned(),
        ),
        ("service-account-key-file", path("service-accounts.pub")),
        ("service-account-signing-key-file", path("service-accounts.key")),
        ("allow-privileged", "true".to_owned()),
        ("profiling", "false".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    if options.audit_policy.is_some() {
        flags.insert("audit-policy-file".to_owned(), path("audit-policy.yaml"));
        flags.insert("audit-log-path".to_owned(), path("audit.log"));
    }
    flags.extend(options.flags.clone());
    let mut command = Command::new(binaries::kubernetes("kube-apiserver")?);
    command.args(flags.iter().map(|(name, value)| format!("--{name}={value}")));
    Ok(command)
}

fn write(dir: &Path, name: &str, text: &str) -> Result<PathBuf, BareError> {
    let path = dir.join(name);
    std::fs::write(&path, text).map_err(|source| BareError::Write {
        path: path.clone(),
        source,
    })?;
    Ok(path)
}
