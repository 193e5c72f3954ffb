//! What a plan contains, in which order, and what it leaves alone.

use super::*;
use crate::{
    desired::{self, Node},
    interface::PodInterface,
    program::{Hook, Program, ProgramIds},
    state::Focus,
    testing::{TRUNK, links, member, veth},
};

fn wanted(members: &[PodInterface]) -> NetState {
    let programs = ProgramIds(Program::ALL.into_iter().zip(1..).collect());
    let node = Node {
        links: &links(members),
        programs: &programs,
        tcx: true,
        node_ip: Some([10, 0, 0, 11].into()),
    };
    desired::host(members, &node).0
}

fn seen(state: NetState) -> Observed {
    Observed {
        state,
        ..Observed::default()
    }
}

fn position(plan: &Plan, fits: impl Fn(&Step) -> bool) -> usize {
    plan.steps
        .iter()
        .position(fits)
        .unwrap_or_else(|| panic!("not in {plan:#?}"))
}

#[test]
fn nothing_is_done_when_all_is_as_it_should_be() {
    let state = wanted(&[member(1), member(2)]);
    assert_eq!(Plan::between(&state, &seen(state.clone()), &[]), Plan::default());
}

#[test]
fn a_packet_never_meets_a_way_without_its_checks() {
    let plan = Plan::between(&wanted(&[member(1)]), &Observed::default(), &[]);
    let source = position(&plan, |s| matches!(s, Step::PutSource { .. }));
    let push = position(&plan, |s| matches!(s, Step::PutPush { .. }));
    let filter = position(&plan, |s| {
        matches!(s, Step::AttachFilter((_, Program::PodSource, _)))
    });
    let link = position(&plan, |s| matches!(s, Step::SetLink { ifindex: 11, .. }));
    let route = position(&plan, |s| matches!(s, Step::PutRoute(_)));
    let rule = position(&plan, |s| matches!(s, Step::AddRule(_)));
    assert!(source < filter && push < filter && filter < link && link < route && route < rule);
}

#[test]
fn what_leaves_goes_in_the_opposite_order() {
    let gone = member(1);
    let link = veth(&gone);
    let doomed = [(link.index, link.name)];
    let plan = Plan::between(&NetState::default(), &seen(wanted(&[gone])), &doomed);
    let rule = position(&plan, |s| matches!(s, Step::RemoveRule(_)));
    let pop = position(&plan, |s| matches!(s, Step::RemovePop(_)));
    let link = position(&plan, |s| matches!(s, Step::DeleteLinks(_)));
    let source = position(&plan, |s| matches!(s, Step::RemoveSource(_)));
    assert!(rule < pop && pop < link && link < source);
    let veth_steps = plan.steps.iter().filter(|s| {
        matches!(s, Step::RemoveFilter((11, ..))) || matches!(s, Step::RemoveRoute(r) if r.ifindex == 11)
    });
    assert_eq!(veth_steps.count(), 0, "they go with the link");
}

#[test]
fn an_equal_rule_of_somebody_else_does_the_work() {
    let state = wanted(&[member(1)]);
    let mut observed = seen(state.clone());
    let rules = std::mem::take(&mut observed.state.rules);
    observed.foreign_rules = rules.into_iter().map(|rule| (rule, 0)).collect();
    assert_eq!(Plan::between(&state, &observed, &[]), Plan::default());
}

#[test]
fn a_changed_route_is_replaced_not_removed() {
    let before = wanted(&[member(1)]);
    let mut moved = member(1);
    moved.nic_gateway = [10, 0, 0, 125].into();
    let plan = Plan::between(&wanted(&[moved]), &seen(before), &[]);
    assert!(
        matches!(plan.steps.as_slice(), [Step::PutRoute(r)] if r.gateway == Some([10, 0, 0, 125].into()))
    );
}

#[test]
fn a_second_way_to_the_same_place_is_removed() {
    let state = wanted(&[member(1)]);
    let mut observed = seen(state.clone());
    let stray = Route::direct(254, Ipv4Net::from(member(1).ip), 99);
    observed.state.routes.insert(stray.clone());
    assert_eq!(
        Plan::between(&state, &observed, &[]).steps,
        [Step::RemoveRoute(stray)]
    );
}

#[test]
fn an_older_program_is_replaced_in_its_place() {
    let state = wanted(&[member(1)]);
    let mut observed = seen(state.clone());
    let at = (TRUNK, Program::MemberPop, Hook::Clsact);
    observed.state.filters.insert(at, 4711);
    let plan = Plan::between(&state, &observed, &[]);
    assert_eq!(plan.steps, [Step::AttachFilter(at)]);
}

#[test]
fn a_check_of_sources_moves_to_its_other_hook_without_a_moment_between() {
    let plain = member(1);
    let shaped = PodInterface {
        shaped: true,
        ..plain.clone()
    };
    let plan = Plan::between(&wanted(&[plain]), &seen(wanted(&[shaped])), &[]);
    assert_eq!(
        plan.steps,
        [
            Step::AttachFilter((11, Program::PodSource, Hook::Clsact)),
            Step::RemoveFilter((11, Program::PodSource, Hook::Interface)),
        ]
    );
}

#[test]
fn a_plan_for_one_pod_leaves_the_others_alone() {
    let all = wanted(&[member(1), member(2)]);
    let mut focus = Focus::default();
    focus.addresses.insert(member(1).ip);
    focus.veths.insert(11);
    let one = wanted(&[member(1)]);
    let plan = Plan::between(&one, &seen(all.clone().narrowed(&focus, &one)), &[]);
    assert_eq!(plan, Plan::default());
    let none = NetState::default();
    let plan = Plan::between(&none, &seen(all.narrowed(&focus, &none)), &[]);
    let text: String = plan.steps.iter().map(|s| format!("{s}\n")).collect();
    assert!(
        text.contains("10.0.16.1") && !text.contains("10.0.16.2") && !text.contains("0.0.0.0/0"),
        "{text}"
    );
}
