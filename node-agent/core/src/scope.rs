//! Which pods an act is about: what leaves with a sandbox, which links nobody wants any more, and what an older census
//! cannot know yet.

use std::{collections::BTreeSet, net::IpAddr};

use crate::{
    census::Census,
    interface::{PodInterface, Sandbox},
    link::Links,
    object::{Entry, Focus, Route, Source},
    ownership,
    state::State,
};

/// An ADD or DEL that is younger than the census of a reconciliation may be.
pub enum Recent {
    Added(Box<PodInterface>),
    Deleted(Sandbox),
}

impl Recent {
    /// Whether an earlier event has no effect any more: this one is about the same sandbox, or about the pod's next
    /// sandbox, which has taken over the interface's name.
    pub fn supersedes(&self, earlier: &Recent) -> bool {
        let follows = match (self, earlier) {
            (Recent::Added(new), Recent::Added(old)) => new.host_ifname() == old.host_ifname(),
            _ => false,
        };
        follows || self.sandbox().same_as(earlier.sandbox())
    }

    pub fn sandbox(&self) -> &Sandbox {
        match self {
            Recent::Added(member) => &member.sandbox,
            Recent::Deleted(sandbox) => sandbox,
        }
    }
}

/// What goes with these host veths, and with veths that have gone before because their namespace died: the veths and
/// their addresses. An address stays if a living veth has it too, as the next sandbox of a pod with a fixed address
/// does.
pub fn leaving(veths: &BTreeSet<u32>, links: &Links, seen: &State) -> Focus {
    let lives = |index: &u32| !veths.contains(index) && links.indexed(*index).is_some();
    let mut claimed: BTreeSet<IpAddr> = BTreeSet::new();
    let mut focus = Focus::default();
    focus.veths.extend(veths);
    for (Entry(source), _) in seen.of::<Entry<Source>>() {
        if lives(&source.ifindex) {
            claimed.extend(source.ip());
        } else {
            focus.veths.insert(source.ifindex);
            focus.addresses.extend(source.ip());
        }
    }
    for (route, ()) in seen.of::<Route>() {
        if veths.contains(&route.link) {
            focus.addresses.insert(route.destination.addr());
        } else if links.indexed(route.link).is_some_and(|l| l.owner().is_some()) {
            claimed.insert(route.destination.addr());
        }
    }
    focus.addresses.retain(|ip| !claimed.contains(ip));
    focus
}

/// The census as it is now: the one that was asked for, corrected by what has happened since.
pub fn current(asked: Census, recent: &[Recent]) -> Census {
    let mut census = asked;
    for event in recent {
        census.interfaces.retain(|i| !i.sandbox.same_as(event.sandbox()));
        census.unknown.retain(|s| !s.same_as(event.sandbox()));
        if let Recent::Added(want) = event {
            census.idle.remove(&want.ip);
            census.interfaces.push(PodInterface::clone(want));
        }
    }
    census
}

/// The pods that run and that no record describes, known by their veths and by what is routed to them.
pub fn unknown(census: &Census, links: &Links, seen: &State) -> Focus {
    let veths = census.unknown.iter().filter_map(|s| links.of(s)).map(|l| l.index);
    let mut focus = Focus {
        veths: veths.collect(),
        ..Focus::default()
    };
    let routed = seen.of::<Route>().filter(|(r, ())| focus.veths.contains(&r.link));
    focus.addresses = routed.map(|(r, ())| r.destination.addr()).collect();
    focus
}

/// Host ends of sandboxes that nobody wants, and of ADDs that were interrupted.
pub fn leaked(links: &Links, census: &Census) -> Vec<(u32, String)> {
    let known = census.interfaces.iter().map(|i| &i.sandbox);
    let living: Vec<&Sandbox> = known.chain(&census.unknown).collect();
    let unwanted = links.0.iter().filter(|l| match l.owner() {
        Some(owner) => !living.iter().any(|s| s.same_as(&owner)),
        None => l.is_veth() && ownership::is_temporary(&l.name),
    });
    unwanted.map(|l| (l.index, l.name.clone())).collect()
}

#[cfg(test)]
mod tests;
