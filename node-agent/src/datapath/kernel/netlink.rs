//! A blocking netlink socket of one protocol: changes, transactions and dumps.
//!
//! The message types are those of `netlink-packet-route` and `netlink-packet-netfilter`. The socket is ours, because
//! `rtnetlink` (0.24) and `netlink-proto` (0.14) below it do not serve here:
//!
//! - They ignore `NLM_F_DUMP_INTR`. A plan made from half a dump would remove the objects that are missing in the
//!   dump. This socket repeats an interrupted dump; an answer that cannot be decoded is an error, never a shorter list,
//!   unless the object is surely somebody else's ([`Protocol::is_anothers`]).
//! - They are asynchronous, with a task beside each socket. The datapath is one thread, which also enters the
//!   namespaces of pods, and a socket belongs to the namespace of the thread that opens it (`netlink(7)`).
//! - They speak route netlink only. The nf_tables transactions need the same socket.

mod anothers;
mod reply;

use std::{fmt::Debug, io, marker::PhantomData, os::fd::AsFd as _, time::Duration};

use netlink_packet_core::{
    DecodeError, NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkDeserializable, NetlinkHeader,
    NetlinkMessage, NetlinkPayload, NetlinkSerializable,
};
use netlink_packet_netfilter::NetfilterMessage;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{
    Socket, SocketAddr,
    protocols::{NETLINK_NETFILTER, NETLINK_ROUTE},
};
use nix::{
    libc,
    sys::{
        socket::{setsockopt, sockopt::ReceiveTimeout},
        time::TimeVal,
    },
};
pub use reply::{End, Raw, packets};
use tracing::debug;

/// How long the kernel may take to answer. The kernel works on a request while it is sent, so an answer that is not
/// there by then never comes.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often a dump is repeated when changes interrupt it.
const DUMP_ATTEMPTS: usize = 8;
/// The kernel fills datagrams of a dump up to this many bytes where the reader has room for them (`netlink_dump` in
/// `net/netlink/af_netlink.c`). A single larger object makes a larger datagram.
const DATAGRAM: usize = 32 * 1024;

