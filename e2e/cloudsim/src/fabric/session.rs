//! Sessions of the security groups. A flow that was allowed to begin may go on in both directions.

use std::{
    collections::{BTreeSet, HashMap},
    time::{Duration, Instant},
};

use super::{
    groups::Direction,
    ports::PortId,
    wire::transport::{LocalFlow, Signal},
};

/// How long a finished TCP connection still lets retransmissions pass. This value is our choice and keeps the table
/// small; the cloud documents only the longest life of a session.
const LINGER: Duration = Duration::from_secs(10);

/// Key of a session. Each ENI has its own sessions, because each ENI has its own groups.
pub type Key = (PortId, LocalFlow);

/// The state of an allowed flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Direction of the packet that opened the session. A change of rules judges this direction again.
    pub opened: Direction,
    /// Generation of groups and ports under which the flow was last judged.
    pub judged_at: u64,
    /// Whether a change of rules forbade the flow. The mark stays until the session expires, because replies that are
    /// still under way could otherwise open the flow from the other side.
    pub cut: bool,
    expires: Instant,
    finished: [bool; 2],
}

impl Session {
    /// Notes a packet that passed.
    fn touch(&mut self, now: Instant, life: Duration, direction: Direction, signal: Signal) {
        match signal {
            Signal::Open => self.finished = [false; 2],
            Signal::Finish => self.finished[direction as usize] = true,
            Signal::Reset => self.finished = [true; 2],
            Signal::Data | Signal::Error(_) => {}
        }
        self.expires = now + if self.finished == [true; 2] { LINGER } else { life };
    }
}

/// All sessions of all ENIs, limited in number.
#[derive(Debug)]
pub struct SessionTable {
    sessions: HashMap<Key, Session>,
    life: Duration,
    limit: usize,
}

/// The session table is full.
#[derive(Debug, PartialEq, Eq)]
pub struct Full;

impl SessionTable {
    pub fn new(life: Duration, limit: usize) -> Self {
        Self {
            sessions: HashMap::new(),
            life,
            limit,
        }
    }

    /// The session of a flow, unless it has expired.
    pub fn get(&mut self, now: Instant, key: &Key) -> Option<&mut Session> {
        self.sessions.get_mut(key).filter(|session| session.expires > now)
    }

    /// Notes a packet of a living session.
    pub fn touch(&mut self, now: Instant, key: &Key, direction: Direction, signal: Signal) {
        let life = self.life;
        if let Some(session) = self.get(now, key) {
            session.touch(now, life, direction, signal);
        }
    }

    /// Opens a session with its first packet.
    pub fn open(
        &mut self,
        now: Instant,
        key: Key,
        judged_at: u64,
        direction: Direction,
        signal: Signal,
    ) -> Result<(), Full> {
        if self.sessions.len() >= self.limit {
            self.expire(now);
        }
        if self.sessions.len() >= self.limit {
            return Err(Full);
        }
        let mut session = Session {
            opened: direction,
            judged_at,
            cut: false,
            expires: now,
            finished: [false; 2],
        };
        session.touch(now, self.life, direction, signal);
        self.sessions.insert(key, session);
        Ok(())
    }

    /// Removes expired sessions.
    pub fn expire(&mut self, now: Instant) {
        self.sessions.retain(|_, session| session.expires > now);
    }

    /// Removes the sessions of unplugged ports.
    pub fn forget(&mut self, ports: &BTreeSet<PortId>) {
        self.sessions.retain(|(port, _), _| !ports.contains(port));
    }

    pub fn len(&self) -> usize {
        self.sessions.len()
    }
}
