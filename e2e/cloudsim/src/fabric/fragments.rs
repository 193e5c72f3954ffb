//! IPv4 fragments. The first fragment carries the ports; the security groups judge it. The same verdict holds for the
//! other fragments.

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

/// How long the verdict of a first fragment is kept. Linux waits this long for the fragments of a packet
/// (`IP_FRAG_TIME` in the kernel's include/net/ip.h).
const LIFE: Duration = Duration::from_secs(30);

/// Number of fragmented packets at the same time. Fragments of further packets are dropped.
const LIMIT: usize = 4096;

/// The header fields that all fragments of one packet share (RFC 791).
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

/// Verdicts of first fragments. Linux sends fragments in order, so the last fragment removes the verdict. A fragment
/// that overtakes the first one is dropped, as in a stateful firewall without reassembly.
#[derive(Debug, Default)]
pub struct Fragments {
    verdicts: HashMap<Key, (Result<Route, Dropped>, Instant)>,
}

impl Fragments {
    /// Keeps the verdict of a first fragment. Returns `false` when the table is full.
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

    /// The verdict of a later fragment, if the first one is known.
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

    /// Removes expired verdicts.
    pub fn expire(&mut self, now: Instant) {
        self.verdicts.retain(|_, (_, expires)| *expires > now);
    }

    /// Removes all verdicts. Called when ports or rules change.
    pub fn clear(&mut self) {
        self.verdicts.clear();
    }
}
