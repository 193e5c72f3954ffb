//! The eBPF programs by name, the hooks they are attached to, and the keys of their maps.

use std::{collections::BTreeMap, net::Ipv4Addr};

use terway_ebpf_abi::programs;

/// One of our programs; also the role of the filter that carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Program {
    /// Trunk ingress.
    MemberPop,
    /// Trunk egress.
    MemberPush,
    /// Host veth ingress.
    PodSource,
}

impl Program {
    /// All of them.
    pub const ALL: [Program; 3] = [Program::MemberPop, Program::MemberPush, Program::PodSource];

    /// The name in the object file, in the pin directory and on the filter.
    pub fn name(self) -> &'static str {
        match self {
            Program::MemberPop => programs::MEMBER_POP,
            Program::MemberPush => programs::MEMBER_PUSH,
            Program::PodSource => programs::POD_SOURCE,
        }
    }
}

/// What of an interface a program is attached to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hook {
    /// The queueing discipline clsact, which is made for it.
    Clsact,
    /// The interface itself (TCX, Linux 6.6 and later). The kernel waits some 10 ms, holding its lock of all
    /// interfaces, when such a program comes and when its interface goes.
    Interface,
}

/// Interface, role and hook of a filter.
pub type FilterAt = (u32, Program, Hook);

/// Key of a pop entry: trunk, VLAN id, destination.
pub type PopKey = (u32, u16, Ipv4Addr);
/// An address on an interface.
pub type InterfaceIp = (u32, Ipv4Addr);
/// VLAN id and host veth of a push entry.
pub type PushValue = (u16, u32);

/// Kernel ids of the loaded programs: a filter with another id carries an older version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProgramIds(pub BTreeMap<Program, u32>);
