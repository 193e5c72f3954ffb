//! What is wanted for members in different situations.

use super::*;
use crate::testing::{self, TRUNK, links, member, shared, trunk};

fn wanted(members: &[PodInterface], links: &Links) -> (NetState, Vec<Waiting>) {
    let programs = ProgramIds(Program::ALL.into_iter().zip(1..).collect());
    host(
        members,
        &Node {
            links,
            programs: &programs,
            tcx: true,
            node_ip: None,
        },
    )
}

#[test]
fn a_member_without_a_host_veth_waits_for_an_add() {
    let (state, waiting) = wanted(&[member(1)], &Links(vec![trunk()]));
    assert_eq!(waiting, [Waiting::HostLink(member(1).sandbox)]);
    assert!(state.routes.is_empty() && state.rules.is_empty() && state.pops.is_empty());
}

#[test]
fn a_member_without_its_trunk_is_reachable_from_its_node() {
    let (state, waiting) = wanted(&[member(1)], &Links(vec![testing::veth(&member(1))]));
    assert_eq!(waiting, [Waiting::Nic(member(1).sandbox)]);
    assert_eq!(
        state.rules.iter().map(|r| r.priority).collect::<Vec<_>>(),
        [RULE_TO_POD]
    );
    assert!(state.pushes.is_empty() && state.pops.is_empty());
}

#[test]
fn members_of_a_trunk_share_its_table_and_filters() {
    let members = [member(1), member(2)];
    let (state, _) = wanted(&members, &links(&members));
    let defaults = state.routes.iter().filter(|r| r.destination.prefix_len() == 0);
    assert_eq!(defaults.map(|r| r.table).collect::<Vec<_>>(), [1000 + TRUNK]);
    assert_eq!(state.filters.keys().filter(|at| at.0 == TRUNK).count(), 2);
    assert_eq!(
        (state.pops.len(), state.pushes.len(), state.sources.len()),
        (2, 2, 2)
    );
}

#[test]
fn shared_addresses_need_no_tags_and_share_the_table_of_their_nic() {
    let pods = [shared(1), shared(2)];
    let (state, _) = wanted(&pods, &links(&pods));
    assert!(state.pops.is_empty() && state.pushes.is_empty());
    assert!(state.filters.keys().all(|at| at.1 == Program::PodSource));
    assert_eq!(state.sources.len(), 2, "nor may they send in a member's name");
    let tables: Vec<u32> = state.rules.iter().map(|r| r.table).collect();
    assert_eq!(tables, [MAIN_TABLE, MAIN_TABLE, 1000 + TRUNK, 1000 + TRUNK]);
    // The trunk may serve both kinds.
    let mixed = [shared(1), member(2)];
    let (state, _) = wanted(&mixed, &links(&mixed));
    assert_eq!((state.pops.len(), state.routes.len()), (1, 3));
}

#[test]
fn a_trunk_never_gets_a_smaller_mtu() {
    let mut all = links(&[member(1)]);
    all.0[0].mtu = 8500;
    let (state, _) = wanted(&[member(1)], &all);
    assert_eq!(state.links[&TRUNK].mtu, 8500);
    assert_eq!(state.links[&11].mtu, 1500);
}

#[test]
fn host_stack_destinations_are_looked_up_by_the_host() {
    let mut own = member(1);
    own.host_stack_cidrs = vec![Ipv4Net::new_assert([169, 254, 20, 10].into(), 32)];
    let (state, _) = wanted(std::slice::from_ref(&own), &links(std::slice::from_ref(&own)));
    let rule = state
        .rules
        .iter()
        .find(|r| r.to == own.host_stack_cidrs.first().copied());
    assert_eq!(
        rule.map(|r| (r.priority, r.from, r.table)),
        Some((RULE_TO_POD, Some(own.ip.into()), MAIN_TABLE))
    );
}

#[test]
fn the_pods_default_route_is_the_first_interfaces() {
    let first = pod(&member(1), 2, [2; 6]);
    assert!(
        first
            .routes
            .iter()
            .any(|r| r.table == MAIN_TABLE && r.destination.prefix_len() == 0)
    );
    assert!(first.rules.is_empty());
    let mut other = member(2);
    other.default_route = false;
    let second = pod(&other, 3, [2; 6]);
    assert!(second.routes.iter().all(|r| r.table == 1003));
    assert_eq!(second.rules.len(), 2);
}
