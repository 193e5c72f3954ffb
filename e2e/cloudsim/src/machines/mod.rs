//! Machines that are powered on: their ENIs as ports of the fabric and their metadata
//! service. One thread does it all, one thing after the other, because making and moving
//! devices blocks.

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

/// Handle to the machines. They are powered off when it goes.
pub struct Machines {
    commands: Mutex<Option<mpsc::Sender<Command>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Machines {
    /// Starts with no machine powered on. Must be called on a tokio runtime: the metadata
    /// services run there.
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

    /// Makes the fabric follow what happened in the cloud.
    pub fn follow(&self, changes: Vec<Change>) {
        if !changes.is_empty() {
            // Refused only while stopping, when there is nothing left to follow.
            let _ = self.send(Command::Follow(changes));
        }
    }

    /// Powers an instance on in a network namespace: its primary ENI appears there as eth0,
    /// with it whatever else is attached.
    pub async fn power_on(&self, instance: String, netns: PathBuf) -> Result<(), PowerError> {
        let (done, result) = oneshot::channel();
        self.send(Command::PowerOn {
            instance,
            netns,
            done,
        })?;
        result.await.map_err(|_| PowerError::Stopping)?
    }

    /// Powers an instance off; nothing happens when it is off.
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

    /// Powers everything off and waits for the thread. Blocks.
    pub fn stop(&self) {
        self.commands.lock().take();
        let thread = self.thread.lock().take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the machines' thread had panicked");
        }
    }
}
