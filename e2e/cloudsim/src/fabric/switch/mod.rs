//! The forwarding decision: a function of one frame, without I/O.
//!
//! The simulated VPC does not decrement TTLs: for `traceroute`, two instances of a VPC are neighbours, whatever their
//! subnets (unverified). A frame cannot circulate, because each address has one owner. The VPC sends no ICMP errors. It
//! drops frames silently and counts them (unverified).

mod tally;

use std::{
    collections::{BTreeSet, HashMap},
    net::Ipv4Addr,
    time::Instant,
};

use self::tally::Tally;
use super::{
    counters::Reason,
    error::FabricError,
    fragments::Fragments,
    groups::Direction,
    guard::{Crossing, Guard},
    model::{FabricOptions, Port, VSwitchNet},
    ports::{Entry, PortId, PortTable, Wiring},
    wire::{
        arp::Arp,
        ethernet::{ETHERTYPE_ARP, ETHERTYPE_IPV4, Ethernet, GATEWAY_MAC, LinkHeader, Mac},
        icmp,
        ipv4::Ipv4,
        transport,
    },
};
use crate::world::{MemberMac, SecurityGroup};

/// The VPC: subnets, ports, guards and counters.
#[derive(Debug)]
pub struct Switch {
    options: FabricOptions,
    vswitches: HashMap<String, VSwitchNet>,
    ports: PortTable,
    guard: Guard,
    fragments: Fragments,
    tally: Tally,
}

/// The decision about a frame, and its sender.
#[derive(Debug, PartialEq, Eq)]
pub struct Decision<'f> {
    /// The ENI that sent the frame. If the ENI is unknown, the NIC by which the frame came in.
    pub from: PortId,
    pub verdict: Verdict<'f>,
}

/// What to do with a frame.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict<'f> {
    /// Write the frame to the TAP that carries `to`.
    Forward {
        to: PortId,
        header: LinkHeader,
        payload: &'f [u8],
    },
    /// Write this answer to the TAP from which the frame came.
    Answer { header: LinkHeader, payload: Vec<u8> },
    /// Drop the frame.
    Drop(Dropped),
}

/// A dropped frame: the reason, and the ENI at which it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dropped {
    pub reason: Reason,
    pub at: PortId,
}

/// The allowed route of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    pub to: PortId,
}

impl Switch {
    pub fn new(options: FabricOptions) -> Self {
        Self {
            guard: Guard::new(&options),
            options,
            vswitches: HashMap::new(),
            ports: PortTable::default(),
            fragments: Fragments::default(),
            tally: Tally::default(),
        }
    }

    /// Replaces all subnets and groups.
    pub fn set_topology(&mut self, vswitches: Vec<VSwitchNet>, groups: Vec<SecurityGroup>) {
        self.vswitches = vswitches.into_iter().map(|net| (net.id.clone(), net)).collect();
        self.guard.set_groups(groups);
        self.fragments.clear();
    }

    /// Adds a port.
    pub fn plug(&mut self, port: &Port) -> Result<PortId, FabricError> {
        if !self.vswitches.contains_key(&port.vswitch_id) {
            return Err(FabricError::UnknownVSwitch {
                eni_id: port.eni_id.clone(),
                vswitch_id: port.vswitch_id.clone(),
            });
        }
        let id = self.ports.plug(port)?;
        self.ports_changed(&[].into());
        Ok(id)
    }

    /// Removes a port, and the members of a trunk. Returns the removed ports.
    pub fn unplug(&mut self, eni_id: &str) -> BTreeSet<PortId> {
        let gone = self.ports.unplug(eni_id);
        self.tally.forget(&gone);
        self.ports_changed(&gone);
        gone
    }

    /// Gives a port other addresses and groups.
    pub fn update(
        &mut self,
        eni_id: &str,
        addresses: Vec<Ipv4Addr>,
        groups: Vec<String>,
    ) -> Result<(), FabricError> {
        self.ports.update(eni_id, addresses, groups)?;
        self.ports_changed(&[].into());
        Ok(())
    }

