//! Machines that are powered on. Their ENIs are ports of the fabric, and each has a metadata service. One thread does
//! all commands one after the other, because creating and moving devices blocks.

mod namespace;
mod worker;

use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use parking_lot::Mutex;
use tokio::sync::oneshot;

pub use namespace::{HostAddressError, NamespaceError, give_host_address};

use crate::fabric::{Fabric, FabricError};
use crate::model::Change;
use crate::state::State;

/// Why a machine could not be powered on or off.
#[derive(Debug, thiserror::Error)]
pub enum PowerError {
    #[error("there is no instance {0}")]
    NoInstance(String),
    #[error("cannot connect the ENIs of {instance}")]
    Plug {
        instance: String,
        #[source]
        source: FabricError,
    },
    #[error("cannot serve metadata to {instance}")]
    Metadata {
        instance: String,
        #[source]
        source: Box<NamespaceError>,
    },
    #[error("the simulator is stopping")]
    Stopping,
}

enum Command {
    Follow(Vec<Change>),
    PowerOn {
        instance: String,
        netns: PathBuf,
        done: oneshot::Sender<Result<(), PowerError>>,
    },
    PowerOff {
        instance: String,
        done: oneshot::Sender<Result<(), PowerError>>,
    },
}

/// Handle of the machines. Dropping it powers the machines off.
pub struct Machines {
    commands: Mutex<Option<mpsc::Sender<Command>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Machines {
    /// Starts the thread, with no machine powered on. Call it on a tokio runtime, which runs the metadata services.
    pub fn start(state: Arc<State>, fabric: Option<Fabric>) -> std::io::Result<Machines> {
        let (commands, inbox) = mpsc::channel();
        let mut worker = worker::Worker::new(state, fabric, tokio::runtime::Handle::current());
        let thread = std::thread::Builder::new()
            .name("machines".into())
            .spawn(move || worker.run(&inbox))?;
        Ok(Machines {
            commands: Mutex::new(Some(commands)),
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Applies changes of the cloud to the fabric.
    pub fn follow(&self, changes: Vec<Change>) {
        if !changes.is_empty() {
            // An error means that the machines are stopping, so the changes do not matter.
            let _ = self.send(Command::Follow(changes));
        }
    }

    /// Powers an instance on in a network namespace. Its primary ENI appears there as eth0, and all other attached ENIs
    /// appear too.
    pub async fn power_on(&self, instance: String, netns: PathBuf) -> Result<(), PowerError> {
        let (done, result) = oneshot::channel();
        self.send(Command::PowerOn {
            instance,
            netns,
            done,
        })?;
        result.await.map_err(|_| PowerError::Stopping)?
    }

    /// Powers an instance off. An instance that is off stays off.
    pub async fn power_off(&self, instance: String) -> Result<(), PowerError> {
        let (done, result) = oneshot::channel();
        self.send(Command::PowerOff { instance, done })?;
        result.await.map_err(|_| PowerError::Stopping)?
    }

    fn send(&self, command: Command) -> Result<(), PowerError> {
        let commands = self.commands.lock();
        let sender = commands.as_ref().ok_or(PowerError::Stopping)?;
        sender.send(command).map_err(|_| PowerError::Stopping)
    }

    /// Powers all machines off and waits for the thread. This call blocks.
    pub fn stop(&self) {
        self.commands.lock().take();
        let thread = self.thread.lock().take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the machines' thread had panicked");
        }
    }
}
