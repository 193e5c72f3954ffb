//! Attached eBPF programs.

use std::fmt;

use super::{Custody, Kind, Subject, Turn};
use crate::{link::Link, program::Program};

/// What a program is attached to. A hook that is no interface's (a cgroup's) becomes a variant of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hook {
    /// The queueing discipline clsact of an interface, which is made for the program.
    Clsact(u32),
    /// The interface itself (TCX, Linux 6.6 and later). Attaching such a program, and deleting its interface, makes the
    /// kernel wait for some 10 ms under its lock of all interfaces.
    Tcx(u32),
}

impl Hook {
    /// The interface.
    pub fn link(self) -> Option<u32> {
        match self {
            Hook::Clsact(link) | Hook::Tcx(link) => Some(link),
        }
    }
}

/// A program at a hook. The value is the kernel's id of the program: one with another id is an older version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Filter {
    pub hook: Hook,
    pub program: Program,
}

impl Filter {
    /// Every place on a link where a filter of ours can be. `tcx` is whether the kernel has [`Hook::Tcx`].
    pub fn possible_on(link: &Link, tcx: bool) -> Vec<Filter> {
        let at = |hook: fn(u32) -> Hook, program| Filter {
            hook: hook(link.index),
            program,
        };
        match link.owner() {
            Some(_) if tcx => vec![
                at(Hook::Clsact, Program::PodSource),
                at(Hook::Tcx, Program::PodSource),
            ],
            Some(_) => vec![at(Hook::Clsact, Program::PodSource)],
            None if link.can_be_nic() => vec![
                at(Hook::Clsact, Program::MemberPop),
                at(Hook::Clsact, Program::MemberPush),
            ],
            None => Vec::new(),
        }
    }
}

impl Kind for Filter {
    /// The kernel's id of the program.
    type Value = u32;

    const CUSTODY: Custody = Custody::Ours(Turn::Programs);

    fn subject(&self, _: &u32) -> Subject {
        match self.program {
            Program::PodSource => Subject {
                link: self.hook.link(),
                ..Subject::default()
            },
            // A trunk's programs serve all its members.
            Program::MemberPop | Program::MemberPush => Subject {
                common: true,
                ..Subject::default()
            },
        }
    }

    fn goes_with(&self, link: u32) -> bool {
        self.hook.link() == Some(link)
    }

    fn say_put(&self, _: &u32, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "attach {} to {}", self.program.name(), self.hook)
    }

    fn say_removal(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "detach {} from {}", self.program.name(), self.hook)
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Hook::Clsact(link) | Hook::Tcx(link) => write!(f, "interface {link}"),
        }
    }
}
