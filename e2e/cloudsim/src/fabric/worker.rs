//! The switching thread. It reads frames from TAPs, asks the switch, and writes frames to TAPs.

use std::{
    collections::{BTreeSet, HashMap},
    io,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant, SystemTime},
};

use nix::{
    errno::Errno,
    sys::{
        epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout},
        eventfd::{EfdFlags, EventFd},
    },
};
use parking_lot::Mutex;

use super::{
    counters::Reason,
    home::Home,
    model::FabricOptions,
    pcap::Capture,
    ports::PortId,
    switch::{Decision, Switch, Verdict},
    tap::Tap,
    wire::ethernet::LinkHeader,
};

/// Number of frames that are read from one TAP before the next TAP is served.
const BATCH: usize = 64;
/// Longest frame in bytes: the longest IPv4 packet with header and tag.
const FRAME: usize = 65_535 + 18;
/// Time between two removals of expired sessions.
const SWEEP: Duration = Duration::from_secs(10);
/// Id of the epoll event that wakes the thread without a frame.
const WAKE: PortId = PortId::MAX;

/// The state that the switching thread and the fabric's handles share.
#[derive(Debug)]
pub struct Shared {
    pub state: Mutex<State>,
    epoll: Epoll,
    wake: EventFd,
    stopping: AtomicBool,
}

/// The state behind the lock.
#[derive(Debug)]
pub struct State {
    pub switch: Switch,
    pub nics: HashMap<PortId, Nic>,
    pub captures: HashMap<PortId, Capture>,
}

/// The NIC of a port that is not a member.
#[derive(Debug)]
pub struct Nic {
    /// `None` while the namespace is gone.
    pub tap: Option<Tap>,
    pub home: Home,
}

impl Shared {
    pub fn new(options: FabricOptions) -> io::Result<Self> {
        let shared = Self {
            state: Mutex::new(State {
                switch: Switch::new(options),
                nics: HashMap::new(),
                captures: HashMap::new(),
            }),
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            wake: EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?,
            stopping: AtomicBool::new(false),
        };
        shared
            .epoll
            .add(&shared.wake, EpollEvent::new(EpollFlags::EPOLLIN, WAKE))?;
        Ok(shared)
    }

    /// Ends the thread.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        // The write fails only when the counter is full; then the thread is woken already.
        let _ = self.wake.write(1);
    }

    /// Starts to serve a NIC, unless its port has been unplugged meanwhile.
    pub fn install(&self, id: PortId, home: Home, tap: Tap) -> io::Result<()> {
        let mut state = self.state.lock();
        if state.switch.ports().get(id).is_none() {
            return Ok(());
        }
        self.epoll.add(&tap, EpollEvent::new(EpollFlags::EPOLLIN, id))?;
        state.nics.insert(id, Nic { tap: Some(tap), home });
        Ok(())
    }

    /// Runs the thread until `stop`.
    pub fn run(&self) {
        let mut events = [EpollEvent::empty(); 64];
        let mut buffer = vec![0; FRAME];
        let mut next_sweep = Instant::now() + SWEEP;
        while !self.stopping.load(Ordering::Acquire) {
            let count = match self.epoll.wait(&mut events, EpollTimeout::from(1000u16)) {
                Ok(count) => count,
                Err(Errno::EINTR) => continue,
                Err(error) => {
                    tracing::error!(%error, "the fabric cannot wait for frames any more and stops");
                    return;
                }
            };
            let mut lost = Vec::new();
            let now = Instant::now();
            {
                let mut state = self.state.lock();
                for event in &events[..count] {
                    if !state.serve(now, event.data(), &mut buffer) {
                        lost.extend(state.disconnect(event.data()));
                    }
                }
                state.flush_captures();
                if now >= next_sweep {
                    state.switch.expire(now);
                    next_sweep = now + SWEEP;
                }
            }
            for (id, home) in lost {
                self.bring_home(id, home);
            }
        }
    }

    /// Creates a NIC again whose namespace ended while the instance lives on. Real hardware returns to the instance in
    /// this case. When the instance itself is gone, the NIC stays disconnected.
    fn bring_home(&self, id: PortId, home: Home) {
        let returned = match home.reopen() {
            Some(netns) => home.make_nic(&netns),
            None => return tracing::info!(%home, "a NIC is gone with its instance"),
        };
        let result = match returned {
            Ok(tap) => self.install(id, home.clone(), tap),
            Err(error) => Err(error.source),
        };
        match result {
            Ok(()) => tracing::info!(%home, "a NIC returned to its instance"),
            Err(error) => tracing::warn!(%home, %error, "a NIC could not return to its instance"),
        }
    }
}

