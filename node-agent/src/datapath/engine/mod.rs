//! The verbs. Each reads, plans and applies, on the thread that owns the kernel handles.

mod pod;

use std::{collections::BTreeSet, net::IpAddr, os::fd::OwnedFd};

use terway_address::Family;
use terway_ebpf_abi::Counter;
use terway_node_core::{
    census::Census,
    desired::{self, Node},
    interface::{PodInterface, Sandbox, Waiting},
    link::Links,
    object::{self, Focus},
    observed::{Ask, Breadth, Observed, Side},
    plan::{Plan, Step},
    program::Program,
    scope::{Recent, current, give_way, leaked, set_apart, unknown},
    state::State,
    symmetric::Symmetric,
};
use terway_process::error_chain;
use tracing::{debug, warn};

use super::{
    DatapathConfig, DatapathError, Report,
    kernel::{
        apply::{Applied, apply},
        error::ObserveError,
        forward, link,
        marks::Marking,
        namespace::Namespace,
        netlink::Netlink,
        route,
        sysctl::Sysctls,
    },
};
use crate::ebpf::Programs;

/// A sandbox that is removed, with its namespace if that still exists.
pub type Departure = (Sandbox, Option<OwnedFd>);

/// The kernel handles of the node, and what has happened since the last reconciliation.
pub struct Engine {
    netlink: Netlink,
    programs: Programs,
    sysctls: Sysctls,
    marking: Marking,
    node_ip: Option<IpAddr>,
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
            marking: Marking::default(),
            node_ip: config.node_ip,
            symmetric: config.symmetric,
            recent: Vec::new(),
        };
        if engine.symmetric.is_none()
            && let Err(error) = engine.marking.remove()
        {
            warn!(
                error = error_chain(&error),
                "the marks of symmetric routing, which is off, were not removed"
            );
        }
        let links = link::read(&mut engine.netlink)?;
        let (mut settings, _) = engine.wanted(&[], &links)?;
        engine.symmetric(&mut settings, &links)?;
        // Nothing is removed here, because the wanted sandboxes are not known yet.
        let seen = engine.seen(&links, &settings, Breadth::Narrow)?;
        for waiting in give_way(&mut settings, &seen) {
            warn!(?waiting, "not complete");
        }
        let plan = Plan::between(&settings, &narrowed(seen, &Focus::default(), &settings), &[]);
        // What fails here is tried again by the first reconciliation, which comes before the first ADD and tells. No
        // setting of one interface may keep the agent from serving a DEL.
        for (step, error) in engine.apply(plan).failed {
            warn!(%step, error = error_chain(&error), "a setting of the host was not made");
        }
        Ok(engine)
    }

    pub fn has_tcx(&self) -> bool {
        self.programs.has_tcx()
    }

    pub fn sandboxes(&mut self) -> Result<Vec<Sandbox>, DatapathError> {
        let links = link::read(&mut self.netlink)?;
        Ok(links.owned().map(|(_, sandbox)| sandbox).collect())
    }

    pub fn reconcile(&mut self, asked: Census) -> Result<Report, DatapathError> {
        let mut census = current(asked, &self.recent);
        let links = link::read(&mut self.netlink)?;
        let (mut wanted, mut waiting) = self.wanted(&census.interfaces, &links)?;
        waiting.extend(self.symmetric(&mut wanted, &links)?);
        let mut seen = self.seen(&links, &wanted, Breadth::Whole)?;
        let changed = set_apart(&mut census, &links, &seen.state);
        if !changed.is_empty() {
            (wanted, waiting) = self.wanted(&census.interfaces, &links)?;
            waiting.extend(self.symmetric(&mut wanted, &links)?);
            waiting.extend(changed);
        }
        waiting.extend(give_way(&mut wanted, &seen));
        let (taken_away, on_the_host) = census.on_the_host(&links, &seen.state, self.node_ip);
        waiting.extend(on_the_host);
        waiting.extend(self.closed());
        if !census.unknown.is_empty() {
            let focus = unknown(&census, &links, &seen.state);
            seen.state = seen.state.sparing(&focus, &wanted);
        }
        let mut plan = Plan::between(&wanted, &seen, &leaked(&links, &census));
        let left = census.left_behind(&seen.foreign_rules, &wanted);
        plan.steps.extend(left);
        plan.steps.extend(taken_away);
        plan.steps.extend(census.left_links(&links, &seen.ipvlan_pods));
        let Applied { done, failed } = self.apply(plan);
        self.recent.clear();
        Ok(Report {
            done,
            failed,
            waiting,
        })
    }

    /// The chains that drop what is forwarded. Without nf_tables the kernel has none.
    fn closed(&mut self) -> Vec<Waiting> {
        match self.marking.session().and_then(forward::closed) {
            Ok(closed) => closed
                .into_iter()
                .map(|chain| Waiting::Closed { chain })
                .collect(),
            Err(error) => {
                debug!(
                    error = error_chain(&error),
                    "the chains of nf_tables were not read"
                );
                Vec::new()
            }
        }
    }

    /// Whether the marks of symmetric routing are as they were put. The kernel sends no notice when they change.
    pub fn marks_answers(&mut self) -> Result<bool, DatapathError> {
        let put = self.symmetric.is_some() && self.marking.is_applied();
        Ok(!put || self.marking.observe()? == self.symmetric)
    }

    /// The netlink port that notices of this engine's own changes carry.
    pub fn port(&self) -> Result<u32, DatapathError> {
        Ok(self.netlink.port()?)
    }

    pub fn counters(&mut self) -> Result<Vec<(Counter, u64)>, DatapathError> {
        Ok(self.programs.counters()?)
    }

    /// Adds the route and the rule of symmetric routing to `wanted`, or tells what they wait for.
    fn symmetric(&mut self, wanted: &mut State, links: &Links) -> Result<Option<Waiting>, DatapathError> {
        let Some(config) = &self.symmetric else {
            return Ok(None);
        };
        let missing = Some(Waiting::Uplink(config.interface.clone()));
        let Some(uplink) = links.named(&config.interface) else {
            return Ok(missing);
        };
        for family in Family::SERVED {
            let Some(way) = route::uplink(&mut self.netlink, uplink.index, family)? else {
                return Ok(missing);
            };
            desired::symmetric(wanted, config, uplink, (family, way.gateway));
        }
        Ok(None)
    }

    fn remember(&mut self, event: Recent) {
        self.recent.retain(|earlier| !event.supersedes(earlier));
        self.recent.push(event);
    }

    /// The host's side of these interfaces, and the interfaces that wait for something.
    fn wanted(
        &self,
        members: &[PodInterface],
        links: &Links,
    ) -> Result<(State, Vec<Waiting>), DatapathError> {
        let node = Node {
            links,
            programs: self.programs.ids(),
            tcx: self.programs.has_tcx(),
            on_tcx: &self.on_tcx(members, links)?,
            node_ip: self.node_ip,
        };
        Ok(desired::host(members, &node))
    }

    /// Host veths of these interfaces whose check of sources is attached by TCX.
    fn on_tcx(&self, members: &[PodInterface], links: &Links) -> Result<BTreeSet<u32>, DatapathError> {
        let mut found = BTreeSet::new();
        if self.programs.has_tcx() {
            for veth in members.iter().filter_map(|member| links.of(&member.sandbox)) {
                if self.programs.attached(veth.index, Program::PodSource)?.is_some() {
                    found.insert(veth.index);
                }
            }
        }
        Ok(found)
    }

    fn seen(&mut self, links: &Links, wanted: &State, breadth: Breadth) -> Result<Observed, ObserveError> {
        let ask = Ask {
            side: Side::Host,
            links,
            wanted,
            breadth,
        };
        object::observe(&mut self.host(), &ask)
    }

    fn apply(&mut self, plan: Plan) -> Applied {
        apply(plan, &mut self.host())
    }

    /// The node's own namespace.
    fn host(&mut self) -> Namespace<'_> {
        Namespace {
            netlink: &mut self.netlink,
            programs: &mut self.programs,
            sysctls: &self.sysctls,
            marking: &mut self.marking,
        }
    }
}

fn narrowed(mut seen: Observed, focus: &Focus, wanted: &State) -> Observed {
    seen.state = seen.state.narrowed(focus, wanted);
    seen
}

/// The steps that were made, or the first failure.
fn complete(outcome: Applied) -> Result<Vec<Step>, DatapathError> {
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
