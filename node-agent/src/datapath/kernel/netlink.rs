//! A blocking route-netlink socket: changes and dumps, nothing else.
//!
//! Blocking, because its owner is one thread, and read to the last byte: a reply that
//! cannot be decoded, an interrupted dump or a missing end is an error, never a shorter
//! list. A plan made from half a dump would remove what it did not see.

use std::{io, os::fd::AsFd as _, time::Duration};

use netlink_packet_core::{
    DecodeError, NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::sys::{
    socket::{setsockopt, sockopt::ReceiveTimeout},
    time::TimeVal,
};

/// A kernel that does not answer for so long never will.
const PATIENCE: Duration = Duration::from_secs(10);
/// Dumps that collide with a change are repeated so often.
const DUMP_ATTEMPTS: usize = 8;

/// Why the kernel did not do or say what was asked.
#[derive(Debug, thiserror::Error)]
pub enum NetlinkError {
    #[error("cannot open a netlink socket")]
    Open(#[source] io::Error),
    #[error("cannot {act}: the kernel did not answer")]
    Transport { act: &'static str, source: io::Error },
    #[error("cannot {act}")]
    Refused { act: &'static str, source: io::Error },
    #[error("cannot {act}: the kernel's answer cannot be decoded")]
    Malformed { act: &'static str, source: DecodeError },
    #[error("cannot {act}: it changed each time it was read; try again later")]
    Unsteady { act: &'static str },
}

impl NetlinkError {
    /// The kernel's error number, if it answered with one.
    pub fn errno(&self) -> Option<i32> {
        match self {
            NetlinkError::Refused { source, .. } => source.raw_os_error(),
            NetlinkError::Open(_)
            | NetlinkError::Transport { .. }
            | NetlinkError::Malformed { .. }
            | NetlinkError::Unsteady { .. } => None,
        }
    }
}

/// The kernel fills datagrams of a dump up to this many bytes where the reader has room for them (`af_netlink.c`);
/// only a single larger object makes a larger one.
const DATAGRAM: usize = 32 * 1024;

/// One socket, in the network namespace of the thread that opened it.
pub struct Netlink {
    socket: Socket,
    sequence: u32,
    buffer: Vec<u8>,
}

/// How one reply ended.
enum Reply {
    Complete(Vec<RouteNetlinkMessage>),
    Interrupted,
}

/// A blocking socket of this protocol to the kernel, in the calling thread's network namespace; an answer
/// that does not come is an error after a while.
pub fn socket(protocol: isize) -> Result<Socket, NetlinkError> {
    let mut socket = Socket::new(protocol).map_err(NetlinkError::Open)?;
    socket.bind_auto().map_err(NetlinkError::Open)?;
    socket
        .connect(&SocketAddr::new(0, 0))
        .map_err(NetlinkError::Open)?;
    let timeout = TimeVal::new(PATIENCE.as_secs() as _, 0);
    setsockopt(&socket.as_fd(), ReceiveTimeout, &timeout).map_err(|e| NetlinkError::Open(e.into()))?;
    Ok(socket)
}

impl Netlink {
    /// Opens a socket in the calling thread's network namespace.
    pub fn open() -> Result<Self, NetlinkError> {
        let socket = socket(NETLINK_ROUTE)?;
        Ok(Self {
            socket,
            sequence: 0,
            buffer: Vec::with_capacity(DATAGRAM),
        })
    }

    /// The port that the kernel tells this socket's changes with.
    pub fn port(&self) -> Result<u32, NetlinkError> {
        let mut address = SocketAddr::new(0, 0);
        self.socket
            .get_address(&mut address)
            .map_err(NetlinkError::Open)?;
        Ok(address.port_number())
    }

    /// Asks for one change and waits until the kernel has made or refused it.
    pub fn change(
        &mut self,
        act: &'static str,
        message: RouteNetlinkMessage,
        flags: u16,
    ) -> Result<(), NetlinkError> {
        self.send(act, message, NLM_F_REQUEST | NLM_F_ACK | flags)?;
        self.receive(act).map(drop)
    }

    /// Reads a whole table.
    pub fn dump(
        &mut self,
        act: &'static str,
        message: RouteNetlinkMessage,
    ) -> Result<Vec<RouteNetlinkMessage>, NetlinkError> {
        for _ in 0..DUMP_ATTEMPTS {
            self.send(act, message.clone(), NLM_F_REQUEST | NLM_F_DUMP)?;
            if let Reply::Complete(all) = self.receive(act)? {
                return Ok(all);
            }
        }
        Err(NetlinkError::Unsteady { act })
    }

    /// Reads one object, or tells that there is none.
    pub fn get(
        &mut self,
        act: &'static str,
        message: RouteNetlinkMessage,
    ) -> Result<Vec<RouteNetlinkMessage>, NetlinkError> {
        self.send(act, message, NLM_F_REQUEST | NLM_F_ACK)?;
        match self.receive(act) {
            Ok(Reply::Complete(all)) => Ok(all),
            // Only a dump has this flag.
            Ok(Reply::Interrupted) => Err(NetlinkError::Unsteady { act }),
            Err(error) if error.errno() == Some(nix::libc::ENODEV) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    fn send(
        &mut self,
        act: &'static str,
        message: RouteNetlinkMessage,
        flags: u16,
    ) -> Result<(), NetlinkError> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut packet = NetlinkMessage::from(message);
        packet.header.flags = flags;
        packet.header.sequence_number = self.sequence;
        packet.finalize();
        let mut bytes = vec![0; packet.buffer_len()];
        packet.serialize(&mut bytes);
        self.socket
            .send(&bytes, 0)
            .map(drop)
            .map_err(|source| NetlinkError::Transport { act, source })
    }

    /// Reads until the acknowledgement or the end of the dump.
    fn receive(&mut self, act: &'static str) -> Result<Reply, NetlinkError> {
        let mut all = Vec::new();
        let mut interrupted = false;
        loop {
            self.buffer.clear();
            let (length, _) = self
                .socket
                .recv_from(&mut self.buffer, nix::libc::MSG_TRUNC)
                .map_err(|source| NetlinkError::Transport { act, source })?;
            if length > self.buffer.len() {
                // Part of it is lost. The next attempt has room for it.
                self.buffer.reserve(length);
                interrupted = true;
                continue;
            }
            for packet in packets(&self.buffer) {
                let packet = packet.map_err(|source| NetlinkError::Malformed { act, source })?;
                if packet.header.sequence_number != self.sequence {
                    continue; // the late answer to a request that was given up
                }
                interrupted |= packet.header.flags & NLM_F_DUMP_INTR != 0;
                let code = match packet.payload {
                    NetlinkPayload::InnerMessage(message) => {
                        all.push(message);
                        continue;
                    }
                    NetlinkPayload::Error(e) => e.raw_code(),
                    NetlinkPayload::Done(done) => done.code,
                    NetlinkPayload::Overrun(_) => -nix::libc::ENOBUFS,
                    _ => continue,
                };
                if code != 0 {
                    let source = io::Error::from_raw_os_error(code.abs());
                    return Err(NetlinkError::Refused { act, source });
                }
                return Ok(if interrupted {
                    Reply::Interrupted
                } else {
                    Reply::Complete(all)
                });
            }
        }
    }
}

type Packet = NetlinkMessage<RouteNetlinkMessage>;

/// The messages of one datagram.
fn packets(bytes: &[u8]) -> impl Iterator<Item = Result<Packet, DecodeError>> + '_ {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let packet = Packet::deserialize(rest);
        // Messages start at multiples of four. A length of zero would never end.
        let length = packet.as_ref().map_or(rest.len(), |p| {
            (p.header.length as usize).max(16).next_multiple_of(4)
        });
        rest = rest.get(length..).unwrap_or_default();
        Some(packet)
    })
}
