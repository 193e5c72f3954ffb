//! The guard of an ENI. A packet of a known session passes; the rules judge a packet of a new flow.

use std::{collections::BTreeSet, time::Instant};

use super::{
    counters::Reason,
    groups::{Attempt, Direction, GroupTable},
    model::FabricOptions,
    ports::{PortId, PortTable},
    session::SessionTable,
    wire::{
        ipv4::{TCP, UDP},
        transport::{Flow, LocalFlow, Signal},
    },
};
use crate::world::SecurityGroup;

/// Security groups, and the sessions that they allowed.
#[derive(Debug)]
pub struct Guard {
    groups: GroupTable,
    sessions: SessionTable,
    /// Number of changes of groups and ports. A session that was judged before the last change is judged again at its
    /// next packet, so a change itself costs nothing.
    generation: u64,
}

/// A packet that passes one ENI.
#[derive(Debug, Clone, Copy)]
pub struct Crossing {
    pub port: PortId,
    pub direction: Direction,
    pub flow: Flow,
    pub signal: Signal,
}

impl Crossing {
    fn local(&self, flow: &Flow) -> LocalFlow {
        match self.direction {
            Direction::Egress => flow.seen_by_sender(),
            Direction::Ingress => flow.seen_by_receiver(),
        }
    }

    /// The flow that an ICMP error is about, as this ENI sees it. The error travels in the opposite direction.
    fn subject(&self) -> Option<LocalFlow> {
        match (self.signal, self.direction) {
            (Signal::Error(quoted), Direction::Egress) => Some(quoted.seen_by_receiver()),
            (Signal::Error(quoted), Direction::Ingress) => Some(quoted.seen_by_sender()),
            _ => None,
        }
    }

    fn refusal(&self) -> Reason {
        match self.direction {
            Direction::Egress => Reason::SgEgress,
            Direction::Ingress => Reason::SgIngress,
        }
    }
}

impl Guard {
    pub fn new(options: &FabricOptions) -> Self {
        Self {
            groups: GroupTable::default(),
            sessions: SessionTable::new(options.session_life, options.session_limit),
            generation: 0,
        }
    }

    /// Replaces all groups.
    pub fn set_groups(&mut self, groups: Vec<SecurityGroup>) {
        self.groups = GroupTable::new(groups);
        self.generation += 1;
    }

    /// Notes that ports, their addresses or their groups have changed. The ports in `gone` no longer exist.
    pub fn ports_changed(&mut self, gone: &BTreeSet<PortId>) {
        if !gone.is_empty() {
            self.sessions.forget(gone);
        }
        self.generation += 1;
    }

    pub fn expire(&mut self, now: Instant) {
        self.sessions.expire(now);
    }

    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Lets a packet pass, or returns why not.
    pub fn admit(&mut self, now: Instant, ports: &PortTable, crossing: &Crossing) -> Result<(), Reason> {
        if let Some(subject) = crossing.subject()
            && self.is_open(now, ports, crossing.port, subject)
        {
            return Ok(());
        }
        let flow = crossing.local(&crossing.flow);
        let key = (crossing.port, flow);
        if self.is_open(now, ports, crossing.port, flow) {
            self.sessions
                .touch(now, &key, crossing.direction, crossing.signal);
            return Ok(());
        }
        if !self.allows(ports, crossing.port, crossing.direction, &flow) {
            return Err(crossing.refusal());
        }
        let is_cut = self.sessions.get(now, &key).is_some();
        if is_cut || matches!(crossing.signal, Signal::Error(_)) {
            return Ok(());
        }
        self.sessions
            .open(now, key, self.generation, crossing.direction, crossing.signal)
            .map_err(|_| Reason::SessionTable)
    }

    /// Whether the flow has a session that the present rules still allow.
    fn is_open(&mut self, now: Instant, ports: &PortTable, port: PortId, flow: LocalFlow) -> bool {
        let key = (port, flow);
        let Some((opened, judged_at, cut)) = self
            .sessions
            .get(now, &key)
            .map(|session| (session.opened, session.judged_at, session.cut))
        else {
            return false;
        };
        if judged_at == self.generation {
            return !cut;
        }
        let allowed = self.allows(ports, port, opened, &flow);
        let generation = self.generation;
        if let Some(session) = self.sessions.get(now, &key) {
            session.judged_at = generation;
            session.cut = !allowed;
        }
        allowed
    }

    fn allows(&self, ports: &PortTable, port: PortId, direction: Direction, flow: &LocalFlow) -> bool {
        let Some(entry) = ports.get(port) else {
            return false;
        };
        let target = match direction {
            Direction::Egress => flow.remote_port,
            Direction::Ingress => flow.local_port,
        };
        let attempt = Attempt {
            direction,
            protocol: flow.protocol,
            port: matches!(flow.protocol, TCP | UDP).then_some(target),
            remote: flow.remote,
            remote_groups: ports.groups_of(flow.remote),
        };
        self.groups.allows(&entry.groups, &attempt)
    }
}
