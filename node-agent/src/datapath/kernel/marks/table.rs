//! The nf_tables table with the marks: made whole in one transaction, observed, removed.

use netlink_packet_core::{NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NlasIterator};
use netlink_packet_netfilter::{
    NetfilterHeader, NetfilterMessage, NetfilterProtoFamily,
    nftables::{
        ChainAttribute, ChainMessage, Hook, HookNumber, InetHookNumber, NfTablesMessage, RuleAttribute,
        RuleMessage, TableAttribute, TableMessage,
    },
    none::ControlMessage,
};
use nix::libc;

use terway_node_core::symmetric::Symmetric;

use super::{
    super::netlink::{NetlinkError, Raw, Session},
    rules,
};

const TABLE: &str = "terway_symmetric";
/// A chain at the prerouting hook, and its priority.
type Chain = (&'static str, i32);
/// After conntrack (-200), before the destination is translated (-100).
const BEFORE: Chain = ("prerouting", -150);
/// After kube-proxy has chosen a backend and marked what it sends in the node's name.
const AFTER: Chain = ("translated", -99);
const RULES: usize = 3;

/// A message and its flags.
type Change = (NetfilterMessage, u16);

/// A netfilter socket, and the configuration that was last put into the table.
#[derive(Default)]
pub struct Marking {
    /// Opened in the calling thread's network namespace when it is needed: a kernel without netfilter serves all that
    /// needs no marks.
    socket: Option<Session<NetfilterMessage>>,
    applied: Option<Symmetric>,
}

impl Marking {
    /// Whether the table was written, and is to be as it was written.
    pub fn is_applied(&self) -> bool {
        self.applied.is_some()
    }

    /// The socket, also for questions about the chains of others.
    pub fn session(&mut self) -> Result<&mut Session<NetfilterMessage>, NetlinkError> {
        match &mut self.socket {
            Some(socket) => Ok(socket),
            none => Ok(none.insert(Session::open()?)),
        }
    }

    /// The configuration that the table marks by. A process that has not written the table yet does not know the
    /// configuration; it writes the table.
    pub fn observe(&mut self) -> Result<Option<Symmetric>, NetlinkError> {
        let Some(applied) = self.applied.clone() else {
            return Ok(None);
        };
        let comments = self.comments()?;
        let whole = comments.len() == RULES && comments.iter().all(|c| *c == userdata(&applied.comment));
        Ok(whole.then_some(applied))
    }

    /// Makes the table what it should be, in one step: there is no moment without marks.
    pub fn put(&mut self, config: &Symmetric) -> Result<(), NetlinkError> {
        self.transaction(
            "write the nf_tables table terway_symmetric",
            vec![
                // To be deleted it must be there.
                new_table(),
                delete_table(),
                new_table(),
                new_chain(BEFORE),
                new_chain(AFTER),
                new_rule(config, BEFORE, rules::marks_connection(config)),
                new_rule(config, BEFORE, rules::marks_packet(config)),
                new_rule(config, AFTER, rules::marks_masqueraded(config)),
            ],
        )?;
        self.applied = Some(config.clone());
        Ok(())
    }

    /// Removes the table, if it is there.
    pub fn remove(&mut self) -> Result<(), NetlinkError> {
        self.applied = None;
        let changes = vec![new_table(), delete_table()];
        match self.transaction("remove the nf_tables table terway_symmetric", changes) {
            Err(error) if lacks_nf_tables(&error) => Ok(()),
            removed => removed,
        }
    }

    /// The comments of the rules that are there.
    fn comments(&mut self) -> Result<Vec<Vec<u8>>, NetlinkError> {
        let attributes = vec![RuleAttribute::Table(TABLE.into())];
        let all = nf_tables(NfTablesMessage::GetRule(RuleMessage { attributes }));
        match self
            .session()?
            .dump_raw("list the nf_tables rules of terway_symmetric", all)
        {
            Ok(found) => Ok(found.iter().filter_map(comment).collect()),
            // There is no such table.
            Err(error) if error.errno() == Some(libc::ENOENT) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Sends the changes as one batch: the kernel makes all of them or none (`nfnetlink_rcv_batch`).
    fn transaction(&mut self, act: &'static str, changes: Vec<Change>) -> Result<(), NetlinkError> {
        let frame = |edge: ControlMessage| {
            let nf_tables = libc::NFNL_SUBSYS_NFTABLES as u16;
            let header = NetfilterHeader::new(NetfilterProtoFamily::Unspec, 0, nf_tables);
            (NetfilterMessage::new(header, edge), 0)
        };
        let mut batch = vec![frame(ControlMessage::BatchBegin)];
        let changes = changes.into_iter();
        batch.extend(changes.map(|(message, flags)| (message, flags | NLM_F_ACK)));
        batch.push(frame(ControlMessage::BatchEnd));
        self.session()?.transaction(act, batch)
    }
}

/// Whether the kernel has no nf_tables (`nfnetlink_rcv_batch` answers EOPNOTSUPP), or no netfilter sockets at all.
pub fn lacks_nf_tables(error: &NetlinkError) -> bool {
    let number = match error {
        NetlinkError::Open(source) => source.raw_os_error(),
        other => other.errno(),
    };
    matches!(number, Some(libc::EOPNOTSUPP | libc::EPROTONOSUPPORT))
}

fn nf_tables(message: NfTablesMessage) -> NetfilterMessage {
    let header = NetfilterHeader::new(NetfilterProtoFamily::IPv4, 0, 0);
    NetfilterMessage::new(header, message)
}

fn table() -> TableMessage {
    TableMessage {
        attributes: vec![TableAttribute::Name(TABLE.into())],
    }
}

fn new_table() -> Change {
    (nf_tables(NfTablesMessage::NewTable(table())), NLM_F_CREATE)
}

fn delete_table() -> Change {
    (nf_tables(NfTablesMessage::DeleteTable(table())), 0)
}

/// A base chain at the prerouting hook that accepts what it does not mark.
fn new_chain((name, priority): Chain) -> Change {
    /// `NF_ACCEPT` of `linux/netfilter.h`.
    const ACCEPT: u32 = 1;
    let attributes = vec![
        ChainAttribute::Table(TABLE.into()),
        ChainAttribute::Name(name.into()),
        ChainAttribute::Hook(vec![
            Hook::Number(HookNumber::Inet(InetHookNumber::PreRouting)),
            Hook::Priority(priority.cast_unsigned()),
        ]),
        ChainAttribute::Policy(ACCEPT),
        ChainAttribute::Type("filter".into()),
    ];
    let chain = NfTablesMessage::NewChain(ChainMessage { attributes });
    (nf_tables(chain), NLM_F_CREATE)
}

fn new_rule(config: &Symmetric, (chain, _): Chain, expressions: rules::Rule) -> Change {
    let attributes = vec![
        RuleAttribute::Table(TABLE.into()),
        RuleAttribute::Chain(chain.into()),
        RuleAttribute::Expressions(expressions),
        RuleAttribute::UserData(userdata(&config.comment)),
    ];
    let rule = NfTablesMessage::NewRule(RuleMessage { attributes });
    (nf_tables(rule), NLM_F_CREATE | NLM_F_APPEND)
}

/// A comment as `nft list ruleset` shows it: type 0, its length with the closing zero, the text
/// (`NFTNL_UDATA_RULE_COMMENT` of libnftnl).
fn userdata(comment: &str) -> Vec<u8> {
    // The settings bound the comment's length.
    let mut bytes = vec![0, (comment.len() + 1) as u8];
    bytes.extend(comment.as_bytes());
    bytes.push(0);
    bytes
}

/// The comment of a rule; empty for a rule without one. It is read here and not by `netlink-packet-netfilter` (0.4):
/// the library decodes the rule's expressions too, and panics where the data of an expression is longer than its
/// attribute.
pub(in crate::datapath::kernel) fn comment(message: &Raw) -> Option<Vec<u8>> {
    /// A rule, as nf_tables shows it (`NFT_MSG_NEWRULE`, `NFTA_RULE_USERDATA` of linux/netfilter/nf_tables.h).
    const RULE: u16 = (libc::NFNL_SUBSYS_NFTABLES as u16) << 8 | libc::NFT_MSG_NEWRULE as u16;
    const USERDATA: u16 = 7;
    /// Bytes of `struct nfgenmsg` (linux/netfilter/nfnetlink.h).
    const HEADER: usize = 4;
    if message.header.message_type != RULE {
        return None;
    }
    let mut attributes = NlasIterator::new(message.body.get(HEADER..)?).map_while(Result::ok);
    let comment = attributes.find(|attribute| attribute.kind() == USERDATA);
    Some(
        comment
            .map(|comment| comment.value().to_vec())
            .unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_kernel_without_nf_tables_is_told_from_a_refusal() {
        let of = io::Error::from_raw_os_error;
        let refused = |number| NetlinkError::Refused {
            act: "write a table",
            words: None,
            source: of(number),
        };
        assert!(lacks_nf_tables(&NetlinkError::Open(of(libc::EPROTONOSUPPORT))));
        assert!(lacks_nf_tables(&refused(libc::EOPNOTSUPP)));
        assert!(!lacks_nf_tables(&refused(libc::EPERM)));
    }
}