/// Why the kernel did not do or tell what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum NetlinkError {
    #[error("cannot open a netlink socket")]
    Open(#[source] io::Error),
    #[error("cannot {act}: the kernel did not answer")]
    Transport { act: &'static str, source: io::Error },
    #[error("cannot {act}{}", quoted(.words.as_deref()))]
    Refused {
        act: &'static str,
        /// The kernel's own text about the refusal (extended acknowledgement); many refusals have none.
        words: Option<String>,
        source: io::Error,
    },
    #[error("cannot {act}: the kernel's answer cannot be decoded")]
    Malformed { act: &'static str, source: DecodeError },
    #[error("cannot {act}: it changed each time it was read; try again later")]
    Unsteady { act: &'static str },
}

fn quoted(words: Option<&str>) -> String {
    words.map_or_else(String::new, |words| format!(": the kernel says \"{words}\""))
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

/// The messages of one netlink protocol.
pub trait Protocol: NetlinkSerializable + NetlinkDeserializable<Error = DecodeError> + Clone + Debug {
    /// The protocol's number (`linux/netlink.h`).
    const NUMBER: isize;

    /// Whether an object that the library cannot decode is surely not the agent's. Such an object is left out of an
    /// answer: whoever can make one must not be able to stop the agent.
    fn is_anothers(kind: u16, body: &[u8]) -> bool;
}

impl Protocol for RouteNetlinkMessage {
    const NUMBER: isize = NETLINK_ROUTE;

    fn is_anothers(kind: u16, body: &[u8]) -> bool {
        anothers::route(kind, body)
    }
}

impl Protocol for NetfilterMessage {
    const NUMBER: isize = NETLINK_NETFILTER;

    /// The agent decodes rules of its own table only.
    fn is_anothers(_: u16, _: &[u8]) -> bool {
        false
    }
}

/// A socket for routes, rules, links, addresses, neighbours and filters.
pub type Netlink = Session<RouteNetlinkMessage>;

/// One socket, in the network namespace of the thread that opened it.
pub struct Session<M> {
    socket: Socket,
    /// Number of the last message that was sent. An answer repeats the number of its request.
    sequence: u32,
    buffer: Vec<u8>,
    protocol: PhantomData<M>,
}

/// How one reply ended.
enum Reply {
    Complete(Vec<Raw>),
    /// The dump may lack objects or show one twice.
    Interrupted,
}

impl<M: Protocol> Session<M> {
    /// Opens a socket in the calling thread's network namespace.
    pub fn open() -> Result<Self, NetlinkError> {
        let socket = open(M::NUMBER).map_err(NetlinkError::Open)?;
        Ok(Self {
            socket,
            sequence: 0,
            buffer: Vec::with_capacity(DATAGRAM),
            protocol: PhantomData,
        })
    }

    /// The port of this socket. The kernel tells others about a change with the port of the socket that asked for it.
    pub fn port(&self) -> Result<u32, NetlinkError> {
        let mut address = SocketAddr::new(0, 0);
        self.socket
            .get_address(&mut address)
            .map_err(NetlinkError::Open)?;
        Ok(address.port_number())
    }

    /// Asks for one change and waits until the kernel has made or refused it.
    pub fn change(&mut self, act: &'static str, message: M, flags: u16) -> Result<(), NetlinkError> {
        self.send(act, message, NLM_F_REQUEST | NLM_F_ACK | flags)?;
        self.receive(act).map(drop)
    }

    /// Sends several messages at once and waits until the kernel has answered each that asks for an acknowledgement.
    pub fn transaction(&mut self, act: &'static str, messages: Vec<(M, u16)>) -> Result<(), NetlinkError> {
        let first = self.sequence.wrapping_add(1);
        let mut waiting = messages
            .iter()
            .filter(|(_, flags)| flags & NLM_F_ACK != 0)
            .count();
        let mut bytes = Vec::new();
        for (message, flags) in messages {
            bytes.extend(self.encode(message, NLM_F_REQUEST | flags));
        }
        self.write(act, &bytes)?;
        while waiting > 0 {
            self.read(act)?;
            for packet in packets(&self.buffer) {
                let packet = packet.map_err(|source| NetlinkError::Malformed { act, source })?;
                if packet.header.sequence_number.wrapping_sub(first) > self.sequence.wrapping_sub(first) {
                    continue; // the late answer to a request that was given up
                }
                if let Some(end) = End::of(&packet) {
                    end.into_result(act)?;
                    waiting = waiting.saturating_sub(1);
                }
            }
        }
        Ok(())
    }

    /// Reads a whole table.
    pub fn dump(&mut self, act: &'static str, message: M) -> Result<Vec<M>, NetlinkError> {
        decoded(act, self.dump_raw(act, message)?)
    }

    /// Reads a whole table without decoding it.
    pub fn dump_raw(&mut self, act: &'static str, message: M) -> Result<Vec<Raw>, NetlinkError> {
        for _ in 0..DUMP_ATTEMPTS {
            self.send(act, message.clone(), NLM_F_REQUEST | NLM_F_DUMP)?;
            match self.receive(act) {
                Ok(Reply::Complete(all)) => return Ok(all),
                Ok(Reply::Interrupted) => {}
                // nf_tables ends a dump like this when a transaction came in between.
                Err(error) if error.errno() == Some(libc::EINTR) => {}
                Err(error) => return Err(error),
            }
        }
        Err(NetlinkError::Unsteady { act })
    }

    /// Reads one object without decoding it. The answer is empty when there is none.
    pub fn get_raw(&mut self, act: &'static str, message: M) -> Result<Vec<Raw>, NetlinkError> {
        self.send(act, message, NLM_F_REQUEST | NLM_F_ACK)?;
        match self.receive(act) {
            Ok(Reply::Complete(all)) => Ok(all),
            // Only a dump has this flag.
            Ok(Reply::Interrupted) => Err(NetlinkError::Unsteady { act }),
            Err(error) if error.errno() == Some(libc::ENODEV) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    fn send(&mut self, act: &'static str, message: M, flags: u16) -> Result<(), NetlinkError> {
        let bytes = self.encode(message, flags);
        self.write(act, &bytes)
    }

    /// The message as bytes, under the next sequence number.
    fn encode(&mut self, message: M, flags: u16) -> Vec<u8> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = flags;
        header.sequence_number = self.sequence;
        let mut packet = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(message));
        packet.finalize();
        let mut bytes = vec![0; packet.buffer_len()];
        packet.serialize(&mut bytes);
        bytes
    }

    fn write(&self, act: &'static str, bytes: &[u8]) -> Result<(), NetlinkError> {
        self.socket
            .send(bytes, 0)
            .map(drop)
            .map_err(|source| NetlinkError::Transport { act, source })
    }

    /// Reads one datagram into the buffer. Returns whether the datagram is whole.
    fn read(&mut self, act: &'static str) -> Result<bool, NetlinkError> {
        self.buffer.clear();
        let (length, _) = self
            .socket
            .recv_from(&mut self.buffer, libc::MSG_TRUNC)
            .map_err(|source| NetlinkError::Transport { act, source })?;
        if length <= self.buffer.len() {
            return Ok(true);
        }
        // The rest is lost. The next attempt has room for it.
        self.buffer.reserve(length);
        self.buffer.clear();
        Ok(false)
    }

    /// Reads until the acknowledgement or the end of the dump.
    fn receive(&mut self, act: &'static str) -> Result<Reply, NetlinkError> {
        let mut all = Vec::new();
        let mut interrupted = false;
        loop {
            interrupted |= !self.read(act)?;
            for packet in packets(&self.buffer) {
                let packet = packet.map_err(|source| NetlinkError::Malformed { act, source })?;
                if packet.header.sequence_number != self.sequence {
                    continue; // the late answer to a request that was given up
                }
                interrupted |= packet.header.flags & NLM_F_DUMP_INTR != 0;
                if let Some(end) = End::of(&packet) {
                    end.into_result(act)?;
                    return Ok(if interrupted {
                        Reply::Interrupted
                    } else {
                        Reply::Complete(all)
                    });
                }
                if let NetlinkPayload::InnerMessage(message) = packet.payload {
                    all.push(message);
                }
            }
        }
    }
}

/// The objects of an answer.
fn decoded<M: Protocol>(act: &'static str, all: Vec<Raw>) -> Result<Vec<M>, NetlinkError> {
    let mut objects = Vec::with_capacity(all.len());
    for Raw { header, body } in all {
        match M::deserialize(&header, &body) {
            Ok(object) => objects.push(object),
            Err(error) if M::is_anothers(header.message_type, &body) => {
                debug!(act, kind = header.message_type, %error, "an object of another program is left out");
            }
            Err(source) => return Err(NetlinkError::Malformed { act, source }),
        }
    }
    Ok(objects)
}

/// A blocking socket to the kernel, with a limit on the time that an answer takes.
fn open(protocol: isize) -> io::Result<Socket> {
    let mut socket = Socket::new(protocol)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    // A refusal comes with the kernel's own words, and without a copy of the request.
    socket.set_ext_ack(true)?;
    socket.set_cap_ack(true)?;
    let timeout = TimeVal::new(PATIENCE.as_secs() as _, 0);
    setsockopt(&socket.as_fd(), ReceiveTimeout, &timeout)?;
    Ok(socket)
}
