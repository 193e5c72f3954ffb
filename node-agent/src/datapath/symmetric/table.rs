//! The nf_tables table with the marks: made whole in one transaction, looked at, removed.

use std::io;

use netlink_sys::{Socket, protocols::NETLINK_NETFILTER};
use nix::libc;

use super::{
    Symmetric, rules,
    wire::{self, Attributes},
};
use crate::datapath::kernel::netlink::{NetlinkError, socket};

const TABLE: &str = "terway_symmetric";
/// A chain at the prerouting hook, and its priority.
type Chain = (&'static str, i32);
/// After conntrack (-200), before the destination is translated (-100).
const BEFORE: Chain = ("prerouting", -150);
/// After kube-proxy has chosen a backend and marked what it sends in the node's name.
const AFTER: Chain = ("translated", -99);
const RULES: usize = 3;

const SUBSYSTEM: u16 = 10;
const IPV4: u8 = 2;
const NEW_TABLE: u16 = 0;
const DELETE_TABLE: u16 = 2;
const NEW_CHAIN: u16 = 3;
const NEW_RULE: u16 = 6;
const GET_RULE: u16 = 7;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
/// Of tables, chains and rules alike.
const NAME_OF_TABLE: u16 = 1;
const RULE_CHAIN: u16 = 2;
const RULE_EXPRESSIONS: u16 = 4;
const RULE_USERDATA: u16 = 7;

const REQUEST: u16 = libc::NLM_F_REQUEST as u16;
const ACKNOWLEDGE: u16 = libc::NLM_F_ACK as u16;
const CREATE: u16 = libc::NLM_F_CREATE as u16;
const APPEND: u16 = libc::NLM_F_APPEND as u16;
const DUMP: u16 = libc::NLM_F_DUMP as u16;
const INTERRUPTED: u16 = libc::NLM_F_DUMP_INTR as u16;

/// Dumps that collide with somebody's transaction are repeated so often.
const DUMP_ATTEMPTS: usize = 8;

/// A netfilter socket, and what was last put into the table.
pub struct Marking {
    socket: Socket,
    sequence: u32,
    applied: Option<Symmetric>,
}

impl Marking {
    /// Opens a socket in the calling thread's network namespace.
    pub fn open() -> Result<Self, NetlinkError> {
        let socket = socket(NETLINK_NETFILTER)?;
        Ok(Self {
            socket,
            sequence: 0,
            applied: None,
        })
    }

    /// What the table marks. A process that has not written the table yet does not know, and writes it.
    pub fn observe(&mut self) -> Result<Option<Symmetric>, NetlinkError> {
        let Some(applied) = self.applied.clone() else {
            return Ok(None);
        };
        let comments = self.comments()?;
        let whole = comments.len() == RULES && comments.iter().all(|c| *c == userdata(&applied.comment));
        Ok(whole.then_some(applied))
    }

    /// Makes the table what it should be, in one step: there is no moment without marks.
    pub fn put(&mut self, config: &Symmetric) -> Result<(), NetlinkError> {
        let rule = |chain: Chain, expressions: Attributes| {
            let attributes = named()
                .text(RULE_CHAIN, chain.0)
                .nest(RULE_EXPRESSIONS, expressions)
                .bytes(RULE_USERDATA, &userdata(&config.comment));
            (NEW_RULE, CREATE | APPEND, attributes)
        };
        self.transaction(
            "write the nf_tables table terway_symmetric",
            &[
                // To be deleted it must be there.
                (NEW_TABLE, CREATE, named()),
                (DELETE_TABLE, 0, named()),
                (NEW_TABLE, CREATE, named()),
                (NEW_CHAIN, CREATE, at_prerouting(BEFORE)),
                (NEW_CHAIN, CREATE, at_prerouting(AFTER)),
                rule(BEFORE, rules::marks_connection(config)),
                rule(BEFORE, rules::marks_packet(config)),
                rule(AFTER, rules::marks_masqueraded(config)),
            ],
        )?;
        self.applied = Some(config.clone());
        Ok(())
    }

    /// Removes the table, if it is there.
    pub fn remove(&mut self) -> Result<(), NetlinkError> {
        self.applied = None;
        self.transaction(
            "remove the nf_tables table terway_symmetric",
            &[(NEW_TABLE, CREATE, named()), (DELETE_TABLE, 0, named())],
        )
    }

    /// The comments of the rules that are there.
    fn comments(&mut self) -> Result<Vec<Vec<u8>>, NetlinkError> {
        let act = "list the nf_tables rules of terway_symmetric";
        let ask = named();
        for _ in 0..DUMP_ATTEMPTS {
            let sequence = self.next();
            let request = wire::message(kind(GET_RULE), REQUEST | DUMP, sequence, IPV4, 0, &ask);
            self.send(act, &request)?;
            if let Some(found) = self.dumped(act, sequence)? {
                return Ok(found);
            }
        }
        Err(NetlinkError::Unsteady { act })
    }

    /// Reads a dump to its end; `None` when somebody changed the table meanwhile.
    fn dumped(&mut self, act: &'static str, sequence: u32) -> Result<Option<Vec<Vec<u8>>>, NetlinkError> {
        let (mut found, mut interrupted) = (Vec::new(), false);
        loop {
            let bytes = self.datagram(act)?;
            for message in wire::received(&bytes) {
                let message = message.ok_or_else(|| malformed(act))?;
                if message.sequence != sequence {
                    continue;
                }
                interrupted |= message.flags & INTERRUPTED != 0;
                match message.outcome() {
                    None => found.push(message.attribute(RULE_USERDATA).unwrap_or_default().to_vec()),
                    // No such table: no rules.
                    Some(0 | libc::ENOENT) => return Ok((!interrupted).then_some(found)),
                    Some(libc::EINTR) => return Ok(None),
                    Some(code) => return Err(refused(act, code)),
                }
            }
        }
    }

    fn transaction(
        &mut self,
        act: &'static str,
        changes: &[(u16, u16, Attributes)],
    ) -> Result<(), NetlinkError> {
        let none = Attributes::default();
        let mut batch = wire::message(BATCH_BEGIN, REQUEST, self.next(), 0, SUBSYSTEM, &none);
        let first = self.sequence + 1;
        for (what, flags, attributes) in changes {
            let flags = REQUEST | ACKNOWLEDGE | flags;
            batch.extend(wire::message(
                kind(*what),
                flags,
                self.next(),
                IPV4,
                0,
                attributes,
            ));
        }
        let last = self.sequence;
        batch.extend(wire::message(
            BATCH_END,
            REQUEST,
            self.next(),
            0,
            SUBSYSTEM,
            &none,
        ));
        self.send(act, &batch)?;
        let mut waiting = changes.len();
        while waiting > 0 {
            let bytes = self.datagram(act)?;
            for message in wire::received(&bytes) {
                let message = message.ok_or_else(|| malformed(act))?;
                // A refusal of the whole batch answers its first message.
                let ours = (first - 1..=last).contains(&message.sequence);
                match message.outcome().filter(|_| ours) {
                    None => {}
                    Some(0) => waiting = waiting.saturating_sub(1),
                    Some(code) => return Err(refused(act, code)),
                }
            }
        }
        Ok(())
    }

    fn next(&mut self) -> u32 {
        self.sequence += 1;
        self.sequence
    }

    fn send(&self, act: &'static str, bytes: &[u8]) -> Result<(), NetlinkError> {
        let sent = self.socket.send(bytes, 0);
        sent.map(drop)
            .map_err(|source| NetlinkError::Transport { act, source })
    }

    fn datagram(&self, act: &'static str) -> Result<Vec<u8>, NetlinkError> {
        let received = self.socket.recv_from_full();
        received
            .map(|(bytes, _)| bytes)
            .map_err(|source| NetlinkError::Transport { act, source })
    }
}

fn kind(message: u16) -> u16 {
    SUBSYSTEM << 8 | message
}

fn named() -> Attributes {
    Attributes::default().text(NAME_OF_TABLE, TABLE)
}

/// A base chain at the prerouting hook that accepts what it does not mark.
fn at_prerouting((name, priority): Chain) -> Attributes {
    const NAME: u16 = 3;
    const HOOK: u16 = 4;
    const POLICY: u16 = 5;
    const TYPE: u16 = 7;
    const HOOK_NUMBER: u16 = 1;
    const HOOK_PRIORITY: u16 = 2;
    const PREROUTING: u32 = 0;
    const ACCEPT: u32 = 1;
    let hook = Attributes::default()
        .number(HOOK_NUMBER, PREROUTING)
        .number(HOOK_PRIORITY, priority.cast_unsigned());
    named()
        .text(NAME, name)
        .nest(HOOK, hook)
        .number(POLICY, ACCEPT)
        .text(TYPE, "filter")
}

/// A comment as `nft list ruleset` shows it: type 0, its length with the closing zero, the text.
fn userdata(comment: &str) -> Vec<u8> {
    // The settings bound the comment's length.
    let mut bytes = vec![0, (comment.len() + 1) as u8];
    bytes.extend(comment.as_bytes());
    bytes.push(0);
    bytes
}

fn refused(act: &'static str, code: i32) -> NetlinkError {
    NetlinkError::Refused {
        act,
        source: io::Error::from_raw_os_error(code),
    }
}

fn malformed(act: &'static str) -> NetlinkError {
    NetlinkError::Transport {
        act,
        source: io::Error::from(io::ErrorKind::InvalidData),
    }
}
