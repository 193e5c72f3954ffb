//! What is wanted for members in different situations.

use super::*;
use terway_address::is_anywhere;

use crate::{
    carrier::NicLink,
    object::{Key, Listed},
    testing::{self, TRUNK, links, member, shared, trunk},
};

/// The objects of one kind.
fn all<K: Listed>(state: &State) -> Vec<K> {
    state.of::<K>().map(|(key, _)| key.clone()).collect()
}

/// How many addresses are accepted, tagged and let in.
fn entries(state: &State) -> (usize, usize, usize) {
    (
        all::<Entry<Pop>>(state).len(),
        all::<Entry<Push>>(state).len(),
        all::<Entry<Source>>(state).len(),
    )
}

fn wanted(members: &[PodInterface], links: &Links) -> (State, Vec<Waiting>) {
    let programs = ProgramIds(Program::ALL.into_iter().zip(1..).collect());
    host(
        members,
        &Node {
            links,
            programs: &programs,
            tcx: true,
            on_tcx: &BTreeSet::new(),
            node_ip: None,
        },
    )
}

#[test]
fn a_member_without_a_host_veth_waits_for_an_add() {
    let (state, waiting) = wanted(&[member(1)], &Links(vec![trunk()]));
    assert_eq!(waiting, [Waiting::HostLink(member(1).sandbox)]);
    assert!(state.iter().all(|(key, _)| matches!(key, Key::Sysctl(_))));
}

#[test]
fn a_member_without_its_trunk_is_reachable_from_its_node_and_reaches_nothing_else() {
    let (state, waiting) = wanted(&[member(1)], &Links(vec![testing::veth(&member(1))]));
    assert_eq!(waiting, [Waiting::Nic(member(1).sandbox)]);
    assert_eq!(
        all::<Rule>(&state)
            .iter()
            .map(|r| (r.priority, r.table))
            .collect::<Vec<_>>(),
        [
            (RULE_TO_POD, MAIN_TABLE),
            (RULE_FROM_POD, ownership::NOWHERE_TABLE)
        ]
    );
    let (family, table) = (Family::V4, ownership::NOWHERE_TABLE);
    assert_eq!(all::<DeadEnd>(&state), [DeadEnd { family, table }]);
    assert_eq!(
        (all::<Entry<Push>>(&state).len(), all::<Entry<Pop>>(&state).len()),
        (0, 0)
    );
}

#[test]
fn members_of_a_trunk_share_its_table_and_filters() {
    let members = [member(1), member(2)];
    let (state, _) = wanted(&members, &links(&members));
    let routes = all::<Route>(&state);
    let defaults = routes.iter().filter(|r| is_anywhere(r.destination));
    assert_eq!(defaults.map(|r| r.table).collect::<Vec<_>>(), [1000 + TRUNK]);
    let filters = all::<Filter>(&state);
    let on_trunk = filters.iter().filter(|at| at.hook.link() == Some(TRUNK));
    assert_eq!(on_trunk.count(), 2);
    assert_eq!(entries(&state), (2, 2, 2));
}

#[test]
fn shared_addresses_need_no_tags_and_share_the_table_of_their_nic() {
    let pods = [shared(1), shared(2)];
    let (state, _) = wanted(&pods, &links(&pods));
    assert_eq!(entries(&state), (0, 0, 2), "nor may they send in a member's name");
    let filters = all::<Filter>(&state);
    assert!(filters.iter().all(|at| at.program == Program::PodSource));
    let tables: Vec<u32> = all::<Rule>(&state).iter().map(|r| r.table).collect();
    assert_eq!(tables, [MAIN_TABLE, MAIN_TABLE, 1000 + TRUNK, 1000 + TRUNK]);
    // The trunk may serve both kinds.
    let mixed = [shared(1), member(2)];
    let (state, _) = wanted(&mixed, &links(&mixed));
    assert_eq!((entries(&state).0, all::<Route>(&state).len()), (1, 3));
}

