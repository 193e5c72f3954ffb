//! News: what a person reads in the events of an object.

/// Good news or bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Severity {
    Normal,
    Warning,
}

/// One piece of news.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    pub severity: Severity,
    /// A reason of `terway_crds::names::event`.
    pub reason: &'static str,
    /// An action of `terway_crds::names::action`.
    pub action: &'static str,
    pub note: String,
}

impl News {
    /// Something was done.
    pub fn good(reason: &'static str, action: &'static str, note: impl Into<String>) -> Self {
        Self {
            severity: Severity::Normal,
            reason,
            action,
            note: note.into(),
        }
    }

    /// Something went wrong, or a person has to act.
    pub fn bad(reason: &'static str, action: &'static str, note: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            reason,
            action,
            note: note.into(),
        }
    }
}
