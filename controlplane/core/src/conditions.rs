//! Conditions: statements about an object, each with the time since which it is true or false.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// The content of a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement<'a> {
    pub kind: &'a str,
    pub holds: bool,
    /// One word in CamelCase, for machines.
    pub reason: &'a str,
    /// A sentence for people. It contains nothing that changes without the state (times, counters), because otherwise
    /// the object would be written again and again.
    pub message: String,
}

/// Puts a statement into a list of conditions. The transition time changes only if the truth of the statement changes.
/// Returns whether anything except the generation has changed.
pub fn state(
    conditions: &mut Vec<Condition>,
    what: Statement<'_>,
    generation: Option<i64>,
    now: Timestamp,
) -> bool {
    let status = if what.holds { "True" } else { "False" };
    let known = conditions
        .iter_mut()
        .find(|condition| condition.type_ == what.kind);
    let Some(known) = known else {
        conditions.push(Condition {
            type_: what.kind.into(),
            status: status.into(),
            reason: what.reason.into(),
            message: what.message,
            observed_generation: generation,
            last_transition_time: Time(now),
        });
        return true;
    };
    if known.status == status && known.reason == what.reason && known.message == what.message {
        return false;
    }
    if known.status != status {
        known.last_transition_time = Time(now);
    }
    known.status = status.into();
    known.reason = what.reason.into();
    known.message = what.message;
    known.observed_generation = generation;
    true
}

/// The false statements whose words the list does not contain yet.
pub fn newly_wrong<'a, 'b>(
    conditions: &'a [Condition],
    statements: &'a [Statement<'b>],
) -> impl Iterator<Item = &'a Statement<'b>> {
    let stands = |statement: &Statement<'b>| {
        conditions
            .iter()
            .any(|c| c.type_ == statement.kind && c.status == "False" && c.message == statement.message)
    };
    statements
        .iter()
        .filter(move |statement| !statement.holds && !stands(statement))
}

/// The reason of a condition that exists and is false.
pub fn failing_reason<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a str> {
    conditions
        .iter()
        .find(|condition| condition.type_ == kind && condition.status == "False")
        .map(|condition| condition.reason.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(holds: bool, reason: &'static str) -> Statement<'static> {
        Statement {
            kind: "Ready",
            holds,
            reason,
            message: String::new(),
        }
    }

    #[test]
    fn saying_the_same_again_changes_nothing() {
        let mut conditions = Vec::new();
        assert!(state(
            &mut conditions,
            statement(false, "Waiting"),
            Some(1),
            Timestamp::UNIX_EPOCH
        ));
        let before = conditions.clone();
        assert!(!state(
            &mut conditions,
            statement(false, "Waiting"),
            Some(2),
            Timestamp::MAX
        ));
        assert_eq!(conditions, before);
        assert_eq!(failing_reason(&conditions, "Ready"), Some("Waiting"));
    }

    #[test]
    fn only_what_became_wrong_is_news() {
        let with = |kind, holds, words: &str| Statement {
            kind,
            holds,
            reason: "R",
            message: words.to_owned(),
        };
        let mut conditions = Vec::new();
        for known in [
            with("A", false, "old"),
            with("B", false, "old"),
            with("C", true, ""),
        ] {
            state(&mut conditions, known, None, Timestamp::UNIX_EPOCH);
        }
        let now = [
            with("A", false, "old"),
            with("B", false, "new"),
            with("C", false, "broken"),
            with("D", false, "never said"),
            with("E", true, "fine"),
        ];
        let news: Vec<&str> = newly_wrong(&conditions, &now).map(|s| s.kind).collect();
        assert_eq!(news, ["B", "C", "D"]);
    }

    #[test]
    fn a_new_reason_keeps_the_time_and_a_new_truth_moves_it() {
        let mut conditions = Vec::new();
        let (early, late) = (Timestamp::UNIX_EPOCH, Timestamp::from_second(60).unwrap());
        state(&mut conditions, statement(false, "A"), None, early);
        state(&mut conditions, statement(false, "B"), None, late);
        assert_eq!(conditions[0].last_transition_time.0, early);
        state(&mut conditions, statement(true, "C"), None, late);
        assert_eq!(conditions[0].last_transition_time.0, late);
        assert_eq!(failing_reason(&conditions, "Ready"), None);
    }
}
