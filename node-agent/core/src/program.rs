//! The eBPF programs.

use std::collections::BTreeMap;

use terway_ebpf_abi::programs;

/// One of our programs, and the role of the filter that carries it.
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

/// Kernel ids of the loaded programs. A filter with another id carries an older program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProgramIds(pub BTreeMap<Program, u32>);
