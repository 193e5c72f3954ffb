//! What a plan contains, in which order, and what it leaves alone.

use std::{collections::BTreeSet, net::IpAddr};

use super::*;
use terway_address::full_prefix;

use crate::{
    desired::{self, Node},
    interface::PodInterface,
    object::{Filter, Focus, Listed as _, Route, Rule, filter::Hook},
    program::{Program, ProgramIds},
    testing::{TRUNK, links, member, moved, veth},
};

mod properties;

fn wanted(members: &[PodInterface]) -> State {
    let programs = ProgramIds(Program::ALL.into_iter().zip(1..).collect());
    let node = Node {
        links: &links(members),
        programs: &programs,
        tcx: true,
        on_tcx: &BTreeSet::new(),
        node_ip: Some(IpAddr::from([10, 0, 0, 11])),
    };
    desired::host(members, &node).0
}

fn seen(state: State) -> Observed {
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
    let span = |fits: fn(&Object) -> bool| {
        let put = |s: &Step| matches!(s, Step::Put(object) if fits(object));
        (position(&plan, put), plan.steps.iter().rposition(put).unwrap())
    };
    let source = span(|o| matches!(o, Object::Source(..)));
    let push = span(|o| matches!(o, Object::Push(..)));
    let pop = span(|o| matches!(o, Object::Pop(..)));
    let filter = span(|o| matches!(o, Object::Filter(..)));
    let link = span(|o| matches!(o, Object::Link(..)));
    let route = span(|o| matches!(o, Object::Route(..)));
    let rule = span(|o| matches!(o, Object::Rule(..)));
    for lookup in [source, push, pop] {
        assert!(lookup.1 < filter.0);
    }
    assert!(filter.1 < link.0 && link.1 < route.0 && route.1 < rule.0);
}

#[test]
fn what_leaves_goes_in_the_opposite_order() {
    let gone = member(1);
    let link = veth(&gone);
    let doomed = [(link.index, link.name)];
    let plan = Plan::between(&State::default(), &seen(wanted(&[gone])), &doomed);
    let removal = |fits: fn(&Key) -> bool| position(&plan, |s| matches!(s, Step::Remove(key) if fits(key)));
    let rule = removal(|k| matches!(k, Key::Rule(_)));
    let route = removal(|k| matches!(k, Key::Route(_)));
    let pop = removal(|k| matches!(k, Key::Pop(_)));
    let push = removal(|k| matches!(k, Key::Push(_)));
    let filter = removal(|k| matches!(k, Key::Filter(_)));
    let link = position(&plan, |s| matches!(s, Step::DeleteLinks(_)));
    let source = removal(|k| matches!(k, Key::Source(_)));
    assert!(rule < route && route < pop && pop < push && push < filter && filter < link && link < source);
    let of_the_veth = |s: &&Step| matches!(s, Step::Remove(key) if key.goes_with(11));
    assert_eq!(plan.steps.iter().find(of_the_veth), None, "it goes with the link");
}

#[test]
fn an_equal_rule_of_somebody_else_does_the_work() {
    let state = wanted(&[member(1)]);
    let mut observed = seen(state.clone());
    let rules = state.of::<Rule>().map(|(rule, ())| (rule.clone(), [0].into()));
    observed.foreign_rules = rules.collect();
    observed.state.retain(|key, _| !matches!(key, Key::Rule(_)));
    assert_eq!(Plan::between(&state, &observed, &[]), Plan::default());
}

#[test]
fn a_changed_route_is_replaced_not_removed() {
    let before = wanted(&[member(1)]);
    let plan = Plan::between(&wanted(&[moved(member(1))]), &seen(before), &[]);
    let gateway = Some(IpAddr::from([10, 0, 0, 125]));
    assert!(
        matches!(plan.steps.as_slice(), [Step::Put(Object::Route(r, ()))] if r.gateway == gateway),
        "{plan:#?}"
    );
}

#[test]
fn a_second_way_to_the_same_place_is_removed() {
    let state = wanted(&[member(1)]);
    let mut observed = seen(state.clone());
    let stray = Route::direct(254, full_prefix(member(1).ip), 99);
    observed.state.put(stray, ());
    assert_eq!(
        Plan::between(&state, &observed, &[]).steps,
        [Step::Remove(stray.key())]
    );
}

#[test]
fn an_older_program_is_replaced_in_its_place() {
    let state = wanted(&[member(1)]);
    let mut observed = seen(state.clone());
    let at = Filter {
        hook: Hook::Clsact(TRUNK),
        program: Program::MemberPop,
    };
    let newest = *state.value_of(at).unwrap();
    observed.state.put(at, 4711);
    let plan = Plan::between(&state, &observed, &[]);
    assert_eq!(plan.steps, [Step::Put(at.with(newest))]);
}

#[test]
fn a_check_of_sources_moves_to_its_other_hook_without_a_moment_between() {
    let plain = member(1);
    let shaped = PodInterface {
        shaped: true,
        ..plain.clone()
    };
    let wanted_now = wanted(&[plain]);
    let plan = Plan::between(&wanted_now, &seen(wanted(&[shaped])), &[]);
    let at = |hook| Filter {
        hook,
        program: Program::PodSource,
    };
    let (new, old) = (at(Hook::Clsact(11)), at(Hook::Tcx(11)));
    let id = *wanted_now.value_of(new).unwrap();
    assert_eq!(plan.steps, [Step::Put(new.with(id)), Step::Remove(old.key())]);
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
    let none = State::default();
    let plan = Plan::between(&none, &seen(all.narrowed(&focus, &none)), &[]);
    let text: String = plan.steps.iter().map(|s| format!("{s}\n")).collect();
    assert!(
        text.contains("10.0.16.1") && !text.contains("10.0.16.2") && !text.contains("0.0.0.0/0"),
        "{text}"
    );
}

#[test]
fn what_the_host_has_too_is_never_removed() {
    let seen = seen(wanted(&[member(1), member(2)]));
    let plan = Plan::between(&State::default(), &seen, &[]);
    assert!(!plan.steps.is_empty());
    for step in &plan.steps {
        let ours = |key: &Key| {
            matches!(
                key,
                Key::Source(_)
                    | Key::Push(_)
                    | Key::Pop(_)
                    | Key::Filter(_)
                    | Key::DeadEnd(_)
                    | Key::Route(_)
                    | Key::Rule(_)
            )
        };
        assert!(matches!(step, Step::Remove(key) if ours(key)), "{step}");
    }
}
