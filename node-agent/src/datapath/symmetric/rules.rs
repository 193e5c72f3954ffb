//! The three rules as nf_tables expressions.

use terway_node_core::ownership;

use super::{Symmetric, wire::Attributes};

/// Hosts' ends of pods' veths begin like this.
const POD_PREFIX: &[u8] = ownership::HOST_PREFIX.as_bytes();

/// What kube-proxy marks for a translation of the source: its `masqueradeBit`, 14 unless configured.
const MASQUERADE: u32 = 1 << 14;

/// Attributes and numbers of `linux/netfilter/nf_tables.h`.
mod nft {
    pub const LIST_ELEM: u16 = 1;
    pub const EXPR_NAME: u16 = 1;
    pub const EXPR_DATA: u16 = 2;
    pub const META_DREG: u16 = 1;
    pub const META_KEY: u16 = 2;
    pub const META_SREG: u16 = 3;
    pub const CT_DREG: u16 = 1;
    pub const CT_KEY: u16 = 2;
    pub const CT_SREG: u16 = 4;
    pub const CMP_SREG: u16 = 1;
    pub const CMP_OP: u16 = 2;
    pub const CMP_DATA: u16 = 3;
    pub const BITWISE_SREG: u16 = 1;
    pub const BITWISE_DREG: u16 = 2;
    pub const BITWISE_LEN: u16 = 3;
    pub const BITWISE_MASK: u16 = 4;
    pub const BITWISE_XOR: u16 = 5;
    pub const DATA_VALUE: u16 = 1;
    pub const REG_1: u32 = 1;
    pub const EQUAL: u32 = 0;
    pub const META_MARK: u32 = 3;
    pub const META_IIFNAME: u32 = 6;
    pub const CT_DIRECTION: u32 = 1;
    pub const CT_MARK: u32 = 3;
    pub const ORIGINAL: u8 = 0;
}

/// Marks connections that enter by the node's interface: packets of the original direction alone, or
/// the answer to what a pod began would change the pod's way in mid-stream.
pub fn marks_connection(config: &Symmetric) -> Attributes {
    let mut interface = config.interface.clone().into_bytes();
    // The kernel compares the whole name, zeros included.
    interface.resize(16, 0);
    list([
        meta_load(nft::META_IIFNAME),
        equals(&interface),
        ct_load(nft::CT_DIRECTION),
        equals(&[nft::ORIGINAL]),
        ct_load(nft::CT_MARK),
        bitwise(!config.mask, config.mark),
        ct_store(nft::CT_MARK),
    ])
}

/// Gives the mark of its connection back to what a pod sends.
pub fn marks_packet(config: &Symmetric) -> Attributes {
    list([
        meta_load(nft::META_IIFNAME),
        equals(POD_PREFIX),
        ct_load(nft::CT_MARK),
        bitwise(config.mask, 0),
        equals(&config.mark.to_ne_bytes()),
        meta_load(nft::META_MARK),
        bitwise(!config.mask, config.mark),
        meta_store(nft::META_MARK),
    ])
}

/// Marks what a pod begins and kube-proxy will send in the node's name: a NodePort of the pod's own node
/// with its backend on another. kube-proxy marks the first packet alone, so the connection is marked too.
pub fn marks_masqueraded(config: &Symmetric) -> Attributes {
    list([
        meta_load(nft::META_IIFNAME),
        equals(POD_PREFIX),
        meta_load(nft::META_MARK),
        bitwise(MASQUERADE, 0),
        equals(&MASQUERADE.to_ne_bytes()),
        ct_load(nft::CT_MARK),
        bitwise(!config.mask, config.mark),
        ct_store(nft::CT_MARK),
        meta_load(nft::META_MARK),
        bitwise(!config.mask, config.mark),
        meta_store(nft::META_MARK),
    ])
}

fn list<const N: usize>(expressions: [Attributes; N]) -> Attributes {
    let add = |all: Attributes, one| all.nest(nft::LIST_ELEM, one);
    expressions.into_iter().fold(Attributes::default(), add)
}

fn expression(name: &str, data: Attributes) -> Attributes {
    Attributes::default()
        .text(nft::EXPR_NAME, name)
        .nest(nft::EXPR_DATA, data)
}

fn meta_load(key: u32) -> Attributes {
    let load = Attributes::default()
        .number(nft::META_KEY, key)
        .number(nft::META_DREG, nft::REG_1);
    expression("meta", load)
}

fn ct_load(key: u32) -> Attributes {
    let load = Attributes::default()
        .number(nft::CT_KEY, key)
        .number(nft::CT_DREG, nft::REG_1);
    expression("ct", load)
}

fn meta_store(key: u32) -> Attributes {
    let store = Attributes::default()
        .number(nft::META_KEY, key)
        .number(nft::META_SREG, nft::REG_1);
    expression("meta", store)
}

fn ct_store(key: u32) -> Attributes {
    let store = Attributes::default()
        .number(nft::CT_KEY, key)
        .number(nft::CT_SREG, nft::REG_1);
    expression("ct", store)
}

/// Ends the rule where the register begins otherwise.
fn equals(value: &[u8]) -> Attributes {
    let compare = Attributes::default()
        .number(nft::CMP_SREG, nft::REG_1)
        .number(nft::CMP_OP, nft::EQUAL)
        .nest(nft::CMP_DATA, Attributes::default().bytes(nft::DATA_VALUE, value));
    expression("cmp", compare)
}

/// Keeps the bits of `mask`, then flips those of `flip`.
fn bitwise(mask: u32, flip: u32) -> Attributes {
    let value = |bits: u32| Attributes::default().bytes(nft::DATA_VALUE, &bits.to_ne_bytes());
    let change = Attributes::default()
        .number(nft::BITWISE_SREG, nft::REG_1)
        .number(nft::BITWISE_DREG, nft::REG_1)
        .number(nft::BITWISE_LEN, 4)
        .nest(nft::BITWISE_MASK, value(mask))
        .nest(nft::BITWISE_XOR, value(flip));
    expression("bitwise", change)
}