    fn ports_changed(&mut self, gone: &BTreeSet<PortId>) {
        self.guard.ports_changed(gone);
        self.fragments.clear();
    }

    /// Removes expired sessions and fragments. The worker calls this regularly.
    pub fn expire(&mut self, now: Instant) {
        self.guard.expire(now);
        self.fragments.expire(now);
    }

    pub fn ports(&self) -> &PortTable {
        &self.ports
    }

    /// Decides about a frame that came in by the TAP of the port `ingress`.
    pub fn switch<'f>(&mut self, now: Instant, ingress: PortId, frame: &'f [u8]) -> Decision<'f> {
        let Some(ethernet) = Ethernet::parse(frame) else {
            return dropped(ingress, Reason::Malformed);
        };
        let from = match ethernet.vlan {
            None => ingress,
            Some(vlan) => match self.ports.member(ingress, vlan) {
                Some(member) => member,
                None => return dropped(ingress, Reason::UnknownVlan),
            },
        };
        let verdict = self.judge(now, from, &ethernet).unwrap_or_else(Verdict::Drop);
        Decision { from, verdict }
    }

    fn judge<'f>(
        &mut self,
        now: Instant,
        from: PortId,
        frame: &Ethernet<'f>,
    ) -> Result<Verdict<'f>, Dropped> {
        let blame = |reason| Dropped { reason, at: from };
        let sender = self.ports.get(from).ok_or(blame(Reason::LinkDown))?;
        if self.options.rules.spoof_drop && !self.may_send_as(sender, frame.src) {
            return Err(blame(Reason::SpoofMac));
        }
        match frame.ethertype {
            ETHERTYPE_ARP => self.answer_arp(sender, frame).map_err(blame),
            ETHERTYPE_IPV4 if frame.is_group() => Err(blame(Reason::Broadcast)),
            ETHERTYPE_IPV4 if frame.dst != GATEWAY_MAC => Err(blame(Reason::WrongMac)),
            ETHERTYPE_IPV4 => {
                let packet = Ipv4::parse(frame.payload).ok_or(blame(Reason::Malformed))?;
                if self.options.rules.spoof_drop && !self.ports.owns(from, packet.src) {
                    return Err(blame(Reason::SpoofIp));
                }
                if packet.packet.len() > self.options.mtu {
                    return Err(blame(Reason::Mtu));
                }
                match self.answer_ping(sender, frame, &packet) {
                    Some(answer) => Ok(answer),
                    None => self.forward(now, from, &packet),
                }
            }
            _ => Err(blame(Reason::NotIpv4)),
        }
    }

    fn may_send_as(&self, sender: &Entry, mac: Mac) -> bool {
        match sender.wiring {
            Wiring::Direct => mac == sender.mac,
            // With `memberMac: member` the trunk's MAC is accepted too, because a stack that pushes the tag below its
            // routing layer does not know the member's MAC.
            Wiring::Member { trunk, .. } => {
                let is_trunk = self.ports.get(trunk).is_some_and(|trunk| trunk.mac == mac);
                is_trunk || (self.options.rules.member_mac == MemberMac::Member && mac == sender.mac)
            }
        }
    }

    /// The gateway answers for every address except the asker's own, because a probe for the own address must get no
    /// answer. The sender address is not checked: a Linux host asks with any of its addresses, only the asker gets the
    /// answer, and the fabric learns nothing from the request.
    fn answer_arp<'f>(&self, sender: &Entry, frame: &Ethernet<'f>) -> Result<Verdict<'f>, Reason> {
        let request = match Arp::parse(frame.payload).ok_or(Reason::Malformed)? {
            Arp::Request(request) => request,
            Arp::Other => return Err(Reason::OwnArp),
        };
        if sender.addresses.contains(&request.target) || request.sender == request.target {
            return Err(Reason::OwnArp);
        }
        let header = answer_header(frame);
        Ok(Verdict::Answer {
            header,
            payload: request.answer(GATEWAY_MAC).to_vec(),
        })
    }

    fn answer_ping<'f>(
        &self,
        sender: &Entry,
        frame: &Ethernet<'f>,
        packet: &Ipv4<'f>,
    ) -> Option<Verdict<'f>> {
        let net = self.vswitches.get(&sender.vswitch_id)?;
        if packet.dst != net.gateway() {
            return None;
        }
        let payload = icmp::echo_answer(packet)?;
        Some(Verdict::Answer {
            header: answer_header(frame),
            payload,
        })
    }

    fn forward<'f>(&mut self, now: Instant, from: PortId, packet: &Ipv4<'f>) -> Result<Verdict<'f>, Dropped> {
        let blame = |reason| Dropped { reason, at: from };
        let route = if packet.offset != 0 {
            self.fragments
                .recall(now, from, packet)
                .ok_or(blame(Reason::Fragment))??
        } else {
            let verdict = self.route(now, from, packet);
            if packet.more && !self.fragments.remember(now, from, packet, verdict) {
                return Err(blame(Reason::Fragment));
            }
            verdict?
        };
        let header = self.header_to(route.to).ok_or(blame(Reason::NoOwner))?;
        Ok(Verdict::Forward {
            to: route.to,
            header,
            payload: packet.packet,
        })
    }

    /// Finds the owner of the destination. The guards of sender and owner must allow the packet.
    fn route(&mut self, now: Instant, from: PortId, packet: &Ipv4<'_>) -> Result<Route, Dropped> {
        let blame = |reason| Dropped { reason, at: from };
        let Some((to, _)) = self.ports.owner(packet.dst) else {
            return Err(blame(self.why_unowned(packet.dst)));
        };
        if to == from {
            return Err(blame(Reason::ToSelf));
        }
        if !self.options.rules.trunk_hairpin && self.ports.carrier(to) == self.ports.carrier(from) {
            return Err(blame(Reason::Hairpin));
        }
        let (flow, signal) = transport::classify(packet).ok_or(blame(Reason::Malformed))?;
        for (port, direction) in [(from, Direction::Egress), (to, Direction::Ingress)] {
            let crossing = Crossing {
                port,
                direction,
                flow,
                signal,
            };
            self.guard
                .admit(now, &self.ports, &crossing)
                .map_err(|reason| Dropped { reason, at: port })?;
        }
        Ok(Route { to })
    }

    fn why_unowned(&self, address: Ipv4Addr) -> Reason {
        if address.is_multicast() || address.is_broadcast() {
            return Reason::Broadcast;
        }
        match self.vswitches.values().find(|net| net.cidr.contains(&address)) {
            Some(net) if net.gateway() == address => Reason::Gateway,
            Some(_) => Reason::NoOwner,
            None => Reason::NoRoute,
        }
    }

    fn header_to(&self, to: PortId) -> Option<LinkHeader> {
        let receiver = self.ports.get(to)?;
        let (mac, vlan) = match receiver.wiring {
            Wiring::Direct => (receiver.mac, None),
            Wiring::Member { trunk, vlan } => match self.options.rules.member_mac {
                MemberMac::Trunk => (self.ports.get(trunk)?.mac, Some(vlan)),
                MemberMac::Member => (receiver.mac, Some(vlan)),
            },
        };
        Some(LinkHeader::new(mac, GATEWAY_MAC, vlan, ETHERTYPE_IPV4))
    }
}

fn dropped<'f>(at: PortId, reason: Reason) -> Decision<'f> {
    Decision {
        from: at,
        verdict: Verdict::Drop(Dropped { reason, at }),
    }
}

fn answer_header(frame: &Ethernet<'_>) -> LinkHeader {
    LinkHeader::new(frame.src, GATEWAY_MAC, frame.vlan, frame.ethertype)
}

#[cfg(test)]
mod tests;
