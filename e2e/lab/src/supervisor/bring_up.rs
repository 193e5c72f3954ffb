//! Brings the cluster up, step by step, until its nodes are registered.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use super::cloud::{self, Admin, CloudError};
use super::credentials::Credentials;
use super::plan::{self, Inputs, PlanError};
use super::relay::Relay;
use super::{Event, MACHINE, Parts, Progress, tell};
use crate::binaries::NotFound;
use crate::cgroup::Layout;
use crate::https::{Client, HttpsError};
use crate::images::{self, ImageError};
use crate::kubeconfig::kubeconfig;
use crate::machine::Spec;
use crate::options::Options;
use crate::pki::PkiError;
use crate::process::{SpawnError, Tied};
use crate::state::{self, Running, StateDir, StateError};
use crate::world::{Fleet, SMALL, WorldError};

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub enum BringUpError {
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    World(#[from] WorldError),
    #[error(transparent)]
    Pki(#[from] PkiError),
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error(transparent)]
    Image(#[from] ImageError),
    #[error(transparent)]
    Cloud(#[from] CloudError),
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    #[error(transparent)]
    Https(#[from] HttpsError),
    #[error(transparent)]
    Binary(#[from] NotFound),
    #[error("cannot read the world file {}", path.display())]
    ReadWorld {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot listen on 127.0.0.1:{port}; another lab may, choose another --port")]
    Listen {
        port: u16,
        #[source]
        source: io::Error,
    },
    #[error("cannot make the folder {}", path.display())]
    Folder {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{name} ended ({status}); its log ends:\n{log}")]
    Ended {
        name: String,
        status: String,
        log: String,
    },
    #[error("still waiting for {what} after {} s; see the logs in {}", patience.as_secs(), logs.display())]
    TooSlow {
        what: String,
        patience: Duration,
        logs: PathBuf,
    },
    #[error("interrupted: {0}")]
    Interrupted(&'static str),
}

type Result<T> = std::result::Result<T, BringUpError>;

/// Waits for conditions until the deadline, an event, or the end of a part.
struct Waiter<'a> {
    events: &'a Receiver<Event>,
    deadline: Instant,
    patience: Duration,
    logs: PathBuf,
}

impl Waiter<'_> {
    fn until(&self, what: &str, parts: &mut Parts, mut holds: impl FnMut() -> bool) -> Result<()> {
        while !holds() {
            match self.events.try_recv() {
                Ok(Event::CallerGone) => return Err(BringUpError::Interrupted("the caller is gone")),
                Ok(Event::Told) => return Err(BringUpError::Interrupted("told to end")),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => {}
            }
            for part in parts.machines.iter_mut().chain(&mut parts.cloud) {
                if let Ok(Some(status)) = part.ended() {
                    return Err(BringUpError::Ended {
                        name: part.name().to_owned(),
                        status: status.to_string(),
                        log: part.log_tail(),
                    });
                }
            }
            if Instant::now() > self.deadline {
                return Err(BringUpError::TooSlow {
                    what: what.to_owned(),
                    patience: self.patience,
                    logs: self.logs.clone(),
                });
            }
            std::thread::sleep(Duration::from_millis(30));
        }
        Ok(())
    }
}

/// Brings the lab up. All started programs are in `parts`, also when a later step fails.
pub(super) fn bring_up(
    state: &StateDir,
    options: &Options,
    layout: &Layout,
    events: &Receiver<Event>,
    parts: &mut Parts,
) -> Result<Relay> {
    let waiter = Waiter {
        events,
        deadline: Instant::now() + options.patience,
        patience: options.patience,
        logs: state.logs(),
    };
    if layout.v2_only() {
        step("this host has cgroup v2 alone; the lab was tried on hosts that have the v1 controllers too");
    }
    let fleet = Fleet::plan(&read_world(options)?, &options.nodes)?;
    for name in fleet
        .machines()
        .map(|machine| machine.name.as_str())
        .chain(["lab"])
    {
        make_dir(state.machine_logs(name))?;
    }
    state::write(&state.world(), &fleet.world)?;
    let relay = Relay::listen(options.port).map_err(|source| BringUpError::Listen {
        port: options.port,
        source,
    })?;

    parts.cloud = Some(cloud::start(state)?);
    let packed = images::pack_all(&state.images(), step)?;
    let admin = Admin::new(state.admin_socket());
    waiter.until("the simulated cloud", parts, || admin.get("/healthz").is_ok())?;
    step("the simulated cloud answers");

    let credentials = Credentials::generate(&fleet)?;
    write_credentials(state, &credentials, relay.port())?;
    let inputs = Inputs {
        state,
        options,
        layout,
        fleet: &fleet,
        credentials: &credentials,
        archives: &packed,
    };
    for spec in plan::machines(&inputs)? {
        parts.machines.push(start_machine(state, &spec)?);
    }
    for machine in fleet.machines() {
        let pid = machine_pid(state, &machine.name, &waiter, parts)?;
        if machine.name == fleet.control.name {
            waiter.until("the control machine's network", parts, || relay.aim(pid).is_ok())?;
        }
        admin.power_on(&machine.instance, pid)?;
        step(&format!(
            "{} is on: {} at {}",
            machine.name,
            machine.instance,
            machine.address.addr()
        ));
    }

    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, relay.port()));
    let client = Client::new(address, credentials.authority.certificate(), &credentials.admin)?;
    waiter.until("the API server", parts, || client.ready())?;
    step("the API server is ready");
    let exists = |path: &str| {
        client
            .get(path, Duration::from_secs(5))
            .is_ok_and(|answer| answer.status == 200)
    };
    for machine in &fleet.nodes {
        let what = format!("the kubelet of {}", machine.name);
        waiter.until(&what, parts, || {
            exists(&format!("/api/v1/nodes/{}", machine.name))
        })?;
        step(&format!("{} is registered", machine.name));
    }
    // The controller-manager creates the ServiceAccount `default`. No pod can be created before.
    waiter.until("the controller-manager", parts, || {
        exists("/api/v1/namespaces/default/serviceaccounts/default")
    })?;
    let machines = fleet.machines().map(|machine| machine.name.clone()).collect();
    state.set_running(&Running {
        port: relay.port(),
        machines,
    })?;
    Ok(relay)
}

fn read_world(options: &Options) -> Result<String> {
    match &options.world {
        None => Ok(SMALL.to_owned()),
        Some(path) => std::fs::read_to_string(path).map_err(|source| BringUpError::ReadWorld {
            path: path.clone(),
            source,
        }),
    }
}

fn write_credentials(state: &StateDir, credentials: &Credentials, port: u16) -> Result<()> {
    let url = format!("https://127.0.0.1:{port}");
    let text = kubeconfig(&url, &credentials.authority, &credentials.admin);
    state::write(&state.kubeconfig(), &text)?;
    let (certificate, key) = state.authority();
    state::write(&certificate, credentials.authority.certificate())?;
    Ok(state::write(&key, &credentials.authority.key())?)
}

fn start_machine(state: &StateDir, spec: &Spec) -> Result<Tied> {
    let path = state.machine_spec(&spec.name);
    // Serialisation cannot fail, because a plan has plain values and string keys.
    state::write(&path, &serde_json::to_string(spec).unwrap_or_default())?;
    let mut command = Command::new(std::env::current_exe().map_err(NotFound::CurrentExe)?);
    command.arg("machine").arg(&path).env("RUST_BACKTRACE", "0");
    let log = state.machine_logs(&spec.name).join("machine.log");
    Ok(Tied::start(&format!("{MACHINE}{}", spec.name), command, &log)?)
}

fn machine_pid(state: &StateDir, name: &str, waiter: &Waiter<'_>, parts: &mut Parts) -> Result<u32> {
    let file = state.machine_pid_file(name);
    let mut pid = None;
    waiter.until(&format!("the machine {name}"), parts, || {
        pid = state::read(&file).ok().and_then(|text| text.trim().parse().ok());
        pid.is_some()
    })?;
    // `until` returns only when the pid was read.
    pid.ok_or(BringUpError::Interrupted("a machine without a first process"))
}

fn make_dir(path: PathBuf) -> Result<()> {
    std::fs::create_dir_all(&path).map_err(|source| BringUpError::Folder { path, source })
}

fn step(text: &str) {
    tell(&Progress::Step(text.to_owned()));
}
