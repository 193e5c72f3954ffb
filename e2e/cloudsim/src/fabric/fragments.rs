//! IPv4 fragments: the first carries the ports and is judged, the others share its fate.

use std::{
    collections::HashMap,
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use super::{
    ports::PortId,
    switch::{Dropped, Route},
    wire::ipv4::Ipv4,
};

/// How long the verdict over a first fragment is kept for the others; as long as Linux waits for
/// the parts of a packet.
const LIFE: Duration = Duration::from_secs(30);

/// Packets in parts at any moment; beyond that, fragments are dropped.
const LIMIT: usize = 4096;

/// The parts of one packet share these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    from: PortId,
    src: Ipv4Addr,
    dst: Ipv4Addr,
    protocol: u8,
    id: u16,
}

impl Key {
    fn of(from: PortId, packet: &Ipv4<'_>) -> Self {
        Self {
            from,
            src: packet.src,
            dst: packet.dst,
            protocol: packet.protocol,
            id: packet.id,
        }
    }
}

/// Verdicts over first fragments. Linux sends fragments in order, so a verdict goes with the last
/// one; one that overtakes the first is dropped, as a stateful firewall without reassembly does.
#[derive(Debug, Default)]
pub struct Fragments {
    verdicts: HashMap<Key, (Result<Route, Dropped>, Instant)>,
}

impl Fragments {
    /// Keeps the verdict over a first fragment. `false`: no room.
    pub fn remember(
        &mut self,
        now: Instant,
        from: PortId,
        packet: &Ipv4<'_>,
        verdict: Result<Route, Dropped>,
    ) -> bool {
        if self.verdicts.len() >= LIMIT {
            self.expire(now);
        }
        let room = self.verdicts.len() < LIMIT;
        if room {
            self.verdicts.insert(Key::of(from, packet), (verdict, now + LIFE));
        }
        room
    }

    /// The verdict for a later fragment.
    pub fn recall(
        &mut self,
        now: Instant,
        from: PortId,
        packet: &Ipv4<'_>,
    ) -> Option<Result<Route, Dropped>> {
        let key = Key::of(from, packet);
        let (verdict, expires) = self.verdicts.get(&key).copied()?;
        if !packet.more || expires <= now {
            self.verdicts.remove(&key);
        }
        (expires > now).then_some(verdict)
    }

    /// Forgets what has expired.
    pub fn expire(&mut self, now: Instant) {
        self.verdicts.retain(|_, (_, expires)| *expires > now);
    }

    /// Forgets everything: verdicts do not outlive the ports and rules they were made under.
    pub fn clear(&mut self) {
        self.verdicts.clear();
    }
}
