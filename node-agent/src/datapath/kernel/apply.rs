//! Makes the steps of a plan, goes on past failures and says what became of each.

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::{RouteNetlinkMessage as Message, link::LinkAttribute};
use nix::libc::{EADDRNOTAVAIL, EEXIST, EINVAL, ENODEV, ENOENT, ESRCH};

use terway_node_core::{
    link::Link,
    ownership,
    plan::{Plan, Step},
    program::{Hook, Program},
};

use super::{
    error::StepError,
    link, message,
    netlink::{Netlink, NetlinkError},
    sysctl::Sysctls,
};
use crate::{datapath::symmetric::Marking, ebpf::Programs};

/// What became of a plan.
#[derive(Debug, Default)]
pub struct Outcome {
    pub done: Vec<Step>,
    pub failed: Vec<(Step, StepError)>,
}

/// Makes every step. One that fails does not keep the others from being made: a foreign
/// object in the way of one pod must not take the network from another.
pub fn apply(
    plan: Plan,
    netlink: &mut Netlink,
    programs: &mut Programs,
    sysctls: &Sysctls,
    marking: &mut Marking,
) -> Outcome {
    let mut outcome = Outcome::default();
    for step in plan.steps {
        match make(&step, netlink, programs, sysctls, marking) {
            Ok(()) => outcome.done.push(step),
            Err(error) => outcome.failed.push((step, error)),
        }
    }
    outcome
}

fn make(
    step: &Step,
    netlink: &mut Netlink,
    programs: &mut Programs,
    sysctls: &Sysctls,
    marking: &mut Marking,
) -> Result<(), StepError> {
    match step {
        Step::PutMarking(to) => marking.put(to)?,
        Step::SetSysctl { key, value } => sysctls.write(key, value)?,
        Step::PutSource { at, mac } => programs.put_source(*at, *mac)?,
        Step::PutPop { key, veth } => programs.put_pop(*key, *veth)?,
        Step::PutPush { at, vlan, veth } => programs.put_push(*at, *vlan, *veth)?,
        Step::RemoveSource(at) => programs.remove_source(*at)?,
        Step::RemovePop(key) => programs.remove_pop(*key)?,
        Step::RemovePush(at) => programs.remove_push(*at)?,
        Step::AttachFilter((ifindex, program, Hook::Interface)) => programs.attach(*ifindex, *program)?,
        Step::AttachFilter((ifindex, program, Hook::Clsact)) => {
            attach(netlink, programs, *ifindex, *program)?
        }
        Step::RemoveFilter((ifindex, program, Hook::Interface)) => programs.detach(*ifindex, *program)?,
        Step::RemoveFilter((ifindex, program, Hook::Clsact)) => {
            let slot = message::filter_slot(*ifindex, *program);
            absent(netlink.change("remove a filter", Message::DelTrafficFilter(slot), 0))?;
        }
        Step::RemoveLeftFilters { ifindex } => {
            let left = Message::DelTrafficFilter(message::ipvlan_filters(*ifindex));
            no_filter(netlink.change("remove upstream's filters", left, 0))?;
        }
        Step::SetLink { ifindex, setting } => {
            link::set(
                netlink,
                "set a link's MTU",
                *ifindex,
                LinkAttribute::Mtu(setting.mtu),
            )?;
            link::set_up(netlink, *ifindex)?;
        }
        Step::DeleteLinks(links) => match links.as_slice() {
            [(ifindex, _)] => absent(link::delete(netlink, *ifindex))?,
            several => delete_together(netlink, several)?,
        },
        Step::AddAddress { ifindex, net } => {
            let new = Message::NewAddress(message::address(*ifindex, *net));
            present(netlink.change("add an address", new, NLM_F_CREATE | NLM_F_EXCL))?;
        }
        Step::PutNeighbour { ifindex, ip, mac } => {
            let new = Message::NewNeighbour(message::neighbour(*ifindex, *ip, *mac));
            netlink.change("set a neighbour", new, NLM_F_CREATE | NLM_F_REPLACE)?;
        }
        Step::PutRoute(route) => {
            let new = Message::NewRoute(message::route(route));
            netlink.change("add a route", new, NLM_F_CREATE | NLM_F_REPLACE)?;
        }
        Step::RemoveRoute(route) => {
            absent(netlink.change("remove a route", Message::DelRoute(message::route(route)), 0))?;
        }
        Step::AddRule(rule) => {
            let new = Message::NewRule(message::rule(rule));
            present(netlink.change("add a rule", new, NLM_F_CREATE | NLM_F_EXCL))?;
        }
        Step::RemoveRule(rule) => {
            absent(netlink.change("remove a rule", Message::DelRule(message::rule(rule)), 0))?;
        }
        Step::RemoveLeftRule(rule) => {
            let left = Message::DelRule(message::left_rule(rule));
            absent(netlink.change("remove a left rule", left, 0))?;
        }
    }
    Ok(())
}

/// Puts the program into its slot. The kernel swaps the program of a filter that is there
/// without a moment in which neither runs.
fn attach(
    netlink: &mut Netlink,
    programs: &mut Programs,
    ifindex: u32,
    program: Program,
) -> Result<(), StepError> {
    let qdisc = Message::NewQueueDiscipline(message::clsact(ifindex));
    present(netlink.change("add clsact to a link", qdisc, NLM_F_CREATE | NLM_F_EXCL))?;
    let filter = message::filter(ifindex, program, programs.descriptor(program)?);
    netlink.change(
        "attach a filter",
        Message::NewTrafficFilter(filter),
        NLM_F_CREATE | NLM_F_REPLACE,
    )?;
    Ok(())
}

/// Deletes links in one act, by a group that is made of them. The kernel waits once for each act until nobody
/// uses what goes.
fn delete_together(netlink: &mut Netlink, links: &[(u32, String)]) -> Result<(), NetlinkError> {
    let group = ownership::GROUP_OF_THE_LEAVING;
    for (ifindex, _) in links {
        let join = LinkAttribute::Group(group);
        absent(link::set(netlink, "group links to be deleted", *ifindex, join))?;
    }
    let strangers = |link: &Link| link.group == group && !links.iter().any(|(i, _)| *i == link.index);
    if link::read(netlink)?.0.iter().any(strangers) {
        // Somebody uses the number too. Theirs stay.
        return links
            .iter()
            .try_for_each(|(ifindex, _)| absent(link::delete(netlink, *ifindex)));
    }
    absent(link::delete_group(netlink, group))
}

/// Adding what is there already is done.
fn present(result: Result<(), NetlinkError>) -> Result<(), NetlinkError> {
    match result {
        Err(e) if e.errno() == Some(EEXIST) => Ok(()),
        other => other,
    }
}

/// The kernel calls a link without the hook, or a hook without such filters, invalid.
fn no_filter(result: Result<(), NetlinkError>) -> Result<(), NetlinkError> {
    match absent(result) {
        Err(e) if e.errno() == Some(EINVAL) => Ok(()),
        other => other,
    }
}

/// Removing what is gone already is done.
fn absent(result: Result<(), NetlinkError>) -> Result<(), NetlinkError> {
    match result {
        Err(e)
            if e.errno()
                .is_some_and(|n| [ENOENT, ESRCH, ENODEV, EADDRNOTAVAIL].contains(&n)) =>
        {
            Ok(())
        }
        other => other,
    }
}
