//! Rules of security groups, as the ECS user guide documents them.

use proptest::prelude::*;

use super::*;

fn rule(policy: Policy, priority: u8, protocol: Protocol, ports: &str, cidr: &str) -> Rule {
    Rule {
        policy,
        priority,
        protocol,
        ports: ports.parse().unwrap(),
        cidr: Some(cidr.parse().unwrap()),
        group: None,
    }
}

fn from_group(group: &str) -> Rule {
    Rule {
        cidr: None,
        group: Some(group.to_owned()),
        ..rule(Policy::Accept, 1, Protocol::All, "0-65535", "0.0.0.0/0")
    }
}

fn group(id: &str, kind: GroupKind, inner: Policy, ingress: Vec<Rule>) -> SecurityGroup {
    SecurityGroup {
        id: id.to_owned(),
        vpc: "vpc".to_owned(),
        kind,
        inner_access_policy: inner,
        ingress,
        egress: Vec::new(),
        max_addresses: None,
    }
}

/// Whether TCP to port 80 may come in from 10.0.0.9, which has the groups `remote`.
fn enters(table: &GroupTable, own: &[&str], remote: &[&str]) -> bool {
    passes(table, Direction::Ingress, own, remote)
}

fn passes(table: &GroupTable, direction: Direction, own: &[&str], remote: &[&str]) -> bool {
    let owned = |ids: &[&str]| ids.iter().map(|id| id.to_string()).collect::<Vec<_>>();
    let attempt = Attempt {
        direction,
        protocol: TCP,
        port: Some(80),
        remote: [10, 0, 0, 9].into(),
        remote_groups: &owned(remote),
    };
    table.allows(&owned(own), &attempt)
}

fn basic(rules: Vec<Rule>) -> GroupTable {
    GroupTable::new(vec![group("sg", GroupKind::Basic, Policy::Drop, rules)])
}

#[test]
fn without_rules_a_basic_group_lets_out_and_an_enterprise_group_nothing() {
    let table = GroupTable::new(vec![
        group("basic", GroupKind::Basic, Policy::Accept, vec![]),
        group("enterprise", GroupKind::Enterprise, Policy::Accept, vec![]),
    ]);
    for (own, direction, expected) in [
        ("basic", Direction::Egress, true),
        ("basic", Direction::Ingress, false),
        ("enterprise", Direction::Egress, false),
        ("enterprise", Direction::Ingress, false),
        ("unknown", Direction::Egress, false),
    ] {
        assert_eq!(
            passes(&table, direction, &[own], &[]),
            expected,
            "{own} {direction:?}"
        );
    }
}

#[test]
fn the_smaller_priority_decides_and_drop_wins_a_tie() {
    let all = |policy, priority| rule(policy, priority, Protocol::All, "0-65535", "0.0.0.0/0");
    assert!(enters(
        &basic(vec![all(Policy::Drop, 2), all(Policy::Accept, 1)]),
        &["sg"],
        &[]
    ));
    assert!(!enters(
        &basic(vec![all(Policy::Accept, 2), all(Policy::Drop, 1)]),
        &["sg"],
        &[]
    ));
    assert!(!enters(
        &basic(vec![all(Policy::Accept, 1), all(Policy::Drop, 1)]),
        &["sg"],
        &[]
    ));
}

#[test]
fn a_rule_holds_for_its_protocol_ports_and_range() {
    let one = |protocol, ports, cidr| {
        enters(
            &basic(vec![rule(Policy::Accept, 1, protocol, ports, cidr)]),
            &["sg"],
            &[],
        )
    };
    assert!(one(Protocol::Tcp, "80", "10.0.0.0/24"));
    assert!(one(Protocol::Tcp, "1-80", "10.0.0.9/32"));
    assert!(!one(Protocol::Udp, "80", "10.0.0.0/24"));
    assert!(!one(Protocol::Icmp, "0-65535", "10.0.0.0/24"));
    assert!(!one(Protocol::Tcp, "81-90", "10.0.0.0/24"));
    assert!(!one(Protocol::Tcp, "80", "10.0.1.0/24"));
}

#[test]
fn a_rule_may_name_a_basic_group_but_not_an_enterprise_one() {
    let table = |own, peer| {
        GroupTable::new(vec![
            group("own", own, Policy::Drop, vec![from_group("peer")]),
            group("peer", peer, Policy::Drop, vec![]),
        ])
    };
    let (basic, enterprise) = (GroupKind::Basic, GroupKind::Enterprise);
    assert!(enters(&table(basic, basic), &["own"], &["peer"]));
    assert!(!enters(&table(basic, basic), &["own"], &["other"]));
    assert!(!enters(&table(basic, enterprise), &["own"], &["peer"]));
    assert!(!enters(&table(enterprise, basic), &["own"], &["peer"]));
}

#[test]
fn members_of_a_basic_group_reach_each_other_whatever_its_rules() {
    let deny = || vec![rule(Policy::Drop, 1, Protocol::All, "0-65535", "0.0.0.0/0")];
    let table = |kind, inner| GroupTable::new(vec![group("sg", kind, inner, deny())]);
    assert!(enters(&table(GroupKind::Basic, Policy::Accept), &["sg"], &["sg"]));
    assert!(!enters(&table(GroupKind::Basic, Policy::Drop), &["sg"], &["sg"]));
    assert!(!enters(
        &table(GroupKind::Enterprise, Policy::Accept),
        &["sg"],
        &["sg"]
    ));
    // A rule allows traffic between the members of a group that isolates its members.
    let again = GroupTable::new(vec![group(
        "sg",
        GroupKind::Basic,
        Policy::Drop,
        vec![from_group("sg")],
    )]);
    assert!(enters(&again, &["sg"], &["sg"]));
}

proptest! {
    /// All rules of all groups are in one list, sorted by priority. The first matching rule decides.
    #[test]
    fn the_groups_of_an_eni_are_merged_and_sorted(
        rules in proptest::collection::vec((any::<bool>(), 1u8..4, 0u8..2, any::<bool>()), 0..8),
    ) {
        let made = |&(accept, priority, _, here): &(bool, u8, u8, bool)| {
            let policy = if accept { Policy::Accept } else { Policy::Drop };
            let cidr = if here { "10.0.0.0/24" } else { "10.9.0.0/24" };
            rule(policy, priority, Protocol::Tcp, "0-65535", cidr)
        };
        let part = |number| rules.iter().filter(|rule| rule.2 == number).map(made).collect();
        let table = GroupTable::new(vec![
            group("0", GroupKind::Basic, Policy::Drop, part(0)),
            group("1", GroupKind::Basic, Policy::Drop, part(1)),
        ]);
        let mut sorted: Vec<_> = rules.iter().filter(|rule| rule.3).collect();
        sorted.sort_by_key(|rule| (rule.1, rule.0));
        let expected = sorted.first().is_some_and(|rule| rule.0);
        prop_assert_eq!(enters(&table, &["0", "1"], &[]), expected);
    }
}
