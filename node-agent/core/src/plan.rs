//! The steps from what is to what should be.

use std::{fmt, net::Ipv4Addr};

use ipnet::Ipv4Net;

use crate::{
    observed::Observed,
    program::{FilterAt, InterfaceIp, PopKey},
    state::{LinkSetting, NetState, Route, Rule, Sysctl},
    symmetric::Symmetric,
};

/// One change to the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    SetSysctl {
        key: Sysctl,
        value: String,
    },
    PutMarking(Symmetric),
    PutSource {
        at: InterfaceIp,
        mac: [u8; 6],
    },
    PutPop {
        key: PopKey,
        veth: u32,
    },
    PutPush {
        at: InterfaceIp,
        vlan: u16,
        veth: u32,
    },
    AttachFilter(FilterAt),
    SetLink {
        ifindex: u32,
        setting: LinkSetting,
    },
    AddAddress {
        ifindex: u32,
        net: Ipv4Net,
    },
    PutNeighbour {
        ifindex: u32,
        ip: Ipv4Addr,
        mac: [u8; 6],
    },
    PutRoute(Route),
    AddRule(Rule),
    RemoveRule(Rule),
    /// One that upstream's agent has left.
    RemoveLeftRule(Rule),
    /// Filters of upstream's IPvlan datapath on an ENI.
    RemoveLeftFilters {
        ifindex: u32,
    },
    RemoveRoute(Route),
    RemovePop(PopKey),
    RemovePush(InterfaceIp),
    RemoveFilter(FilterAt),
    /// Links by number and name, in one act.
    DeleteLinks(Vec<(u32, String)>),
    RemoveSource(InterfaceIp),
}

/// Steps in the order they are to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    pub steps: Vec<Step>,
}

impl Plan {
    /// The difference, with the links in `doomed` deleted on the way.
    ///
    /// Additions come first, so that a changed rule or route has its successor before it
    /// goes. Among them: what the programs look up, then the programs, then the link, then
    /// the ways that lead packets there; a packet never meets a way without its checks.
    /// Removals go the other way round. A host veth's own filter goes with the link, and
    /// what it lets in only after it, or a dying pod's last packets would count as spoofed.
    pub fn between(wanted: &NetState, observed: &Observed, doomed: &[(u32, String)]) -> Plan {
        let mut plan = Plan::default();
        plan.add_settings(wanted, &observed.state);
        plan.add_lookups(wanted, &observed.state);
        plan.add_links(wanted, &observed.state);
        plan.add_ways(wanted, observed);
        plan.add_marking(wanted, &observed.state);
        plan.remove(wanted, &observed.state, doomed);
        plan
    }

    fn add_settings(&mut self, wanted: &NetState, seen: &NetState) {
        for (key, value) in &wanted.sysctls {
            if seen.sysctls.get(key) != Some(value) {
                self.steps.push(Step::SetSysctl {
                    key: key.clone(),
                    value: value.clone(),
                });
            }
        }
    }

    fn add_marking(&mut self, wanted: &NetState, seen: &NetState) {
        if let Some(marking) = &wanted.marking
            && seen.marking.as_ref() != Some(marking)
        {
            self.steps.push(Step::PutMarking(marking.clone()));
        }
    }

    fn add_lookups(&mut self, wanted: &NetState, seen: &NetState) {
        for (at, mac) in &wanted.sources {
            if seen.sources.get(at) != Some(mac) {
                self.steps.push(Step::PutSource { at: *at, mac: *mac });
            }
        }
        for (at, (vlan, veth)) in &wanted.pushes {
            if seen.pushes.get(at) != Some(&(*vlan, *veth)) {
                self.steps.push(Step::PutPush {
                    at: *at,
                    vlan: *vlan,
                    veth: *veth,
                });
            }
        }
        for (key, veth) in &wanted.pops {
            if seen.pops.get(key) != Some(veth) {
                self.steps.push(Step::PutPop {
                    key: *key,
                    veth: *veth,
                });
            }
        }
        for (at, id) in &wanted.filters {
            if seen.filters.get(at) != Some(id) {
                self.steps.push(Step::AttachFilter(*at));
            }
        }
    }

    fn add_links(&mut self, wanted: &NetState, seen: &NetState) {
        for (ifindex, setting) in &wanted.links {
            if seen.links.get(ifindex) != Some(setting) {
                self.steps.push(Step::SetLink {
                    ifindex: *ifindex,
                    setting: *setting,
                });
            }
        }
        for (ifindex, net) in wanted.addresses.difference(&seen.addresses) {
            self.steps.push(Step::AddAddress {
                ifindex: *ifindex,
                net: *net,
            });
        }
        for ((ifindex, ip), mac) in &wanted.neighbours {
            if seen.neighbours.get(&(*ifindex, *ip)) != Some(mac) {
                self.steps.push(Step::PutNeighbour {
                    ifindex: *ifindex,
                    ip: *ip,
                    mac: *mac,
                });
            }
        }
    }

