//! The table that a benchmark prints: the figure, a figure to compare with, and the aim.
//!
//! Columns of fixed width are one format string. A table library would lay out each part between two notes as a table
//! of its own, with columns of other widths.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::cost::Cost;
use crate::stats::Samples;

/// Width of the first column.
const NAME: usize = 50;

/// A figure to compare with and an aim, if any.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Reference {
    /// Upstream's figure with its tuned configuration, or that of the program in the heading.
    pub reference: Option<&'static str>,
    /// The largest value that meets the aim.
    pub aim: Option<f64>,
}

impl Reference {
    /// Nothing to compare with.
    pub const NONE: Reference = Reference {
        reference: None,
        aim: None,
    };

    /// Both.
    pub const fn both(reference: &'static str, aim: f64) -> Self {
        Reference {
            reference: Some(reference),
            aim: Some(aim),
        }
    }

    /// A figure without an aim.
    pub const fn figure(reference: &'static str) -> Self {
        Reference {
            reference: Some(reference),
            aim: None,
        }
    }

    /// An aim without a figure.
    pub const fn aim(aim: f64) -> Self {
        Reference {
            reference: None,
            aim: Some(aim),
        }
    }

    /// The reference, if the work has the size that it was taken with.
    #[must_use]
    pub fn when(self, comparable: bool) -> Self {
        if comparable { self } else { Self::NONE }
    }
}

/// Lines as they are printed.
pub struct Table(String);

impl Table {
    /// A table with a heading. `against` names the column of figures to compare with.
    pub fn new(title: &str, against: &str) -> Self {
        let mut text = format!("\n{title}\n");
        if cfg!(debug_assertions) {
            text.push_str(
                "(a debug build: its times and sizes are no figures; `make bench` builds for release)\n",
            );
        }
        let _ = writeln!(
            text,
            "{:NAME$} {:>9} {:>17} {against:>9} {:>9}",
            "", "measured", "spread", "aim"
        );
        Table(text)
    }

    /// A row: the median of the runs and their spread.
    pub fn row(&mut self, name: &str, value: impl Into<Samples>, reference: Reference) {
        let value = value.into();
        let median = value.median();
        let spread = value.spread().map_or(String::new(), |(least, most)| {
            format!("{}–{}", number(least), number(most))
        });
        let aim = reference.aim.map_or(String::new(), |aim| format!("≤ {aim}"));
        let verdict = match reference.aim {
            Some(aim) if median > aim => "  missed",
            Some(_) | None => "",
        };
        let against = reference.reference.unwrap_or_default();
        let median = number(median);
        let line = format!("{name:NAME$} {median:>9} {spread:>17} {against:>9} {aim:>9}{verdict}");
        let _ = writeln!(self.0, "{}", line.trim_end());
    }

    /// Rows for CPU time and memory of the control plane.
    pub fn usage(&mut self, cpu_seconds: Samples, peak_mb: Samples) {
        self.row("CPU seconds of the control plane", cpu_seconds, Reference::NONE);
        self.row("peak RSS of the control plane, MB", peak_mb, Reference::NONE);
    }

    /// Lines for each kind of call and request, each count divided by `share`.
    pub fn details(&mut self, what: &str, cost: &Cost, share: f64) {
        let events = cost.events as f64 / share;
        self.note(&format!("{what}:"));
        self.note(&format!("  cloud: {}", list(&cost.cloud_calls, share)));
        self.note(&format!(
            "  API server: {}, events {events:.2}",
            list(&cost.requests, share)
        ));
        self.note(&format!(
            "  {} cloud calls refused, {} conflicts",
            cost.cloud_refusals, cost.conflicts
        ));
    }

    /// A line of words.
    pub fn note(&mut self, line: &str) {
        let _ = writeln!(self.0, "{line}");
    }

    /// The whole table.
    pub fn text(self) -> String {
        self.0
    }
}

fn number(value: f64) -> String {
    if value.abs() >= 1_000.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.2}")
    }
}

fn list(counts: &BTreeMap<String, u64>, share: f64) -> String {
    let parts = counts
        .iter()
        .map(|(name, count)| format!("{name} {:.2}", *count as f64 / share));
    parts.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missed_aim_is_marked_by_the_median() {
        let mut table = Table::new("T", "upstream");
        table.row(
            "slow",
            Samples::new(vec![9.0, 7.0, 1.0]),
            Reference::both("12", 5.0),
        );
        table.row("well", Samples::new(vec![9.0, 3.0, 1.0]), Reference::aim(5.0));
        table.row("big", 123_456.7, Reference::both("1", 1.0).when(false));
        let text = table.text();
        let line = |name: &str| {
            text.lines()
                .find(|line| line.starts_with(name))
                .unwrap()
                .to_owned()
        };
        assert!(line("slow").ends_with("missed"), "{text}");
        assert!(line("slow").contains("1.00–9.00"), "{text}");
        assert!(!line("well").contains("missed"), "{text}");
        assert!(line("big").ends_with("123457"), "{text}");
    }
}
