//! The thread behind [`super::Machines`].

use std::collections::{HashMap, HashSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::namespace::{NamespaceError, metadata_listener};
use super::{Command, PowerError};
use crate::fabric::{Fabric, FabricError, Port, PortKind};
use crate::metadata;
use crate::model::{Change, Eni, EniKind, EniStatus, InstanceStatus};
use crate::state::State;

/// Time between two checks of the namespaces. The metadata listener keeps a namespace alive, so the namespace of a
/// machine that died without power off would otherwise never end.
const ROUND: Duration = Duration::from_secs(1);

pub struct Worker {
    state: Arc<State>,
    fabric: Option<Fabric>,
    runtime: Handle,
    powered: HashMap<String, Powered>,
    /// The plugged ENIs by id, each with its instance.
    plugged: HashMap<Arc<str>, Arc<str>>,
}

struct Powered {
    netns: PathBuf,
    identity: (u64, u64),
    _metadata: DropGuard,
}

impl Worker {
    pub fn new(state: Arc<State>, fabric: Option<Fabric>, runtime: Handle) -> Worker {
        Worker {
            state,
            fabric,
            runtime,
            powered: HashMap::new(),
            plugged: HashMap::new(),
        }
    }

    pub fn run(&mut self, inbox: &mpsc::Receiver<Command>) {
        loop {
            match inbox.recv_timeout(ROUND) {
                Ok(Command::Follow(changes)) => changes.into_iter().for_each(|change| self.follow(change)),
                Ok(Command::PowerOn {
                    instance,
                    netns,
                    done,
                }) => {
                    // An error means that the caller is gone.
                    let _ = done.send(self.power_on(&instance, &netns));
                }
                Ok(Command::PowerOff { instance, done }) => {
                    self.power_off(&instance);
                    let _ = done.send(Ok(()));
                }
                Err(mpsc::RecvTimeoutError::Timeout) => self.look_after(),
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
            }
        }
        let all: Vec<String> = self.powered.keys().cloned().collect();
        all.iter().for_each(|instance| self.power_off(instance));
    }

    fn power_on(&mut self, instance: &str, netns: &Path) -> Result<(), PowerError> {
        if self
            .state
            .with_cloud(|cloud, _| cloud.instance(instance).is_none())
        {
            return Err(PowerError::NoInstance(instance.to_owned()));
        }
        self.power_off(instance);
        let no_metadata = |source| PowerError::Metadata {
            instance: instance.to_owned(),
            source: Box::new(source),
        };
        let missing = |source| NamespaceError::Open {
            path: netns.to_owned(),
            source,
        };
        let identity = identity(netns).map_err(|source| no_metadata(missing(source)))?;
        let listener = metadata_listener(netns).map_err(no_metadata)?;
        let stop = CancellationToken::new();
        let guard = stop.clone().drop_guard();
        // Registering a socket with tokio needs the runtime's context.
        let listener = {
            let _context = self.runtime.enter();
            tokio::net::TcpListener::from_std(listener)
                .map_err(|source| no_metadata(NamespaceError::Listen { source }))?
        };
        self.runtime.spawn(metadata::serve(
            listener,
            self.state.clone(),
            instance.to_owned(),
            stop,
        ));
        let powered = Powered {
            netns: netns.to_owned(),
            identity,
            _metadata: guard,
        };
        self.powered.insert(instance.to_owned(), powered);
        if let Err(source) = self.plug_all(instance) {
            self.power_off(instance);
            return Err(PowerError::Plug {
                instance: instance.to_owned(),
                source,
            });
        }
        self.set_status(instance, InstanceStatus::Running);
        Ok(())
    }

    /// Plugs all attached ENIs: the primary ENI first, so that it is eth0, and trunks before their members.
    fn plug_all(&mut self, instance: &str) -> Result<(), FabricError> {
        let mut enis: Vec<Eni> = self.state.with_cloud(|cloud, _| {
            let there = |eni: &&Eni| matches!(eni.status, EniStatus::InUse | EniStatus::Detaching);
            cloud.enis_of(instance).filter(there).cloned().collect()
        });
        enis.sort_by_key(|eni| (eni.kind != EniKind::Primary, eni.trunk().is_some(), eni.serial));
        enis.iter().try_for_each(|eni| self.plug(eni))
    }

    fn plug(&mut self, eni: &Eni) -> Result<(), FabricError> {
        let (Some(fabric), Some(attachment)) = (&self.fabric, &eni.attachment) else {
            return Ok(());
        };
        let Some(powered) = self.powered.get(&*attachment.instance_id) else {
            return Ok(());
        };
        if self.plugged.contains_key(&eni.id) {
            return Ok(());
        }
        let kind = match &attachment.trunk_eni_id {
            Some(trunk) => PortKind::Member {
                trunk: trunk.to_string(),
                vlan: attachment.device_index,
            },
            None => PortKind::Direct {
                netns: powered.netns.clone(),
                ifname: (eni.kind == EniKind::Primary).then(|| "eth0".to_owned()),
            },
        };
        fabric.plug(Port {
            eni_id: eni.id.to_string(),
            mac: eni.mac.0,
            addresses: eni.routed_addresses().collect(),
            vswitch_id: eni.vswitch_id.to_string(),
            security_groups: eni.security_group_ids.iter().map(ToString::to_string).collect(),
            kind,
        })?;
        self.plugged
            .insert(eni.id.clone(), attachment.instance_id.clone());
        Ok(())
    }

    fn follow(&mut self, change: Change) {
        let failed = match change {
            Change::Attached(eni) => self.plug(&eni),
            Change::Detached { eni_id, .. } => {
                self.unplug(&eni_id);
                Ok(())
            }
            Change::Altered(eni) => match (&self.fabric, self.plugged.contains_key(&eni.id)) {
                (Some(fabric), true) => fabric.update(
                    &eni.id,
                    eni.routed_addresses().collect(),
                    eni.security_group_ids.iter().map(ToString::to_string).collect(),
                ),
                _ => Ok(()),
            },
        };
        if let Err(failure) = failed {
            let cause = std::error::Error::source(&failure)
                .map(ToString::to_string)
                .unwrap_or_default();
            tracing::error!(error = %failure, cause, "the fabric could not follow the cloud");
        }
    }

    fn unplug(&mut self, eni_id: &str) {
        if let (Some(fabric), Some(_)) = (&self.fabric, self.plugged.remove(eni_id)) {
            fabric.unplug(eni_id);
        }
    }

    fn power_off(&mut self, instance: &str) {
        if self.powered.remove(instance).is_none() {
            return;
        }
        let held: HashSet<Arc<str>> = self
            .plugged
            .iter()
            .filter(|(_, holder)| ***holder == *instance)
            .map(|(eni, _)| eni.clone())
            .collect();
        held.iter().for_each(|eni| self.unplug(eni));
        self.set_status(instance, InstanceStatus::Stopped);
    }

    fn set_status(&self, instance: &str, status: InstanceStatus) {
        // An error means that the instance was removed meanwhile.
        let _ = self
            .state
            .with_cloud(|cloud, _| cloud.power_instance(instance, status));
    }

    /// Powers off machines whose namespace is gone or was replaced.
    fn look_after(&mut self) {
        let gone: Vec<String> = self
            .powered
            .iter()
            .filter(|(_, powered)| identity(&powered.netns).ok() != Some(powered.identity))
            .map(|(instance, _)| instance.clone())
            .collect();
        for instance in gone {
            tracing::warn!(instance, "the machine's network namespace is gone; powered off");
            self.power_off(&instance);
        }
    }
}

fn identity(netns: &Path) -> std::io::Result<(u64, u64)> {
    let metadata = fs::metadata(netns)?;
    Ok((metadata.dev(), metadata.ino()))
}
