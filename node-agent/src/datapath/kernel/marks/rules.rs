//! The three rules as nf_tables expressions. `netlink-packet-netfilter` (0.4) has types for all of them but `ct`.

use netlink_packet_core::DefaultNla;
use netlink_packet_netfilter::nftables::{
    Bitwise, Cmp, DataAttribute, ExpressionAttribute, Expressions, ListAttribute, Meta, MetaKey, Operator,
    Register,
};

use terway_node_core::{ownership, symmetric::Symmetric};

/// Hosts' ends of pods' veths begin like this.
const POD_PREFIX: &[u8] = ownership::HOST_PREFIX.as_bytes();

/// What kube-proxy marks for a translation of the source: its `masqueradeBit`, 14 unless configured.
const MASQUERADE: u32 = 1 << 14;

/// The register that every rule here works with.
const REGISTER: Register = Register::Reg1;

/// The expressions of one rule, in their order.
pub type Rule = Vec<ListAttribute<ExpressionAttribute>>;

/// Attributes of the expression `ct` and values of its key (`linux/netfilter/nf_tables.h`).
mod ct {
    pub const DESTINATION_REGISTER: u16 = 1;
    pub const KEY: u16 = 2;
    pub const SOURCE_REGISTER: u16 = 4;
    pub const DIRECTION: u32 = 1;
    pub const MARK: u32 = 3;
    /// The value of [`DIRECTION`] for packets that go the way of the connection's first packet.
    pub const ORIGINAL: u8 = 0;
}

/// Marks connections that enter by the node's interface. Packets of the original direction alone are looked at: the
/// answer to a connection that a pod began would otherwise change the pod's way in mid-stream.
pub fn marks_connection(config: &Symmetric) -> Rule {
    let mut interface = config.interface.clone().into_bytes();
    // The kernel compares the whole name, zeros included (IFNAMSIZ).
    interface.resize(16, 0);
    list([
        meta_load(MetaKey::Iifname),
        equals(&interface),
        ct_load(ct::DIRECTION),
        equals(&[ct::ORIGINAL]),
        ct_load(ct::MARK),
        bitwise(!config.mask, config.mark),
        ct_store(ct::MARK),
    ])
}

/// Gives the mark of its connection back to a packet that a pod sends.
pub fn marks_packet(config: &Symmetric) -> Rule {
    list([
        meta_load(MetaKey::Iifname),
        equals(POD_PREFIX),
        ct_load(ct::MARK),
        bitwise(config.mask, 0),
        equals(&config.mark.to_ne_bytes()),
        meta_load(MetaKey::Mark),
        bitwise(!config.mask, config.mark),
        meta_store(MetaKey::Mark),
    ])
}

/// Marks a connection that a pod begins and that kube-proxy will send in the node's name: a NodePort of the pod's own
/// node whose backend is on another node. kube-proxy marks the first packet alone, so the connection is marked too.
pub fn marks_masqueraded(config: &Symmetric) -> Rule {
    list([
        meta_load(MetaKey::Iifname),
        equals(POD_PREFIX),
        meta_load(MetaKey::Mark),
        bitwise(MASQUERADE, 0),
        equals(&MASQUERADE.to_ne_bytes()),
        ct_load(ct::MARK),
        bitwise(!config.mask, config.mark),
        ct_store(ct::MARK),
        meta_load(MetaKey::Mark),
        bitwise(!config.mask, config.mark),
        meta_store(MetaKey::Mark),
    ])
}

fn list<const N: usize>(expressions: [Expressions; N]) -> Rule {
    expressions.into_iter().map(ListAttribute::from).collect()
}

fn meta_load(key: MetaKey) -> Expressions {
    Expressions::Meta(vec![Meta::Key(key), Meta::DestinationRegister(REGISTER)])
}

fn meta_store(key: MetaKey) -> Expressions {
    Expressions::Meta(vec![Meta::Key(key), Meta::SourceRegister(REGISTER)])
}

fn ct_load(key: u32) -> Expressions {
    ct_with(key, ct::DESTINATION_REGISTER)
}

fn ct_store(key: u32) -> Expressions {
    ct_with(key, ct::SOURCE_REGISTER)
}

fn ct_with(key: u32, register: u16) -> Expressions {
    let number = |kind: u16, value: u32| DefaultNla::new(kind, value.to_be_bytes().to_vec());
    Expressions::Other {
        expression_type: "ct".into(),
        attributes: vec![number(ct::KEY, key), number(register, REGISTER.into())],
    }
}

/// Ends the rule where the register does not begin with these bytes.
fn equals(value: &[u8]) -> Expressions {
    Expressions::Cmp(vec![
        Cmp::SourceRegister(REGISTER),
        Cmp::Op(Operator::Equal),
        Cmp::Data(DataAttribute::Value(value.to_vec())),
    ])
}

/// Keeps the bits of `mask`, then flips those of `flip`.
fn bitwise(mask: u32, flip: u32) -> Expressions {
    let value = |bits: u32| DataAttribute::Value(bits.to_ne_bytes().to_vec());
    Expressions::Bitwise(vec![
        Bitwise::SourceRegister(REGISTER),
        Bitwise::DestinationRegister(REGISTER),
        Bitwise::Length(4),
        Bitwise::Mask(value(mask)),
        Bitwise::Xor(value(flip)),
    ])
}