impl State {
    /// Removes ports and returns their NICs. Dropping a NIC removes the device, which takes the kernel some time; drop
    /// it outside the lock.
    #[must_use]
    pub fn unplug(&mut self, eni_id: &str) -> Vec<Nic> {
        let gone: BTreeSet<PortId> = self.switch.unplug(eni_id);
        self.captures.retain(|id, _| !gone.contains(id));
        gone.iter().filter_map(|id| self.nics.remove(id)).collect()
    }

    /// Switches the frames that wait at one TAP. Returns `false` when the device no longer exists.
    fn serve(&mut self, now: Instant, id: PortId, buffer: &mut [u8]) -> bool {
        for _ in 0..BATCH {
            // The port may have been removed after the event.
            let Some(tap) = self.nics.get(&id).and_then(|nic| nic.tap.as_ref()) else {
                return true;
            };
            let length = match tap.read(buffer) {
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    tracing::debug!(port = id, %error, "a TAP cannot be read any more");
                    return false;
                }
            };
            let frame = &buffer[..length];
            self.record(id, &[frame]);
            let decision = self.switch.switch(now, id, frame);
            let written = self.carry_out(id, &decision);
            if decision.from != id {
                self.record(decision.from, &[frame]);
            }
            self.switch.count(&decision, length, written);
        }
        true
    }

    fn carry_out(&mut self, ingress: PortId, decision: &Decision<'_>) -> Result<(), Reason> {
        match &decision.verdict {
            Verdict::Drop(_) => Ok(()),
            Verdict::Forward { to, header, payload } => {
                self.deliver(self.switch.ports().carrier(*to), *to, header, payload)
            }
            Verdict::Answer { header, payload } => self.deliver(ingress, decision.from, header, payload),
        }
    }

    fn deliver(
        &mut self,
        carrier: PortId,
        to: PortId,
        header: &LinkHeader,
        payload: &[u8],
    ) -> Result<(), Reason> {
        let tap = self
            .nics
            .get(&carrier)
            .and_then(|nic| nic.tap.as_ref())
            .ok_or(Reason::LinkDown)?;
        tap.write(header, payload).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::OutOfMemory => Reason::QueueFull,
            _ => Reason::LinkDown,
        })?;
        self.record(carrier, &[header.as_bytes(), payload]);
        if to != carrier {
            self.record(to, &[header.as_bytes(), payload]);
        }
        Ok(())
    }

    fn disconnect(&mut self, id: PortId) -> Option<(PortId, Home)> {
        let nic = self.nics.get_mut(&id)?;
        // Closing the descriptor also removes it from the epoll set (man page epoll(7)).
        nic.tap = None;
        Some((id, nic.home.clone()))
    }

    /// Records a frame in the port's capture. A capture that cannot be written ends; traffic goes on.
    fn record(&mut self, port: PortId, parts: &[&[u8]]) {
        if self.captures.is_empty() {
            return;
        }
        if let Some(capture) = self.captures.get_mut(&port)
            && let Err(error) = capture.record(SystemTime::now(), parts)
        {
            tracing::warn!(port, %error, "a capture ends because it cannot be written");
            self.captures.remove(&port);
        }
    }

    fn flush_captures(&mut self) {
        self.captures.retain(|port, capture| match capture.flush() {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(port, %error, "a capture ends because it cannot be written");
                false
            }
        });
    }
}
