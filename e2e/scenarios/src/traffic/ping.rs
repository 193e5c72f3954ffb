//! Echo requests with numbers, and which of them were answered.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, recvfrom, sendto, socket,
};
use parking_lot::Mutex;

use super::{EVERY, PingReport, TrafficError};

/// An answer that takes longer counts as lost. Even a busy machine answers sooner.
const PATIENCE: Duration = Duration::from_secs(10);
const ECHO_REQUEST: u8 = 8;
const ECHO_REPLY: u8 = 0;
/// The first identifier of our pings. Other programs have smaller ones.
const FIRST_IDENTIFIER: u16 = 0x7e77;

/// Pings to one peer.
pub(super) struct Ping {
    peer: Ipv4Addr,
    identifier: u16,
    book: Mutex<Book>,
}

/// The pings that were sent and answered. Numbers go beyond 16 bits, and a header has the lower 16 bits: an answer
/// belongs to the waiting ping with these bits.
#[derive(Debug, Default)]
pub(super) struct Book {
    waiting: BTreeMap<u64, Instant>,
    sent: u64,
    answered: u64,
    lost: u64,
    slowest: Duration,
}

impl Book {
    /// Takes the next number for a ping that is sent now.
    pub(super) fn send(&mut self, now: Instant) -> u64 {
        self.sent += 1;
        self.waiting.insert(self.sent, now);
        self.sent
    }

    /// Notes an answer to the ping whose number ends with `short`. An answer to a ping that was answered or given up is
    /// ignored.
    pub(super) fn answer(&mut self, short: u16, now: Instant) {
        let number = self
            .waiting
            .keys()
            .copied()
            .find(|number| number & 0xffff == u64::from(short));
        if let Some(sent) = number.and_then(|number| self.waiting.remove(&number)) {
            self.answered += 1;
            self.slowest = self.slowest.max(now.duration_since(sent));
        }
    }

    /// Gives up pings that have waited too long.
    pub(super) fn settle(&mut self, now: Instant) {
        let before = self.waiting.len();
        self.waiting
            .retain(|_, sent| now.duration_since(*sent) <= PATIENCE);
        self.lost += u64::try_from(before - self.waiting.len()).unwrap_or(u64::MAX);
    }

    pub(super) fn report(&self, peer: Ipv4Addr) -> PingReport {
        PingReport {
            peer,
            sent: self.sent,
            answered: self.answered,
            lost: self.lost,
            slowest_ms: u64::try_from(self.slowest.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

impl Ping {
    /// Begins to ping, on two threads.
    pub(super) fn begin(peer: Ipv4Addr, number: usize) -> Result<Arc<Ping>, TrafficError> {
        let failed = |source| TrafficError::PingSocket { peer, source };
        let open = socket(
            AddressFamily::Inet,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::Icmp,
        );
        let socket = Arc::new(open.map_err(failed)?);
        let ping = Arc::new(Ping {
            peer,
            identifier: FIRST_IDENTIFIER.wrapping_add(u16::try_from(number).unwrap_or_default()),
            book: Mutex::default(),
        });
        let (sending, out) = (ping.clone(), socket.clone());
        std::thread::spawn(move || sending.send(&out));
        let receiving = ping.clone();
        std::thread::spawn(move || receiving.receive(&socket));
        Ok(ping)
    }

    pub(super) fn report(&self) -> PingReport {
        let mut book = self.book.lock();
        book.settle(Instant::now());
        book.report(self.peer)
    }

    fn send(&self, socket: &OwnedFd) {
        let to = SockaddrIn::from(SocketAddrV4::new(self.peer, 0));
        loop {
            let number = self.book.lock().send(Instant::now());
            let packet = request(self.identifier, number);
            // A ping that the kernel refuses gets no answer.
            let _ = sendto(socket.as_raw_fd(), &packet, &to, MsgFlags::empty());
            std::thread::sleep(EVERY);
        }
    }

    fn receive(&self, socket: &OwnedFd) {
        let mut bytes = [0; 1500];
        loop {
            let Ok((count, from)) = recvfrom::<SockaddrIn>(socket.as_raw_fd(), &mut bytes) else {
                std::thread::sleep(EVERY);
                continue;
            };
            let ours = from.is_some_and(|from| from.ip() == self.peer);
            if let Some((identifier, short)) = reply(&bytes[..count])
                && ours
                && identifier == self.identifier
            {
                self.book.lock().answer(short, Instant::now());
            }
        }
    }
}

/// An echo request; the identifier and the lower bits of the number are in its header.
pub(super) fn request(identifier: u16, number: u64) -> [u8; 64] {
    let mut packet = [0; 64];
    packet[0] = ECHO_REQUEST;
    packet[4..6].copy_from_slice(&identifier.to_be_bytes());
    packet[6..8].copy_from_slice(&number.to_be_bytes()[6..]);
    packet[8..16].copy_from_slice(&number.to_be_bytes());
    let sum = checksum(&packet);
    packet[2..4].copy_from_slice(&sum.to_be_bytes());
    packet
}

/// Identifier and number of an echo reply, from a packet with its IP header.
pub(super) fn reply(packet: &[u8]) -> Option<(u16, u16)> {
    let header = usize::from(packet.first()? & 0xf) * 4;
    match packet.get(header..header + 8)? {
        [ECHO_REPLY, 0, _, _, a, b, c, d] => {
            Some((u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d])))
        }
        _ => None,
    }
}

fn checksum(packet: &[u8]) -> u16 {
    let words = packet.chunks(2).map(|pair| {
        let low = pair.get(1).copied().unwrap_or_default();
        u32::from(u16::from_be_bytes([pair[0], low]))
    });
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(!sum & 0xffff).unwrap_or_default()
}
