//! What leaves with a sandbox and what stays.

use terway_address::Family;

use super::*;
use crate::{
    desired::{self, Node},
    object::Key,
    program::ProgramIds,
    symmetric::Symmetric,
    testing::{self, links, member, veth},
};

fn state(members: &[PodInterface]) -> State {
    let node = Node {
        links: &links(members),
        programs: &ProgramIds::default(),
        tcx: true,
        on_tcx: &BTreeSet::new(),
        node_ip: None,
    };
    desired::host(members, &node).0
}

#[test]
fn a_sandbox_takes_its_address_along() {
    let members = [member(1), member(2)];
    let focus = leaving(&[11].into(), &links(&members), &state(&members));
    assert_eq!(focus.addresses, [member(1).ip].into());
    assert_eq!(focus.veths, [11].into());
}

#[test]
fn an_address_that_the_next_sandbox_has_stays() {
    let (old, mut new) = (member(1), member(2));
    new.ip = old.ip;
    let both = [old.clone(), new.clone()];
    let mut all = links(std::slice::from_ref(&old));
    let mut next = veth(&new);
    next.index = 12;
    all.0.push(next);
    let node = Node {
        links: &all,
        programs: &ProgramIds::default(),
        tcx: true,
        on_tcx: &BTreeSet::new(),
        node_ip: None,
    };
    let seen = desired::host(&both, &node).0;
    let focus = leaving(&[11].into(), &all, &seen);
    assert!(focus.addresses.is_empty(), "{focus:?}");
}

#[test]
fn veths_that_died_without_a_word_are_cleaned_up_with_the_next() {
    let members = [member(1), member(2)];
    let focus = leaving(&BTreeSet::new(), &links(&members[..1]), &state(&members));
    assert_eq!(focus.addresses, [member(2).ip].into());
    assert_eq!(focus.veths, [12].into());
}

#[test]
fn what_happened_since_the_list_was_made_wins() {
    let recent = [
        Recent::Added(Box::new(member(2))),
        Recent::Deleted(member(1).sandbox),
    ];
    let asked = Census {
        idle: [member(2).ip].into(),
        ..vec![member(1), member(3)].into()
    };
    let now = current(asked, &recent);
    assert_eq!(now, vec![member(3), member(2)].into());
}

#[test]
fn unwanted_and_half_made_links_are_leaked_foreign_ones_are_not() {
    let mut all = links(&[member(1), member(2)]);
    let mut foreign = veth(&member(3));
    foreign.alias = Some("another plugin".into());
    all.0.push(foreign);
    let mut half = veth(&member(4));
    (half.name, half.alias) = (ownership::temporary_ifname(&member(4).sandbox), None);
    all.0.push(half);
    let names: Vec<u32> = leaked(&all, &vec![member(1)].into())
        .into_iter()
        .map(|(i, _)| i)
        .collect();
    assert_eq!(names, [12, 14]);
}

#[test]
fn the_next_sandbox_of_a_pod_supersedes_the_last() {
    let mut next = member(1);
    next.sandbox.container_id = "later".into();
    let (old, new) = (Recent::Added(Box::new(member(1))), Recent::Added(Box::new(next)));
    assert!(new.supersedes(&old));
    assert!(
        !new.supersedes(&Recent::Deleted(member(1).sandbox)),
        "a late DEL is remembered"
    );
    assert!(!new.supersedes(&Recent::Added(Box::new(member(2)))));
}

#[test]
fn a_record_that_changed_under_a_running_pod_is_set_apart_by_what_the_kernel_knows() {
    let runs = member(1);
    let all = links(std::slice::from_ref(&runs));
    let recorded = PodInterface {
        ip: member(9).ip,
        ..runs.clone()
    };
    let expected = Changed {
        sandbox: runs.sandbox.clone(),
        has: vec![runs.ip],
        recorded: recorded.ip,
    };
    let seen = state(std::slice::from_ref(&runs));
    // After a loss of the pins the maps are new, and the route alone tells.
    let mut without_maps = seen.clone();
    without_maps.retain(|key, _| !matches!(key, Key::Source(_)));
    for seen in [&seen, &without_maps] {
        let mut census = Census::from(vec![recorded.clone(), member(2)]);
        let waiting = set_apart(&mut census, &all, seen);
        assert_eq!(waiting, [Waiting::Changed(expected.clone())]);
        assert_eq!(
            (census.interfaces, census.unknown),
            (vec![member(2)], vec![runs.sandbox.clone()])
        );
        assert_eq!(changed(&runs, &all, seen), None);
    }
    let nothing = State::default();
    assert_eq!(
        changed(&recorded, &all, &nothing),
        None,
        "an ADD that was cut short has no address yet"
    );
}

#[test]
fn an_address_of_a_living_sandbox_of_another_pod_is_not_free() {
    let (holds, mut wants) = (member(1), member(2));
    wants.ip = holds.ip;
    let seen = state(std::slice::from_ref(&holds));
    let all = links(std::slice::from_ref(&holds));
    assert_eq!(holder(&wants, &all, &seen), Some(holds.sandbox.clone()));
    assert_eq!(holder(&holds, &all, &seen), None, "its own");
    let mut next = holds.clone();
    next.sandbox.container_id = "later".into();
    assert_eq!(
        holder(&next, &all, &seen),
        None,
        "the pod's next sandbox takes it over"
    );
    assert_eq!(holder(&wants, &Links(vec![]), &seen), None, "the veth has gone");
}

#[test]
fn a_strangers_route_stays_and_no_marked_packet_follows_it() {
    let mut wanted = state(&[member(1)]);
    let config = Symmetric::default();
    let gateway = Some(IpAddr::from([10, 0, 0, 253]));
    desired::symmetric(&mut wanted, &config, &testing::trunk(), (Family::V4, gateway));
    let before = wanted.clone();
    let of_the_mark = (config.table, Family::V4.anywhere());
    let seen = Observed {
        foreign_routes: [(of_the_mark, "protocol 3".to_owned())].into(),
        ..Observed::default()
    };
    let waiting = give_way(&mut wanted, &seen);
    let [Waiting::Taken { route, by }] = &waiting[..] else {
        panic!("{waiting:?}");
    };
    assert_eq!((route.place(), by.as_str()), (of_the_mark, "protocol 3"));
    let mut gone: Vec<&Key> = before.iter().map(|(key, _)| key).collect();
    gone.retain(|key| !wanted.has(key));
    assert!(
        matches!(gone[..], [Key::Route(_), Key::Rule(rule)] if rule.priority == config.priority),
        "{gone:?}"
    );
    assert_eq!(give_way(&mut wanted, &Observed::default()), []);
}
