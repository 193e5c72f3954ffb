//! Rules that look into a routing table.

use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::{
    RouteNetlinkMessage,
    route::RouteProtocol,
    rule::{RuleAction, RuleAttribute, RuleFlags, RuleMessage},
};
use terway_address::Family;
use terway_node_core::{
    object::{Driver, Rule},
    observed::{Ask, Observed},
    ownership,
};

use super::{
    error::{ObserveError, StepError},
    namespace::{Namespace, family_number},
    repeat::{absent, present},
    route::compact_table,
};

/// Upstream's agent gives its rules no protocol number, which the kernel shows as this one.
const NO_PROTOCOL: u8 = 0;

impl Driver<Rule> for Namespace<'_> {
    fn observe(&mut self, ask: &Ask<'_>, seen: &mut Observed) -> Result<(), ObserveError> {
        for family in ask.families() {
            let mut all = RuleMessage::default();
            all.header.family = family_number(*family);
            for reply in self
                .netlink
                .dump("list rules", RouteNetlinkMessage::GetRule(all))?
            {
                let RouteNetlinkMessage::NewRule(m) = reply else {
                    continue;
                };
                match parse(&m, *family) {
                    Some((protocol, rule)) if ownership::owns_rule(protocol, &rule) => {
                        seen.state.put(rule, ())
                    }
                    Some((protocol, rule)) => {
                        seen.foreign_rules.entry(rule).or_default().insert(protocol);
                    }
                    None => {}
                }
            }
        }
        Ok(())
    }

    fn put(&mut self, rule: &Rule, (): &()) -> Result<(), StepError> {
        let new = RouteNetlinkMessage::NewRule(message(rule, ownership::PROTOCOL));
        present(self.netlink.change("add a rule", new, NLM_F_CREATE | NLM_F_EXCL))?;
        Ok(())
    }

    fn remove(&mut self, rule: &Rule) -> Result<(), StepError> {
        let old = RouteNetlinkMessage::DelRule(message(rule, ownership::PROTOCOL));
        absent(self.netlink.change("remove a rule", old, 0))?;
        Ok(())
    }
}

/// A message with a rule of upstream's agent.
pub fn upstreams(rule: &Rule) -> RuleMessage {
    message(rule, NO_PROTOCOL)
}

fn message(rule: &Rule, protocol: u8) -> RuleMessage {
    let mut message = RuleMessage::default();
    message.header.family = family_number(rule.family);
    message.header.table = compact_table(rule.table);
    message.header.action = RuleAction::ToTable;
    let attributes = &mut message.attributes;
    if let Some(net) = rule.from {
        message.header.src_len = net.prefix_len();
        attributes.push(RuleAttribute::Source(net.addr()));
    }
    if let Some(net) = rule.to {
        message.header.dst_len = net.prefix_len();
        attributes.push(RuleAttribute::Destination(net.addr()));
    }
    if let Some(name) = &rule.oif {
        attributes.push(RuleAttribute::Oifname(name.clone()));
    }
    if let Some((mark, mask)) = rule.mark {
        attributes.push(RuleAttribute::FwMark(mark));
        attributes.push(RuleAttribute::FwMask(mask));
    }
    attributes.push(RuleAttribute::Table(rule.table));
    attributes.push(RuleAttribute::Priority(rule.priority));
    attributes.push(RuleAttribute::Protocol(RouteProtocol::from(protocol)));
    message
}

/// The rule that a message shows, with its protocol number. `None` when the rule has selectors that this crate never
/// sets: such a rule neither is ours nor can stand in for one of ours.
pub(super) fn parse(message: &RuleMessage, family: Family) -> Option<(u8, Rule)> {
    let header = &message.header;
    let plain = header.family == family_number(family)
        && header.action == RuleAction::ToTable
        && header.tos == 0
        && !header.flags.contains(RuleFlags::Invert);
    if !plain {
        return None;
    }
    let mut rule = Rule::new(family, 0, u32::from(header.table));
    let (mut protocol, mut mark, mut mask) = (NO_PROTOCOL, None, u32::MAX);
    let net = |ip: &IpAddr, length| IpNet::new(*ip, length).ok();
    for attribute in &message.attributes {
        match attribute {
            RuleAttribute::FwMark(bits) => mark = Some(*bits),
            RuleAttribute::FwMask(bits) => mask = *bits,
            RuleAttribute::Source(ip) => rule.from = Some(net(ip, header.src_len)?),
            RuleAttribute::Destination(ip) => rule.to = Some(net(ip, header.dst_len)?),
            RuleAttribute::Oifname(name) => rule.oif = Some(name.clone()),
            RuleAttribute::Table(table) => rule.table = *table,
            RuleAttribute::Priority(priority) => rule.priority = *priority,
            RuleAttribute::Protocol(number) => protocol = (*number).into(),
            // The kernel shows the suppression length -1 (nothing is suppressed) with every rule.
            RuleAttribute::SuppressPrefixLen(u32::MAX) => {}
            _ => return None,
        }
    }
    rule.mark = mark.map(|mark| (mark, mask));
    Some((protocol, rule))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_read_as_it_was_written_in_either_family() {
        for (family, net) in [(Family::V4, "10.0.16.7/32"), (Family::V6, "fd00::7/128")] {
            let net: IpNet = net.parse().unwrap();
            let plain = Rule::new(family, 512, 1003);
            let marked = Rule {
                mark: Some((0x10, 0x10)),
                oif: Some("eth1".into()),
                ..plain.clone()
            };
            for rule in [
                plain.clone().from(net),
                plain.clone().to(net).from(net),
                plain,
                marked,
            ] {
                let shown = parse(&message(&rule, ownership::PROTOCOL), family);
                assert_eq!(shown, Some((ownership::PROTOCOL, rule)));
            }
        }
    }

    #[test]
    fn a_rule_with_a_selector_of_others_is_not_taken_for_ours() {
        let rule = Rule::new(Family::V4, 512, 254);
        let mut other = message(&rule, ownership::PROTOCOL);
        other.attributes.push(RuleAttribute::Iifname("eth0".into()));
        assert_eq!(parse(&other, Family::V4), None);
        let mut inverted = message(&rule, ownership::PROTOCOL);
        inverted.header.flags = RuleFlags::Invert;
        assert_eq!(parse(&inverted, Family::V4), None);
    }
}
