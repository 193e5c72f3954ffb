//! The verbs, each as *read, plan, apply*, on the thread that owns the kernel handles.

use std::{net::Ipv4Addr, os::fd::OwnedFd, time::Duration};

use terway_ebpf_abi::Counter;

use terway_node_core::{
    census::Census,
    desired::{self, Node},
    interface::{PodInterface, Realised, Sandbox, Waiting},
    link::{Link, Links},
    observed::Observed,
    ownership,
    plan::{Plan, Step},
    scope::{Recent, current, leaked, leaving, unknown},
    state::{Focus, NetState},
    symmetric::Symmetric,
};

use super::{
    DatapathConfig, DatapathError, Repair, Report,
    kernel::{
        apply::{self, Outcome},
        error::{ObserveError, PairError},
        link,
        netlink::Netlink,
        netns,
        observe::{self, Filters},
        pair::{self, Pair},
        sysctl::Sysctls,
    },
    symmetric::Marking,
};
use crate::ebpf::Programs;

/// A sandbox that goes, with its namespace if there still is one.
pub type Departure = (Sandbox, Option<OwnedFd>);

/// The kernel handles of the node, and what has happened since the last reconciliation.
pub struct Engine {
    netlink: Netlink,
    programs: Programs,
    sysctls: Sysctls,
    marking: Marking,
    node_ip: Option<Ipv4Addr>,
    symmetric: Option<Symmetric>,
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
            sysctls: Sysctls::new(config.sysctl_net),
            marking: Marking::open()?,
            node_ip: config.node_ip,
            symmetric: config.symmetric,
            recent: Vec::new(),
        };
        if engine.symmetric.is_none() {
            engine.marking.remove()?;
        }
        let links = link::read(&mut engine.netlink)?;
        let mut settings = engine.wanted(&[], &links);
        engine.symmetric(&mut settings, &links)?;
        // Nothing is removed here: who is still wanted is not known yet.
        let seen = engine.seen(&links, &settings, Filters::Wanted)?;
        let plan = Plan::between(&settings, &narrowed(seen, &Focus::default(), &settings), &[]);
        complete(engine.apply(plan))?;
        Ok(engine)
    }

    pub fn add(&mut self, want: &PodInterface, netns: &OwnedFd) -> Result<Realised, DatapathError> {
        if let Some(vlan) = want.vlan.filter(|vlan| !(1..=4094).contains(vlan)) {
            return Err(DatapathError::BadVlan { vlan });
        }
        if netns::is_own(netns)? {
            return Err(DatapathError::HostNamespace);
        }
        let mut links = link::read(&mut self.netlink)?;
        nic(&links, want)?;
        let mut pair = match pair::find(&links, want, netns)? {
            Some(pair) => pair,
            None => pair::make(&mut self.netlink, &links, want, netns)?,
        };
        if pair.new {
            links.0.retain(|link| link.name != pair.host.name);
            links.0.push(pair.host.clone());
        }
        let realised = self.dress(want, &mut pair, &links);
        if let Err(error) = realised {
            if pair.new {
                // What could not be finished is not left half done. The first error is
                // the one to report; a leftover is found by the next DEL or reconciliation.
                let _ = self.delete(&[(want.sandbox.clone(), None)]);
            }
            return Err(error);
        }
        let host_mac = ownership::host_mac(&want.sandbox);
        let realised = Realised {
            host_ifname: pair.host.name,
            host_mac: pair.host.mac.unwrap_or(host_mac),
            pod_mac: ownership::pod_mac(&want.sandbox),
        };
        self.remember(Recent::Added(Box::new(want.clone())));
        Ok(realised)
    }

    pub fn check(&mut self, want: &PodInterface, netns: OwnedFd) -> Result<Vec<Repair>, DatapathError> {
        let links = link::read(&mut self.netlink)?;
        if links.of(&want.sandbox).is_none() {
            let container_id = want.sandbox.container_id.clone();
            return Err(PairError::HostInterfaceMissing { container_id }.into());
        }
        let missing = || PairError::PodInterfaceMissing {
            ifname: want.sandbox.ifname.clone(),
        };
        let mut pair = pair::find(&links, want, &netns)?.ok_or_else(missing)?;
        self.dress(want, &mut pair, &links)
    }

    /// Makes both ends of a pair what they should be, the host's first: the pod may send
    /// as soon as its own is up.
    fn dress(
        &mut self,
        want: &PodInterface,
        pair: &mut Pair,
        links: &Links,
    ) -> Result<Vec<Step>, DatapathError> {
        let nic = nic(links, want)?;
        let mut wanted = self.wanted(std::slice::from_ref(want), links);
        // Those of other interfaces are not this pod's.
        let own = [&pair.host.name, &nic.name];
        wanted.sysctls.retain(|key, _| own.contains(&&key.interface));
        let mut focus = Focus::default();
        focus.addresses.insert(want.ip);
        focus.veths.insert(pair.host.index);
        let seen = narrowed(self.seen(links, &wanted, Filters::Wanted)?, &focus, &wanted);
        let mut plan = Plan::between(&wanted, &seen, &[]);
        let left = Census::from(vec![want.clone()]).left_behind(&seen.foreign_rules, &wanted.rules);
        plan.steps.extend(left.into_iter().map(Step::RemoveLeftRule));
        let mut done = complete(self.apply(plan))?;

        let host_mac = links.indexed(pair.host.index).and_then(|l| l.mac);
        let host_mac = host_mac.unwrap_or_else(|| ownership::host_mac(&want.sandbox));
        let wanted = desired::pod(want, pair.pod_ifindex, host_mac);
        let inside = link::read(&mut pair.pod)?;
        let mut focus = Focus::default();
        focus.addresses.insert(want.ip);
        focus.veths.insert(pair.pod_ifindex);
        let seen = narrowed(observe::namespace(&mut pair.pod, &inside)?, &focus, &wanted);
        let plan = Plan::between(&wanted, &seen, &[]);
        let outcome = apply::apply(
            plan,
            &mut pair.pod,
            &mut self.programs,
            &self.sysctls,
            &mut self.marking,
        );
        done.extend(complete(outcome)?);
        Ok(done)
    }

    /// Removes sandboxes. A failure says nothing of which of them are gone; all can be removed again.
    pub fn delete(&mut self, departures: &[Departure]) -> Result<(), DatapathError> {
        let links = link::read(&mut self.netlink)?;
        let nothing = NetState::default();
        let seen = self.seen(&links, &nothing, Filters::Wanted)?;
        let mut doomed = Vec::new();
        for (sandbox, netns) in departures {
            match (links.of(sandbox), netns) {
                (Some(own), _) => doomed.push((own.index, own.name.clone())),
                (None, Some(netns)) => pair::clear(netns, &sandbox.ifname)?,
                (None, None) => {}
            }
        }
        let veths = doomed.iter().map(|(index, _)| *index).collect();
        let focus = leaving(&veths, &links, &seen.state);
        let plan = Plan::between(&nothing, &narrowed(seen, &focus, &nothing), &doomed);
        complete(self.apply(plan))?;
        for (sandbox, _) in departures {
            self.remember(Recent::Deleted(sandbox.clone()));
        }
        Ok(())
    }

    pub fn sandboxes(&mut self) -> Result<Vec<Sandbox>, DatapathError> {
        let links = link::read(&mut self.netlink)?;
        Ok(links.owned().map(|(_, sandbox)| sandbox).collect())
    }

    pub fn reconcile(&mut self, asked: Census) -> Result<Report, DatapathError> {
        let census = current(asked, &self.recent);
        let links = link::read(&mut self.netlink)?;
        let node = Node {
            links: &links,
            programs: self.programs.ids(),
            tcx: self.programs.has_tcx(),
            node_ip: self.node_ip,
        };
        let (mut wanted, mut waiting) = desired::host(&census.interfaces, &node);
        waiting.extend(self.symmetric(&mut wanted, &links)?);
        let mut seen = self.seen(&links, &wanted, Filters::All)?;
        if !census.unknown.is_empty() {
            let focus = unknown(&census, &links, &seen.state);
            seen.state = seen.state.sparing(&focus, &wanted);
        }
        let mut plan = Plan::between(&wanted, &seen, &leaked(&links, &census));
        let left = census.left_behind(&seen.foreign_rules, &wanted.rules);
        plan.steps.extend(left.into_iter().map(Step::RemoveLeftRule));
        plan.steps.extend(census.left_links(&links, &seen.ipvlan_pods));
        let Outcome { done, failed } = self.apply(plan);
        self.recent.clear();
        Ok(Report {
            done,
            failed,
            waiting,
        })
    }

    /// Whether the marks of symmetric routing are as they should be. Nothing tells when they are not.
    pub fn marks_answers(&mut self) -> Result<bool, DatapathError> {
        Ok(self.symmetric.is_none() || self.marking.observe()? == self.symmetric)
    }

    /// The port that this engine's changes are told with.
    pub fn port(&self) -> Result<u32, DatapathError> {
        Ok(self.netlink.port()?)
    }

    pub fn counters(&mut self) -> Result<Vec<(Counter, u64)>, DatapathError> {
        Ok(self.programs.counters()?)
    }

    /// Adds the way of answers to `wanted`; tells what it waits for instead.
    fn symmetric(&mut self, wanted: &mut NetState, links: &Links) -> Result<Option<Waiting>, DatapathError> {
        let Some(config) = &self.symmetric else {
            return Ok(None);
        };
        let missing = Some(Waiting::Uplink(config.interface.clone()));
        let Some(uplink) = links.named(&config.interface) else {
            return Ok(missing);
        };
        let Some(gateway) = observe::uplink(&mut self.netlink, uplink.index)? else {
            return Ok(missing);
        };
        desired::symmetric(wanted, config, uplink, gateway);
        Ok(None)
    }

    fn remember(&mut self, event: Recent) {
        self.recent.retain(|earlier| !event.supersedes(earlier));
        self.recent.push(event);
    }

    fn wanted(&self, members: &[PodInterface], links: &Links) -> NetState {
        let node = Node {
            links,
            programs: self.programs.ids(),
            tcx: self.programs.has_tcx(),
            node_ip: self.node_ip,
        };
        desired::host(members, &node).0
    }

    fn seen(&mut self, links: &Links, wanted: &NetState, filters: Filters) -> Result<Observed, ObserveError> {
        observe::host(
            &mut self.netlink,
            links,
            &self.programs,
            &self.sysctls,
            &mut self.marking,
            wanted,
            filters,
        )
    }

    fn apply(&mut self, plan: Plan) -> Outcome {
        apply::apply(
            plan,
            &mut self.netlink,
            &mut self.programs,
            &self.sysctls,
            &mut self.marking,
        )
    }
}

/// The NIC that carries an interface.
fn nic<'a>(links: &'a Links, want: &PodInterface) -> Result<&'a Link, DatapathError> {
    links.nic(want.nic_mac).ok_or(DatapathError::NicMissing {
        mac: want.nic_mac,
        waited: Duration::ZERO,
    })
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
