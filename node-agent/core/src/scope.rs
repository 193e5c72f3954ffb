//! Which pods an act is about: what leaves with a sandbox, which links nobody wants any more, and what an older census
//! cannot know yet.

use std::{collections::BTreeSet, net::IpAddr};

use terway_address::single;

use crate::{
    census::Census,
    interface::{Changed, PodInterface, Sandbox, Waiting},
    link::Links,
    object::{Entry, Focus, Object, Route, Source},
    observed::Observed,
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

/// The addresses that a host veth has: those that the check of sources lets in and, where its map is new, those that
/// the main table routes to the veth.
fn held(veth: u32, seen: &State) -> BTreeSet<IpAddr> {
    let let_in = seen
        .of::<Entry<Source>>()
        .filter(|(entry, _)| entry.0.ifindex == veth);
    let let_in: BTreeSet<IpAddr> = let_in.filter_map(|(entry, _)| entry.0.ip()).collect();
    if !let_in.is_empty() {
        return let_in;
    }
    let routes = seen.of::<Route>().filter(|(route, ())| route.link == veth);
    routes
        .filter_map(|(route, ())| single(route.destination))
        .collect()
}

/// Whether the sandbox of an interface runs with another address than the record says.
pub fn changed(want: &PodInterface, links: &Links, seen: &State) -> Option<Changed> {
    let has = held(links.of(&want.sandbox)?.index, seen);
    (!has.is_empty() && !has.contains(&want.ip)).then(|| Changed {
        sandbox: want.sandbox.clone(),
        has: has.into_iter().collect(),
        recorded: want.ip,
    })
}

/// Takes the interfaces out whose records have changed under their running pods, so that nothing of them is changed.
pub fn set_apart(census: &mut Census, links: &Links, seen: &State) -> Vec<Waiting> {
    let mut waiting = Vec::new();
    let Census {
        interfaces, unknown, ..
    } = census;
    interfaces.retain(|want| match changed(want, links, seen) {
        None => true,
        Some(changed) => {
            unknown.push(want.sandbox.clone());
            waiting.push(Waiting::Changed(changed));
            false
        }
    });
    waiting
}

/// The living sandbox of another pod that has the address of this interface.
pub fn holder(want: &PodInterface, links: &Links, seen: &State) -> Option<Sandbox> {
    let let_in = seen
        .of::<Entry<Source>>()
        .filter(|(entry, _)| entry.0.ip() == Some(want.ip));
    let routes = seen
        .of::<Route>()
        .filter(|(route, ())| single(route.destination) == Some(want.ip));
    let by = let_in.map(|(entry, _)| entry.0.ifindex);
    by.chain(routes.map(|(route, ())| route.link))
        .filter_map(|veth| links.indexed(veth)?.owner())
        .find(|owner| owner.pod_uid != want.sandbox.pod_uid)
}

/// Whether a route of ours has the place, beside that of the stranger.
fn has_place(seen: &Observed, route: &Route) -> bool {
    let mut ours = seen.state.of::<Route>();
    ours.any(|(other, ())| other.place() == route.place())
}

/// Takes the routes out whose places other programs have, and the rule of a mark that looks into such a table: marked
/// packets would follow a stranger's route.
pub fn give_way(wanted: &mut State, seen: &Observed) -> Vec<Waiting> {
    let mut waiting = Vec::new();
    let mut tables = BTreeSet::new();
    wanted.retain(|_, object| match object {
        Object::Route(route, ()) => match seen.foreign_routes.get(&route.place()) {
            Some(by) if !has_place(seen, route) => {
                tables.insert(route.table);
                let (route, by) = (*route, by.clone());
                waiting.push(Waiting::Taken { route, by });
                false
            }
            _ => true,
        },
        _ => true,
    });
    wanted.retain(|_, object| match object {
        Object::Rule(rule, ()) => rule.mark.is_none() || !tables.contains(&rule.table),
        _ => true,
    });
    waiting
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
