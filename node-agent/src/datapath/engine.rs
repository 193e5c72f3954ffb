//! The verbs, each as *read, plan, apply*, on the thread that owns the kernel handles.

use std::{net::Ipv4Addr, os::fd::OwnedFd, time::Duration};

use terway_ebpf_abi::Counter;

use super::{
    DatapathConfig, DatapathError, MemberInterface, Present, Realised, Repair, Report, Sandbox, Step,
    apply::{self, Outcome},
    desired::{self, Node},
    link::Links,
    netlink::Netlink,
    netns, observe,
    observe::Observed,
    ownership,
    pair::{self, Pair},
    plan::Plan,
    scope::{Recent, current, leaked, leaving},
    state::{Focus, NetState},
};
use crate::ebpf::Programs;

/// The kernel handles of the node, and what has happened since the last reconciliation.
pub struct Engine {
    netlink: Netlink,
    programs: Programs,
    node_ip: Option<Ipv4Addr>,
    recent: Vec<Recent>,
}

impl Engine {
    /// Opens the handles of the namespace this thread is in and sets the host's sysctls.
    pub fn start(config: DatapathConfig) -> Result<Self, DatapathError> {
        let netlink = Netlink::open()?;
        let programs = Programs::load(&config.pin_directory)?;
        let mut engine = Self {
            netlink,
            programs,
            node_ip: config.node_ip,
            recent: Vec::new(),
        };
        let links = Links::read(&mut engine.netlink)?;
        let settings = engine.wanted(&[], &links);
        // Nothing is removed here: who is still wanted is not known yet.
        let seen = engine.seen(&links, &settings)?;
        let plan = Plan::between(&settings, &narrowed(seen, &Focus::default(), &settings), &[]);
        complete(engine.apply(plan))?;
        Ok(engine)
    }

    pub fn has_nic(&mut self, mac: [u8; 6]) -> Result<bool, DatapathError> {
        Ok(Links::read(&mut self.netlink)?.nic(mac).is_some())
    }

    pub fn add(&mut self, want: MemberInterface, netns: OwnedFd) -> Result<Realised, DatapathError> {
        if !(1..=4094).contains(&want.vlan) {
            return Err(DatapathError::BadVlan { vlan: want.vlan });
        }
        if netns::is_own(&netns)? {
            return Err(DatapathError::HostNamespace);
        }
        let links = Links::read(&mut self.netlink)?;
        let mut pair = match pair::find(&links, &want, &netns)? {
            Some(pair) => pair,
            None => pair::make(&mut self.netlink, &links, &want, &netns)?,
        };
        let realised = self.dress(&want, &mut pair);
        if let Err(error) = realised {
            if pair.new {
                // What could not be finished is not left half done. The first error is
                // the one to report; a leftover is found by the next DEL or reconciliation.
                let _ = self.delete(&want.sandbox);
            }
            return Err(error);
        }
        let host_mac = ownership::host_mac(&want.sandbox);
        let realised = Realised {
            host_ifname: pair.host.name,
            host_mac: pair.host.mac.unwrap_or(host_mac),
            pod_mac: ownership::pod_mac(&want.sandbox),
        };
        self.remember(Recent::Added(Box::new(want)));
        Ok(realised)
    }

    pub fn check(&mut self, want: &MemberInterface, netns: OwnedFd) -> Result<Vec<Repair>, DatapathError> {
        let links = Links::read(&mut self.netlink)?;
        if links.of(&want.sandbox).is_none() {
            return Err(DatapathError::HostInterfaceMissing {
                container_id: want.sandbox.container_id.clone(),
            });
        }
        let missing = || DatapathError::PodInterfaceMissing {
            ifname: want.sandbox.ifname.clone(),
        };
        let mut pair = pair::find(&links, want, &netns)?.ok_or_else(missing)?;
        self.dress(want, &mut pair)
    }

