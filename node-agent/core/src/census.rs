//! The pods that should be on a node, and which left-overs of upstream's agent serve none of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use terway_address::single;

use crate::{
    interface::{PodInterface, Sandbox, Waiting},
    link::Links,
    object::{Address, Left, Listed as _, Rule},
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

    /// The addresses of pods that the host itself has. The kernel delivers them to the host before it looks at any rule
    /// of ours. An OS that configures new NICs by DHCP sets the primary address of an ENI, and the control plane gives
    /// that address to a pod as any other.
    ///
    /// On an ENI that carries pods such an address is removed: the control plane's record of this ENI says that it is a
    /// pod's, now or next, so no other program can have it. On other links it stays and is told: a link that is no ENI
    /// of ours belongs to somebody else, whatever is on it.
    pub fn on_the_host(
        &self,
        links: &Links,
        seen: &State,
        node_ip: Option<IpAddr>,
    ) -> (Vec<Step>, Vec<Waiting>) {
        let (mut steps, mut waiting) = (Vec::new(), Vec::new());
        let carriers: BTreeSet<u32> = self
            .interfaces
            .iter()
            .filter_map(|pod| Some(links.nic(pod.carrier.nic().mac)?.index))
            .collect();
        let pods: BTreeSet<IpAddr> = self.interfaces.iter().map(|pod| pod.ip).collect();
        for (address, ()) in seen.of::<Address>() {
            let (ip, removed) = (address.net.addr(), carriers.contains(&address.link));
            let misplaced = pods.contains(&ip) || (removed && self.idle.contains(&ip));
            if !misplaced || node_ip == Some(ip) {
                continue;
            }
            if removed {
                steps.push(Step::Remove((*address).key()));
            }
            let link = links.indexed(address.link).map(|link| link.name.clone());
            let link = link.unwrap_or_else(|| address.link.to_string());
            waiting.push(Waiting::OnHost { ip, link, removed });
        }
        (steps, waiting)
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
        !census
            .left_behind(&[(rule, protocols)].into(), &wanted)
            .is_empty()
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
    fn an_address_of_a_pod_on_the_host_is_removed_from_its_eni_and_told_elsewhere() {
        let census = Census {
            idle: [IpAddr::from([10, 0, 16, 200])].into(),
            ..vec![shared(1)].into()
        };
        let other = Link {
            index: 7,
            name: "docker0".into(),
            mac: None,
            ..trunk()
        };
        let links = Links(vec![trunk(), other]);
        let node_ip = IpAddr::from([10, 0, 0, 11]);
        let look = |link: u32, net: &str| {
            let mut seen = State::default();
            let net = net.parse().unwrap();
            seen.put(Address { link, net }, ());
            let (steps, waiting) = census.on_the_host(&links, &seen, Some(node_ip));
            let removed = Step::Remove(Address { link, net }.key());
            assert!(steps.is_empty() || steps == [removed], "{steps:?}");
            let told = waiting.iter().map(|told| match told {
                Waiting::OnHost { link, removed, .. } => (link.clone(), *removed),
                other => panic!("{other:?}"),
            });
            let told = told.collect::<Vec<_>>();
            assert_eq!(told.iter().any(|(_, removed)| *removed), !steps.is_empty());
            told
        };
        let on_the_eni = [("eth1".to_owned(), true)];
        assert_eq!(look(TRUNK, "10.0.16.1/22"), on_the_eni, "a pod's");
        assert_eq!(look(TRUNK, "10.0.16.200/22"), on_the_eni, "the next pod's");
        assert_eq!(look(TRUNK, "10.0.16.7/22"), [], "nobody's");
        assert_eq!(look(TRUNK, "10.0.0.11/32"), [], "the node's own");
        assert_eq!(look(7, "10.0.16.1/32"), [("docker0".to_owned(), false)]);
        assert_eq!(look(7, "10.0.16.200/32"), []);
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
