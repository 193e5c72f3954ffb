//! The VPC fabric: ENIs are TAP devices, and every packet between them crosses this switch.
//!
//! ```text
//!   namespace of an instance          fabric (one thread)             another instance
//!   eth0, eth1 (TAP)  -- frames -->   switch: who sent it, may he,    -- frames -->  eth0 ...
//!                                     who owns the address, may it
//! ```
//!
//! `switch` decides without I/O. `guard`, `groups` and `session` are the security groups. `worker` moves frames. `tap`,
//! `link` and `home` create devices. One fabric is one VPC.

mod counters;
mod error;
mod fragments;
#[cfg(test)]
mod frames;
mod groups;
mod guard;
mod home;
mod link;
mod model;
mod pcap;
mod ports;
mod session;
mod switch;
mod tap;
mod wire;
mod worker;

use std::{io, net::Ipv4Addr, path::PathBuf, sync::Arc, thread::JoinHandle};

use parking_lot::Mutex;

pub use self::{
    counters::{Counters, EniCounters, Reason},
    error::FabricError,
    model::{FabricOptions, Port, PortKind, VSwitchNet},
    wire::ethernet::{GATEWAY_MAC, Mac},
};
use self::{home::Home, pcap::Capture, ports::PortId, tap::TapError, worker::Shared};
use crate::world::SecurityGroup;

/// A running fabric. Clones are handles of the same fabric. When the last handle is dropped, the fabric ends and its
/// TAPs vanish.
///
/// `plug`, `unplug` and `pcap` wait for the kernel, which takes some tens of milliseconds to move or remove a device.
/// Call them from a thread that may block.
#[derive(Debug, Clone)]
pub struct Fabric {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.stop();
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the fabric's thread had panicked");
        }
    }
}

impl Fabric {
    /// Starts the switching thread, with an empty topology.
    pub fn start(options: FabricOptions) -> io::Result<Self> {
        let shared = Arc::new(Shared::new(options)?);
        let worker = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("fabric".to_owned())
            .spawn(move || worker.run())?;
        Ok(Self {
            inner: Arc::new(Inner {
                shared,
                thread: Mutex::new(Some(thread)),
            }),
        })
    }

    /// Replaces all subnets and security groups. A session goes on if the new rules still allow it.
    pub fn set_topology(&self, vswitches: Vec<VSwitchNet>, groups: Vec<SecurityGroup>) {
        self.inner
            .shared
            .state
            .lock()
            .switch
            .set_topology(vswitches, groups);
    }

    /// Connects an ENI. A direct ENI appears as a TAP in its namespace, down and without addresses. The trunk of a
    /// member must be plugged before.
    pub fn plug(&self, port: Port) -> Result<(), FabricError> {
        let id = self.inner.shared.state.lock().switch.plug(&port)?;
        let eni_id = port.eni_id.clone();
        // A failure from here on gives the addresses back.
        let connected = self.connect(id, port);
        if connected.is_err() {
            self.unplug(&eni_id);
        }
        connected
    }

    fn connect(&self, id: PortId, port: Port) -> Result<(), FabricError> {
        let PortKind::Direct { netns: path, ifname } = port.kind else {
            return Ok(());
        };
        let eni_id = port.eni_id;
        let (home, netns) = Home::open(eni_id.clone(), path.clone(), port.mac, ifname).map_err(|source| {
            FabricError::Netns {
                eni_id: eni_id.clone(),
                path,
                source,
            }
        })?;
        home.make_nic(&netns)
            .and_then(|tap| {
                let step = "listen to it";
                self.inner
                    .shared
                    .install(id, home, tap)
                    .map_err(|source| TapError { step, source })
            })
            .map_err(|TapError { step, source }| FabricError::Tap { eni_id, step, source })
    }

    /// Disconnects an ENI. Its TAP vanishes, its sessions end, and the members of a trunk are disconnected too. An ENI
    /// that is not plugged is ignored.
    pub fn unplug(&self, eni_id: &str) {
        let nics = self.inner.shared.state.lock().unplug(eni_id);
        drop(nics);
    }

    /// Gives a plugged ENI other addresses and security groups.
    pub fn update(
        &self,
        eni_id: &str,
        addresses: Vec<Ipv4Addr>,
        groups: Vec<String>,
    ) -> Result<(), FabricError> {
        self.inner
            .shared
            .state
            .lock()
            .switch
            .update(eni_id, addresses, groups)
    }

    /// The counters of all frames so far.
    pub fn counters(&self) -> Counters {
        let state = self.inner.shared.state.lock();
        state
            .switch
            .counters(|id| Some(state.nics.get(&id)?.tap.as_ref()?.ifname().to_owned()))
    }

    /// Starts to record the frames that an ENI's instance sends and receives, or ends the recording. The capture of a
    /// trunk contains the frames of its members. A dropped frame is in the capture of its sender.
    pub fn pcap(&self, eni_id: &str, path: Option<PathBuf>) -> Result<(), FabricError> {
        let not_plugged = || FabricError::NotPlugged {
            eni_id: eni_id.to_owned(),
        };
        let capture = path
            .map(|path| {
                Capture::create(&path).map_err(|source| FabricError::Capture {
                    eni_id: eni_id.to_owned(),
                    path,
                    source,
                })
            })
            .transpose()?;
        let mut state = self.inner.shared.state.lock();
        let id = state.switch.ports().find(eni_id).ok_or_else(not_plugged)?;
        let previous = match capture {
            Some(capture) => state.captures.insert(id, capture),
            None => state.captures.remove(&id),
        };
        drop(state);
        drop(previous);
        Ok(())
    }
}