    /// Makes both ends of a pair what they should be, the host's first: the pod may send
    /// as soon as its own is up.
    fn dress(&mut self, want: &MemberInterface, pair: &mut Pair) -> Result<Vec<Step>, DatapathError> {
        let links = Links::read(&mut self.netlink)?;
        if links.nic(want.trunk_mac).is_none() {
            return Err(DatapathError::NicMissing {
                mac: want.trunk_mac,
                waited: Duration::ZERO,
            });
        }
        let wanted = self.wanted(std::slice::from_ref(want), &links);
        let mut focus = Focus::default();
        focus.addresses.insert(want.ip);
        focus.veths.insert(pair.host.index);
        let seen = narrowed(self.seen(&links, &wanted)?, &focus, &wanted);
        let mut done = complete(self.apply(Plan::between(&wanted, &seen, &[])))?;

        let host_mac = links.indexed(pair.host.index).and_then(|l| l.mac);
        let host_mac = host_mac.unwrap_or_else(|| ownership::host_mac(&want.sandbox));
        let wanted = desired::pod(want, pair.pod_ifindex, host_mac);
        let inside = Links::read(&mut pair.pod)?;
        let mut focus = Focus::default();
        focus.addresses.insert(want.ip);
        focus.veths.insert(pair.pod_ifindex);
        let seen = narrowed(observe::namespace(&mut pair.pod, &inside)?, &focus, &wanted);
        let plan = Plan::between(&wanted, &seen, &[]);
        done.extend(complete(apply::apply(plan, &mut pair.pod, &mut self.programs))?);
        Ok(done)
    }

    pub fn delete(&mut self, sandbox: &Sandbox) -> Result<(), DatapathError> {
        let links = Links::read(&mut self.netlink)?;
        let seen = self.seen(&links, &NetState::default())?;
        let own = links.of(sandbox);
        let doomed: Vec<_> = own.iter().map(|l| (l.index, l.name.clone())).collect();
        let focus = leaving(own.map(|l| l.index), &links, &seen.state);
        let nothing = NetState::default();
        let plan = Plan::between(&nothing, &narrowed(seen, &focus, &nothing), &doomed);
        complete(self.apply(plan))?;
        self.remember(Recent::Deleted(sandbox.clone()));
        Ok(())
    }

    pub fn sandboxes(&mut self) -> Result<Vec<Present>, DatapathError> {
        let links = Links::read(&mut self.netlink)?;
        let routes = observe::namespace(&mut self.netlink, &links)?.state.routes;
        let present = links.owned().map(|(link, sandbox)| {
            let own = routes.iter().filter(|r| r.ifindex == link.index);
            let addresses = own.map(|r| r.destination.addr()).collect();
            Present {
                sandbox,
                host_ifname: link.name.clone(),
                addresses,
            }
        });
        Ok(present.collect())
    }

    pub fn reconcile(&mut self, desired: Vec<MemberInterface>) -> Result<Report, DatapathError> {
        let members = current(desired, &self.recent);
        let links = Links::read(&mut self.netlink)?;
        let node = Node {
            links: &links,
            programs: self.programs.ids(),
            node_ip: self.node_ip,
        };
        let (wanted, waiting) = desired::host(&members, &node);
        let seen = self.seen(&links, &wanted)?;
        let plan = Plan::between(&wanted, &seen, &leaked(&links, &members));
        let Outcome { done, failed } = self.apply(plan);
        self.recent.clear();
        Ok(Report {
            done,
            failed,
            waiting,
        })
    }

    pub fn counters(&mut self) -> Result<Vec<(Counter, u64)>, DatapathError> {
        Ok(self.programs.counters()?)
    }

    fn remember(&mut self, event: Recent) {
        self.recent.retain(|earlier| !event.supersedes(earlier));
        self.recent.push(event);
    }

    fn wanted(&self, members: &[MemberInterface], links: &Links) -> NetState {
        let node = Node {
            links,
            programs: self.programs.ids(),
            node_ip: self.node_ip,
        };
        desired::host(members, &node).0
    }

    fn seen(&mut self, links: &Links, wanted: &NetState) -> Result<Observed, DatapathError> {
        observe::host(&mut self.netlink, links, &self.programs, wanted)
    }

    fn apply(&mut self, plan: Plan) -> Outcome {
        apply::apply(plan, &mut self.netlink, &mut self.programs)
    }
}

fn narrowed(mut seen: Observed, focus: &Focus, wanted: &NetState) -> Observed {
    seen.state = seen.state.narrowed(focus, wanted);
    seen
}

/// The steps made, or the first failure.
fn complete(outcome: Outcome) -> Result<Vec<Step>, DatapathError> {
    let others = outcome.failed.len().saturating_sub(1);
    match outcome.failed.into_iter().next() {
        None => Ok(outcome.done),
        Some((step, source)) => Err(DatapathError::Incomplete {
            step: step.to_string(),
            others,
            source: Box::new(source),
        }),
    }
}
