//! Lines on standard output whose reader may go away, as in `lab status | head -1`.

use std::fmt;
use std::io::{self, Write};

/// Prints a line like `println!`, which panics when nobody reads any more. A program whose output nobody reads goes on:
/// what it began has to be finished, such as the removal of a cluster.
#[macro_export]
macro_rules! say {
    ($($text:tt)*) => { $crate::out::line(format_args!($($text)*)) };
}

/// Writes a line to standard output.
pub fn line(text: fmt::Arguments<'_>) {
    // An error means that nobody reads. Standard output is not used for anything but reading.
    let _ = writeln!(io::stdout().lock(), "{text}");
}
