//! The marks of symmetric routing: one table of nf_tables, which is made and replaced as a whole.

use std::fmt;

use super::{Custody, Kind, Subject};
use crate::symmetric::Symmetric;

/// The table; there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Marks;

impl Kind for Marks {
    type Value = Symmetric;

    // The agent removes the table at its start when symmetric routing is off.
    const CUSTODY: Custody = Custody::Completed;

    fn subject(&self, _: &Symmetric) -> Subject {
        Subject::default()
    }

    fn say_put(&self, to: &Symmetric, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "mark connections that enter by {} with {:#x}/{:#x}",
            to.interface, to.mark, to.mask
        )
    }

    fn say_removal(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("stop marking connections")
    }
}
