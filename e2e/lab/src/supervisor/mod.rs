//! The supervisor of a lab. It starts the simulator and the machines, serves the relay to the API server, and takes the
//! lab down on a signal or when its caller is gone.
//!
//! Its standard input is a pipe from the caller. The end of the pipe means that the caller died; then the lab ends. A
//! byte on the pipe means that the lab stays without the caller.

mod bring_up;
mod cloud;
mod control;
mod credentials;
mod node;
mod plan;
mod relay;

use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::cgroup::{CgroupError, Layout};
use crate::options::Options;
use crate::process::Tied;
use crate::state::{self, StateDir, StateError};

pub use bring_up::BringUpError;
pub use cloud::{Admin, CloudError, become_in_own_network};
pub use credentials::APISERVER_PORT;

/// One line of the supervisor's standard output, JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Progress {
    Step(String),
    Ready { port: u16 },
    Failed(String),
}

/// The byte on the pipe that lets the lab outlive its caller.
pub const KEEP: u8 = b'k';

/// Why the supervisor cannot work.
#[derive(Debug, thiserror::Error)]
pub enum SupervisorError {
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    #[error(transparent)]
    BringUp(#[from] BringUpError),
    #[error("{} does not hold the options of a lab", path.display())]
    Options {
        path: std::path::PathBuf,
        #[source]
        source: serde_json::Error,
    },
    #[error("cannot receive signals")]
    Signals(#[source] nix::Error),
}

/// Why the supervisor stops waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    /// The caller closed the pipe or died.
    CallerGone,
    /// SIGTERM or SIGINT.
    Told,
}

/// Prefix of the names of machines among the parts.
const MACHINE: &str = "machine ";

/// How long killed processes of a lab may take to leave their cgroups.
pub(crate) const SWEEP_PATIENCE: Duration = Duration::from_secs(15);

/// The running parts, in the order in which they are dropped: machines before the cloud whose NICs they use.
#[derive(Default)]
struct Parts {
    machines: Vec<Tied>,
    cloud: Option<Tied>,
}

/// Runs a lab in the state folder `root` until it has to end, and removes it. The folder contains the options.
pub fn supervise(root: &Path) -> Result<(), SupervisorError> {
    let state = StateDir::open(root)?;
    let _living = state.become_supervisor()?;
    // The supervisor has its own session, so that an interrupt in the caller's terminal does not reach it.
    let _ = nix::unistd::setsid();
    let path = state.options();
    let options: Options = serde_json::from_str(&state::read(&path)?)
        .map_err(|source| SupervisorError::Options { path, source })?;
    let layout = Layout::detect()?;
    let events = watch_events()?;

    let mut parts = Parts::default();
    let outcome = bring_up::bring_up(&state, &options, &layout, &events, &mut parts);
    match &outcome {
        Ok(relay) => {
            tell(&Progress::Ready { port: relay.port() });
            wait_for_end(&mut parts, &events);
        }
        Err(err) => tracing::error!(error = chain(err), "the lab did not come up"),
    }

    power_off(&state, &mut parts);
    drop(parts);
    let left = layout.sweep(&state.cgroup_prefix(), SWEEP_PATIENCE)?;
    for path in left {
        tracing::error!(path = %path.display(), "this cgroup could not be removed");
    }
    state.clear()?;
    if let Err(err) = &outcome {
        // This is reported last, because the reader may start a new lab at once.
        tell(&Progress::Failed(chain(err)));
    }
    outcome?;
    Ok(())
}

fn wait_for_end(parts: &mut Parts, events: &Receiver<Event>) {
    let mut reported = Vec::new();
    loop {
        match events.recv_timeout(Duration::from_millis(500)) {
            Ok(event) => return tracing::info!(?event, "taking the lab down"),
            Err(RecvTimeoutError::Disconnected) => return tracing::error!("the event threads are gone"),
            Err(RecvTimeoutError::Timeout) => {}
        }
        for part in parts.machines.iter_mut().chain(&mut parts.cloud) {
            if let Ok(Some(status)) = part.ended()
                && !reported.contains(&part.pid())
            {
                tracing::error!(part = part.name(), %status, "a part of the lab ended");
                reported.push(part.pid());
            }
        }
    }
}

/// Kills the first processes of the machines, so that each launcher reaps its machine and ends. If the launchers were
/// killed instead, the host's init would have to reap the machines, which may take long.
fn power_off(state: &StateDir, parts: &mut Parts) {
    for machine in &parts.machines {
        let name = machine.name().trim_start_matches(MACHINE);
        let pid = state::read(&state.machine_pid_file(name))
            .ok()
            .and_then(|text| text.trim().parse().ok());
        if let Some(pid) = pid {
            // An error means that the process has ended.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
    let deadline = Instant::now() + Duration::from_secs(5);
    while Instant::now() < deadline && parts.machines.iter_mut().any(|m| matches!(m.ended(), Ok(None))) {
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Starts threads that turn signals and the caller's pipe into events. Signals are blocked here, before any other
/// thread starts, so that only the waiting thread gets them.
fn watch_events() -> Result<Receiver<Event>, SupervisorError> {
    let (events, inbox) = mpsc::channel();
    let mut mask = SigSet::empty();
    mask.add(Signal::SIGTERM);
    mask.add(Signal::SIGINT);
    mask.add(Signal::SIGHUP);
    mask.thread_block().map_err(SupervisorError::Signals)?;
    let told = events.clone();
    std::thread::spawn(move || {
        while let Ok(signal) = mask.wait() {
            // The lab stays when the terminal closes (SIGHUP).
            if signal != Signal::SIGHUP && told.send(Event::Told).is_err() {
                return;
            }
        }
    });
    std::thread::spawn(move || watch_lease(&events));
    Ok(inbox)
}

fn watch_lease(events: &Sender<Event>) {
    let mut byte = [0];
    match io::stdin().read(&mut byte) {
        Ok(1) if byte[0] == KEEP => {}
        // The receiver lives as long as the supervisor.
        Ok(_) | Err(_) => drop(events.send(Event::CallerGone)),
    }
}

/// Reports progress to the caller, if it still reads.
fn tell(progress: &Progress) {
    tracing::info!(?progress);
    if let Ok(line) = serde_json::to_string(progress) {
        let mut out = io::stdout().lock();
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    }
}

/// An error and all its causes in one line.
pub fn chain(err: &dyn std::error::Error) -> String {
    let mut text = err.to_string();
    let mut source = err.source();
    while let Some(cause) = source {
        text += &format!(": {cause}");
        source = cause.source();
    }
    text
}
