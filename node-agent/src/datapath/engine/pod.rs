//! Making, checking and removing the interface of a pod.

use std::{os::fd::OwnedFd, time::Duration};

use terway_node_core::{
    census::Census,
    desired,
    interface::{PodInterface, Realised},
    link::{Link, Links},
    object::{self, Focus, Key},
    observed::{Ask, Breadth, Side},
    ownership,
    plan::{Plan, Step},
    scope::{Recent, changed, holder, leaving},
    state::State,
};

use super::{
    super::{
        DatapathError, Repair,
        kernel::{
            apply::apply,
            error::PairError,
            link,
            namespace::Namespace,
            netns,
            pair::{self, Pair},
        },
    },
    Departure, Engine, complete, narrowed,
};

impl Engine {
    pub fn add(&mut self, want: &PodInterface, netns: &OwnedFd) -> Result<Realised, DatapathError> {
        if netns::is_own(netns)? {
            return Err(DatapathError::HostNamespace);
        }
        let mut links = link::read(&mut self.netlink)?;
        nic(&links, want)?;
        let mut pair = match pair::find(&links, want, netns)? {
            Some(pair) => pair,
            None => pair::make(&mut self.netlink, &mut links, want, netns)?,
        };
        let realised = self.dress(want, &mut pair, &links);
        if let Err(error) = realised {
            if pair.new {
                // An interface that could not be finished is removed again. The first error is reported. The next DEL
                // or reconciliation removes what stays.
                let _ = self.delete(&[(want.sandbox.clone(), None)]);
            }
            return Err(error);
        }
        let host_mac = ownership::host_mac(&want.sandbox);
        let realised = Realised {
            host_ifname: pair.host.name,
            host_mac: pair.host.mac.unwrap_or(host_mac),
            pod_mac: ownership::pod_mac(&want.sandbox),
            mtu: pair.host.mtu,
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
        let seen = self.seen(&links, &State::default(), Breadth::Narrow)?;
        if let Some(changed) = changed(want, &links, &seen.state) {
            return Err(DatapathError::AddressChanged(Box::new(changed)));
        }
        let missing = || PairError::PodInterfaceMissing {
            ifname: want.sandbox.ifname.clone(),
        };
        let mut pair = pair::find(&links, want, &netns)?.ok_or_else(missing)?;
        self.dress(want, &mut pair, &links)
    }

    /// Makes both ends of a pair what they should be. The host's end comes first: the pod may send as soon as its own
    /// end is up.
    fn dress(
        &mut self,
        want: &PodInterface,
        pair: &mut Pair,
        links: &Links,
    ) -> Result<Vec<Step>, DatapathError> {
        let nic = nic(links, want)?;
        let (mut wanted, _) = self.wanted(std::slice::from_ref(want), links)?;
        // Objects of other interfaces do not belong to this pod.
        let own = [&pair.host.name, &nic.name];
        wanted.retain(|key, _| !matches!(key, Key::Sysctl(sysctl) if !own.contains(&&sysctl.interface)));
        let mut focus = Focus::default();
        focus.addresses.insert(want.ip);
        focus.veths.insert(pair.host.index);
        let seen = self.seen(links, &wanted, Breadth::Narrow)?;
        if let Some(other) = holder(want, links, &seen.state) {
            return Err(DatapathError::AddressTaken {
                ip: want.ip,
                container_id: other.container_id,
                pod_uid: other.pod_uid,
            });
        }
        let census = Census::from(vec![want.clone()]);
        let (taken_away, _) = census.on_the_host(links, &seen.state, self.node_ip);
        let seen = narrowed(seen, &focus, &wanted);
        let mut plan = Plan::between(&wanted, &seen, &[]);
        plan.steps
            .extend(census.left_behind(&seen.foreign_rules, &wanted));
        plan.steps.extend(taken_away);
        let mut done = complete(self.apply(plan))?;

        let wanted = desired::pod(want, pair.pod_ifindex, &pair.host);
        let inside = link::read(&mut pair.pod)?;
        let mut focus = Focus::default();
        focus.addresses.insert(want.ip);
        focus.veths.insert(pair.pod_ifindex);
        let ask = Ask {
            side: Side::Pod,
            links: &inside,
            wanted: &wanted,
            breadth: Breadth::Narrow,
        };
        let mut pod = Namespace {
            netlink: &mut pair.pod,
            ..self.host()
        };
        let seen = narrowed(object::observe(&mut pod, &ask)?, &focus, &wanted);
        let plan = Plan::between(&wanted, &seen, &[]);
        done.extend(complete(apply(plan, &mut pod))?);
        Ok(done)
    }

    /// Removes sandboxes. A failure does not tell which of them are gone; each can be removed again.
    pub fn delete(&mut self, departures: &[Departure]) -> Result<(), DatapathError> {
        let links = link::read(&mut self.netlink)?;
        let nothing = State::default();
        let seen = self.seen(&links, &nothing, Breadth::Narrow)?;
        let mut doomed = Vec::new();
        for (sandbox, netns) in departures {
            match (links.of(sandbox), netns) {
                (Some(own), _) => doomed.push((own.index, own.name.clone())),
                (None, Some(netns)) => pair::clear(netns, &sandbox.ifname, &links)?,
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
}

/// The NIC that carries an interface.
fn nic<'a>(links: &'a Links, want: &PodInterface) -> Result<&'a Link, DatapathError> {
    let mac = want.carrier.nic().mac;
    links.nic(mac).ok_or(DatapathError::NicMissing {
        mac,
        waited: Duration::ZERO,
    })
}
