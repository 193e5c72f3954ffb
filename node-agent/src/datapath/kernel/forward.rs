//! Chains of nf_tables that drop what the host forwards: `iptables -P FORWARD DROP`, Docker, firewalld. They are other
//! programs' and only looked at. Legacy iptables (`ip_tables`) does not show its policies here.

use netlink_packet_core::{NlaBuffer, NlasIterator};
use netlink_packet_netfilter::{
    NetfilterHeader, NetfilterMessage, NetfilterProtoFamily,
    nftables::{ChainMessage, NfTablesMessage, RuleAttribute, RuleMessage},
};
use terway_node_core::ownership;

use super::netlink::{NetlinkError, Raw, Session};

/// Bytes of `struct nfgenmsg` (linux/netfilter/nfnetlink.h), which begins with the family.
const HEADER: usize = 4;
/// `NFPROTO_INET` and `NFPROTO_IPV4` (linux/netfilter.h).
const INET: u8 = 1;
const IPV4: u8 = 2;
/// Attributes of a chain and of its hook, the number of the hook, and the policy (linux/netfilter/nf_tables.h,
/// linux/netfilter.h).
const CHAIN_TABLE: u16 = 1;
const CHAIN_NAME: u16 = 3;
const CHAIN_HOOK: u16 = 4;
const CHAIN_POLICY: u16 = 5;
const HOOK_NUMBER: u16 = 1;
const FORWARD: u32 = 2;
const DROP: u32 = 0;

/// A base chain at the forward hook whose policy is to drop.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Dropping {
    family: u8,
    table: String,
    chain: String,
}

/// The chains that drop what pods send and get, by their names. A chain with a rule about pods' interfaces counts as
/// one that lets them through.
pub fn closed(socket: &mut Session<NetfilterMessage>) -> Result<Vec<String>, NetlinkError> {
    let all = message(NetfilterProtoFamily::Unspec, NfTablesMessage::GetChain(chain()));
    let chains = socket.dump_raw("list the chains of nf_tables", all)?;
    let mut closed = Vec::new();
    for dropping in chains.iter().filter_map(parse) {
        if !lets_pods_through(socket, &dropping)? {
            let family = if dropping.family == INET { "inet" } else { "ip" };
            closed.push(format!("{family} {} {}", dropping.table, dropping.chain));
        }
    }
    Ok(closed)
}

fn lets_pods_through(
    socket: &mut Session<NetfilterMessage>,
    dropping: &Dropping,
) -> Result<bool, NetlinkError> {
    let attributes = vec![
        RuleAttribute::Table(dropping.table.clone()),
        RuleAttribute::Chain(dropping.chain.clone()),
    ];
    let family = if dropping.family == INET {
        NetfilterProtoFamily::Inet
    } else {
        NetfilterProtoFamily::IPv4
    };
    let all = message(family, NfTablesMessage::GetRule(RuleMessage { attributes }));
    let rules = socket.dump_raw("list the rules of a chain that drops", all)?;
    let pods = ownership::HOST_PREFIX.as_bytes();
    let about_pods = |rule: &Raw| rule.body.windows(pods.len()).any(|bytes| bytes == pods);
    Ok(rules.iter().any(about_pods))
}

fn chain() -> ChainMessage {
    ChainMessage {
        attributes: Vec::new(),
    }
}

fn message(family: NetfilterProtoFamily, inner: NfTablesMessage) -> NetfilterMessage {
    NetfilterMessage::new(NetfilterHeader::new(family, 0, 0), inner)
}

pub(super) fn parse(message: &Raw) -> Option<Dropping> {
    let (family, attributes) = (*message.body.first()?, message.body.get(HEADER..)?);
    let find = |attributes, kind| {
        let mut all = self::attributes(attributes);
        all.find(|attribute: &NlaBuffer<&[u8]>| attribute.kind() == kind)
    };
    let number = |value: &[u8]| value.first_chunk().map(|bytes| u32::from_be_bytes(*bytes));
    let text = |kind| find(attributes, kind).map(|attribute| text(attribute.value()));
    let hook = find(attributes, CHAIN_HOOK)?;
    let hook = find(hook.value(), HOOK_NUMBER).and_then(|hook| number(hook.value()));
    let policy = find(attributes, CHAIN_POLICY).and_then(|policy| number(policy.value()));
    let closes = [INET, IPV4].contains(&family) && hook == Some(FORWARD) && policy == Some(DROP);
    closes.then_some(())?;
    Some(Dropping {
        family,
        table: text(CHAIN_TABLE)?,
        chain: text(CHAIN_NAME)?,
    })
}

fn attributes(bytes: &[u8]) -> impl Iterator<Item = NlaBuffer<&[u8]>> {
    NlasIterator::new(bytes).map_while(Result::ok)
}

fn text(value: &[u8]) -> String {
    let text = value.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

#[cfg(test)]
mod tests {
    use netlink_packet_core::NetlinkHeader;

    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let length = value.len() as u16 + 4;
        let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn shown(family: u8, hook: u32, policy: u32) -> Raw {
        let hook = attribute(HOOK_NUMBER, &hook.to_be_bytes());
        let body = [
            vec![family, 0, 0, 0],
            attribute(CHAIN_TABLE, b"filter\0"),
            attribute(CHAIN_NAME, b"FORWARD\0"),
            attribute(CHAIN_HOOK | 1 << 15, &hook),
            attribute(CHAIN_POLICY, &policy.to_be_bytes()),
        ];
        Raw {
            header: NetlinkHeader::default(),
            body: body.concat(),
        }
    }

    #[test]
    fn a_chain_drops_by_its_hook_its_policy_and_its_family() {
        let expected = Dropping {
            family: IPV4,
            table: "filter".into(),
            chain: "FORWARD".into(),
        };
        assert_eq!(parse(&shown(IPV4, FORWARD, DROP)), Some(expected));
        assert_eq!(parse(&shown(IPV4, FORWARD, 1)), None, "policy accept");
        assert_eq!(parse(&shown(IPV4, 1, DROP)), None, "the input hook");
        assert_eq!(
            parse(&shown(10, FORWARD, DROP)),
            None,
            "IPv6, which pods do not have"
        );
    }
}