    fn add_ways(&mut self, wanted: &NetState, observed: &Observed) {
        for route in wanted.routes.difference(&observed.state.routes) {
            self.steps.push(Step::PutRoute(route.clone()));
        }
        for rule in wanted.rules.difference(&observed.state.rules) {
            if !observed.foreign_rules.contains_key(rule) {
                self.steps.push(Step::AddRule(rule.clone()));
            }
        }
    }

    fn remove(&mut self, wanted: &NetState, seen: &NetState, doomed: &[(u32, String)]) {
        let dies = |ifindex: u32| doomed.iter().any(|(i, _)| *i == ifindex);
        let steps = &mut self.steps;
        steps.extend(
            seen.rules
                .difference(&wanted.rules)
                .cloned()
                .map(Step::RemoveRule),
        );
        let routes = seen
            .routes
            .difference(&wanted.routes)
            .filter(|r| !dies(r.ifindex));
        steps.extend(
            routes
                .filter(|r| !replaced(r, wanted, seen))
                .cloned()
                .map(Step::RemoveRoute),
        );
        steps.extend(
            seen.pops
                .keys()
                .filter(|k| !wanted.pops.contains_key(k))
                .copied()
                .map(Step::RemovePop),
        );
        steps.extend(
            seen.pushes
                .keys()
                .filter(|k| !wanted.pushes.contains_key(k))
                .copied()
                .map(Step::RemovePush),
        );
        let filters = seen.filters.keys().filter(|at| !dies(at.0));
        steps.extend(
            filters
                .filter(|at| !wanted.filters.contains_key(at))
                .copied()
                .map(Step::RemoveFilter),
        );
        if !doomed.is_empty() {
            steps.push(Step::DeleteLinks(doomed.to_vec()));
        }
        steps.extend(
            seen.sources
                .keys()
                .filter(|k| !wanted.sources.contains_key(k))
                .copied()
                .map(Step::RemoveSource),
        );
    }
}

/// Whether a wanted route takes this one's place when it is put: the kernel replaces by
/// table and destination.
fn replaced(route: &Route, wanted: &NetState, seen: &NetState) -> bool {
    let mut new = wanted.routes.difference(&seen.routes);
    new.any(|w| w.table == route.table && w.destination == route.destination)
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::SetSysctl { key, value } => write!(f, "set {key} to {value}"),
            Step::PutMarking(to) => write!(
                f,
                "mark connections that enter by {} with {:#x}/{:#x}",
                to.interface, to.mark, to.mask
            ),
            Step::PutSource { at: (i, ip), .. } => write!(f, "let {ip} in from interface {i}"),
            Step::PutPop {
                key: (i, vlan, ip), ..
            } => write!(f, "accept {ip} in VLAN {vlan} on interface {i}"),
            Step::PutPush {
                at: (i, ip), vlan, ..
            } => write!(f, "tag {ip} with VLAN {vlan} on interface {i}"),
            Step::AttachFilter((ifindex, program, _)) => {
                write!(f, "attach {} to interface {ifindex}", program.name())
            }
            Step::SetLink { ifindex, setting } => {
                write!(f, "bring interface {ifindex} up with MTU {}", setting.mtu)
            }
            Step::AddAddress { ifindex, net } => write!(f, "add address {net} to interface {ifindex}"),
            Step::PutNeighbour { ifindex, ip, .. } => write!(f, "set neighbour {ip} on interface {ifindex}"),
            Step::PutRoute(r) => write!(f, "add {r}"),
            Step::AddRule(r) => write!(f, "add {r}"),
            Step::RemoveRule(r) => write!(f, "remove {r}"),
            Step::RemoveLeftRule(r) => write!(f, "remove upstream's {r}"),
            Step::RemoveLeftFilters { ifindex } => {
                write!(f, "detach upstream's IPvlan filters from interface {ifindex}")
            }
            Step::RemoveRoute(r) => write!(f, "remove {r}"),
            Step::RemovePop((i, vlan, ip)) => {
                write!(f, "stop accepting {ip} in VLAN {vlan} on interface {i}")
            }
            Step::RemovePush((i, ip)) => write!(f, "stop tagging {ip} on interface {i}"),
            Step::RemoveFilter((ifindex, program, _)) => {
                write!(f, "detach {} from interface {ifindex}", program.name())
            }
            Step::DeleteLinks(links) => {
                let names: Vec<&str> = links.iter().map(|(_, name)| name.as_str()).collect();
                write!(f, "delete link {}", names.join(", "))
            }
            Step::RemoveSource((i, ip)) => write!(f, "stop letting {ip} in from interface {i}"),
        }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "route {} by interface {} in table {}",
            self.destination, self.ifindex, self.table
        )
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule {}", self.priority)?;
        if let Some(net) = self.from {
            write!(f, " from {net}")?;
        }
        if let Some(net) = self.to {
            write!(f, " to {net}")?;
        }
        if let Some(name) = &self.oif {
            write!(f, " oif {name}")?;
        }
        if let Some((mark, mask)) = self.mark {
            write!(f, " fwmark {mark:#x}/{mask:#x}")?;
        }
        write!(f, " lookup {}", self.table)
    }
}

#[cfg(test)]
mod tests;