#[test]
fn a_check_of_sources_that_made_room_for_a_shaper_stays_where_it_is() {
    let all = links(&[member(1)]);
    let hook = |shaped, tcx, on_tcx: &[u32]| {
        let pod = PodInterface { shaped, ..member(1) };
        let node = Node {
            links: &all,
            programs: &ProgramIds::default(),
            tcx,
            on_tcx: &on_tcx.iter().copied().collect(),
            node_ip: None,
        };
        let (state, _) = host(&[pod], &node);
        let mut filters = state.of::<Filter>().map(|(filter, _)| *filter);
        filters.find(|f| f.program == Program::PodSource).unwrap().hook
    };
    assert_eq!(hook(false, true, &[]), Hook::Clsact(11));
    assert_eq!(hook(true, true, &[]), Hook::Tcx(11));
    assert_eq!(
        hook(false, true, &[11]),
        Hook::Tcx(11),
        "the annotation was removed"
    );
    assert_eq!(hook(false, true, &[12]), Hook::Clsact(11), "another pod's");
    assert_eq!(hook(true, false, &[]), Hook::Clsact(11), "an older kernel");
}

#[test]
fn a_trunk_never_gets_a_smaller_mtu() {
    let mut all = links(&[member(1)]);
    all.0[0].mtu = 8500;
    let (state, _) = wanted(&[member(1)], &all);
    assert_eq!(state.value_of(LinkIndex(TRUNK)).unwrap().mtu, 8500);
    assert_eq!(state.value_of(LinkIndex(11)).unwrap().mtu, 1500);
}

#[test]
fn a_veth_keeps_its_mtu_at_both_ends_whatever_the_setting_says() {
    for (made_with, setting) in [(1500, 1400), (1500, 8500)] {
        let own = PodInterface {
            mtu: setting,
            ..member(1)
        };
        let mut all = links(&[member(1)]);
        all.0[1].mtu = made_with;
        let (host, _) = wanted(std::slice::from_ref(&own), &all);
        let inside = pod(&own, 2, &all.0[1]);
        for (state, link) in [(&host, 11), (&inside, 2), (&host, TRUNK)] {
            assert_eq!(state.value_of(LinkIndex(link)).unwrap().mtu, made_with, "{link}");
        }
    }
}

#[test]
fn host_stack_destinations_are_looked_up_by_the_host() {
    let mut own = member(1);
    own.host_stack_cidrs = vec![full_prefix([169, 254, 20, 10].into())];
    let (state, _) = wanted(std::slice::from_ref(&own), &links(std::slice::from_ref(&own)));
    let rules = all::<Rule>(&state);
    let rule = rules
        .iter()
        .find(|r| r.to == own.host_stack_cidrs.first().copied());
    assert_eq!(
        rule.map(|r| (r.priority, r.from, r.table)),
        Some((RULE_TO_POD, Some(own.ip.into()), MAIN_TABLE))
    );
}

#[test]
fn the_pods_default_route_is_the_first_interfaces() {
    let first = pod(&member(1), 2, &testing::veth(&member(1)));
    assert!(
        all::<Route>(&first)
            .iter()
            .any(|r| r.table == MAIN_TABLE && is_anywhere(r.destination))
    );
    assert_eq!(all::<Rule>(&first), []);
    let mut other = member(2);
    other.default_route = false;
    let second = pod(&other, 3, &testing::veth(&other));
    assert!(all::<Route>(&second).iter().all(|r| r.table == 1003));
    assert_eq!(all::<Rule>(&second).len(), 2);
}

#[test]
fn no_object_of_a_pod_has_another_family_than_its_address() {
    // IPv6 is not served yet: no record gives a pod such an address. The decisions do not ask for the family.
    for address in ["10.0.16.1", "fd00::1"] {
        let ip: IpAddr = address.parse().unwrap();
        let family = Family::of(ip);
        let own = PodInterface {
            ip,
            carrier: member(1).carrier.map(|nic| NicLink {
                gateway: family.anywhere().addr(),
                ..nic
            }),
            ..member(1)
        };
        let links = links(&[member(1)]);
        let (host, _) = wanted(std::slice::from_ref(&own), &links);
        let pod = pod(
            &PodInterface {
                default_route: false,
                ..own
            },
            2,
            &testing::veth(&member(1)),
        );
        for state in [host, pod] {
            for (route, ()) in state.of::<Route>() {
                assert_eq!(Family::of(route.destination.addr()), family, "{route}");
                assert!(route.gateway.is_none_or(|ip| Family::of(ip) == family), "{route}");
            }
            for (rule, ()) in state.of::<Rule>() {
                assert_eq!(rule.family, family, "{rule}");
            }
            for (Entry(key), _) in state.of::<Entry<Pop>>() {
                assert_eq!(key.ip(), Some(ip));
            }
        }
    }
}
