//! The pods that should be on a node, and which left-overs of upstream's agent serve none of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use terway_address::single;

use crate::{
    interface::{PodInterface, Sandbox},
    link::Links,
    object::{Left, Listed as _, Rule},
    observed::ForeignRules,
    ownership::{FIRST_ENI_TABLE, MAIN_TABLE, RULE_FROM_POD, RULE_TO_POD},
    plan::Step,
    state::State,
};

/// Everything that should be on a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// The interfaces that are described.
    pub interfaces: Vec<PodInterface>,
    /// Sandboxes that run and that no record describes. They are left as they are.
    pub unknown: Vec<Sandbox>,
    /// Addresses of the node's ENIs that no pod has.
    pub idle: BTreeSet<IpAddr>,
}

impl From<Vec<PodInterface>> for Census {
    fn from(interfaces: Vec<PodInterface>) -> Self {
        Census {
            interfaces,
            ..Census::default()
        }
    }
}

/// Upstream's agent makes its rules without a protocol number.
const NO_PROTOCOL: u8 = 0;

impl Census {
    /// Removes rules of upstream's agent whose address is idle or one of our pods'. Such a rule would lead the
    /// packets of the address's new pod to the ENI of its last pod.
    ///
    /// A rule stays when somebody has an equal one with a protocol number: the kernel takes protocol 0 in a removal for
    /// any protocol (`rule_find` in `net/core/fib_rules.c`), and the other one could go instead.
    pub fn left_behind(&self, foreign: &ForeignRules, wanted: &State) -> Vec<Step> {
        let ours: BTreeSet<IpAddr> = self.interfaces.iter().map(|i| i.ip).collect();
        let stale = |address: &IpAddr| self.idle.contains(address) || ours.contains(address);
        foreign
            .iter()
            .filter(|(rule, protocols)| {
                let of_a_pod = upstreams(rule).is_some_and(|address| stale(&address));
                let alone = protocols.iter().eq([&NO_PROTOCOL]);
                alone && of_a_pod && wanted.value_of((*rule).clone()).is_none()
            })
            .map(|(rule, _)| Step::Remove(Left::Rule(rule.clone()).key()))
            .collect()
    }

    /// Removes the host's ends of ENIs in upstream's IPvlan datapath that lead to no pod any more, and the filters that
    /// lead there. (A pod's own end goes with its DEL.)
    pub fn left_links(&self, links: &Links, pods: &BTreeMap<u32, BTreeSet<IpAddr>>) -> Vec<Step> {
        let mut steps = Vec::new();
        for slave in links.0.iter().filter(|l| l.is_upstreams_slave()) {
            let routed = pods.get(&slave.index);
            if routed.is_some_and(|routed| !routed.is_subset(&self.idle)) {
                continue;
            }
            // The filters come first, because they send packets to the link.
            steps.extend(
                slave
                    .peer
                    .map(|eni| Step::Remove(Left::Filters { link: eni }.key())),
            );
            steps.push(Step::DeleteLinks(vec![(slave.index, slave.name.clone())]));
        }
        steps
    }
}

/// The pod's address in a rule that looks like one of upstream's.
fn upstreams(rule: &Rule) -> Option<IpAddr> {
    if rule.oif.is_some() || rule.mark.is_some() {
        return None;
    }
    match (rule.priority, rule.from, rule.to) {
        (RULE_TO_POD, None, to) if rule.table == MAIN_TABLE => to.and_then(single),
        (RULE_FROM_POD, from, None) if rule.table >= FIRST_ENI_TABLE => from.and_then(single),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use terway_address::Family;

    use super::*;
    use crate::{
        link::{Link, LinkKind},
        testing::{TRUNK, shared, trunk},
    };

    fn rule(priority: u32, from: Option<&str>, to: Option<&str>, table: u32) -> Rule {
        let net = |text: Option<&str>| text.map(|text| text.parse().unwrap());
        Rule {
            from: net(from),
            to: net(to),
            ..Rule::new(Family::V4, priority, table)
        }
    }

    fn left(rule: Rule, protocol: u8) -> bool {
        left_of(rule, &[protocol])
    }

    fn left_of(rule: Rule, protocols: &[u8]) -> bool {
        let census = Census {
            idle: [IpAddr::from([10, 0, 16, 200])].into(),
            ..vec![shared(1)].into()
        };
        let mut wanted = State::default();
        wanted.put(self::rule(RULE_FROM_POD, Some("10.0.16.1/32"), None, 1003), ());
        let protocols = protocols.iter().copied().collect();
        !census.left_behind(&[(rule, protocols)].into(), &wanted).is_empty()
    }

    #[test]
    fn rules_for_an_address_that_nobody_has_are_left_behind() {
        assert!(left(rule(2048, Some("10.0.16.200/32"), None, 1004), 0));
        assert!(left(rule(512, None, Some("10.0.16.200/32"), MAIN_TABLE), 0));
    }

    #[test]
    fn a_rule_that_leads_our_pod_astray_is_left_behind_and_one_that_fits_is_not() {
        assert!(left(rule(2048, Some("10.0.16.1/32"), None, 1004), 0));
        assert!(!left(rule(2048, Some("10.0.16.1/32"), None, 1003), 0));
    }

    #[test]
    fn a_left_rule_stays_while_an_equal_one_of_somebody_else_could_go_in_its_place() {
        let twice = rule(2048, Some("10.0.16.200/32"), None, 1004);
        assert!(left_of(twice.clone(), &[0]));
        assert!(!left_of(twice, &[0, 4]));
    }

    #[test]
    fn rules_of_others_are_not_touched() {
        let other_protocol = rule(2048, Some("10.0.16.200/32"), None, 1004);
        assert!(!left(other_protocol, 3), "somebody's own");
        assert!(
            !left(rule(2048, Some("10.0.16.7/32"), None, 1004), 0),
            "a pod that upstream's agent runs"
        );
        assert!(!left(rule(2048, Some("10.0.16.0/24"), None, 1004), 0));
        assert!(!left(rule(2049, Some("10.0.16.200/32"), None, 1004), 0));
        assert!(!left(rule(2048, Some("10.0.16.200/32"), None, 100), 0));
    }

    #[test]
    fn the_ipvlan_of_an_eni_goes_with_its_last_pod() {
        let slave = Link {
            index: 9,
            name: format!("ipvl_{TRUNK}"),
            kind: LinkKind::IpVlan,
            peer: Some(TRUNK),
            ..trunk()
        };
        let census = Census {
            idle: [IpAddr::from([10, 0, 16, 200])].into(),
            ..Census::default()
        };
        let steps = |pods: &[[u8; 4]]| {
            let routed = pods.iter().map(|ip| IpAddr::from(*ip)).collect();
            census.left_links(&Links(vec![trunk(), slave.clone()]), &[(9, routed)].into())
        };
        assert_eq!(steps(&[[10, 0, 16, 200], [10, 0, 16, 7]]), [], "a pod still runs");
        let expected = [
            Step::Remove(Left::Filters { link: TRUNK }.key()),
            Step::DeleteLinks(vec![(9, slave.name.clone())]),
        ];
        assert_eq!(steps(&[[10, 0, 16, 200]]), expected);
        assert_eq!(steps(&[]), expected);
        let foreign = Link {
            name: "ipvl_mine".into(),
            ..slave.clone()
        };
        assert_eq!(census.left_links(&Links(vec![foreign]), &BTreeMap::new()), []);
    }
}
