//! Decides the next step of an attempt, while it is wanted and when it is no longer wanted.

use std::time::Duration;

use jiff::Timestamp;

use super::{Evidence, Limits, Refused, Reply, elapsed};
use crate::cloud::CloudEni;

/// The next step of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Send the request, or send it again, with the same token and parameters.
    Send,
    /// Search for an ENI with the attempt's tag.
    LookUpByTag,
    /// Search for the ENI by its id.
    LookUpById(String),
    /// Record this ENI as the result of the attempt.
    Record(Box<CloudEni>),
    /// The attempt has made nothing and never will. Begin the next attempt with a new choice.
    NextAttempt(Option<Refused>),
    /// Look again after this time.
    Wait(Duration),
}

/// Decides about an attempt that is wanted.
pub fn next(started_at: Option<Timestamp>, evidence: &Evidence, now: Timestamp, limits: &Limits) -> Step {
    match &evidence.reply {
        Some(Reply::Created(eni)) if !evidence.replayed => Step::Record(eni.clone()),
        // An old token may name an ENI that was deleted meanwhile.
        Some(Reply::Created(eni)) => match search(evidence, now, limits) {
            Search::Found(found) => Step::Record(found),
            Search::Again => Step::LookUpById(eni.id.clone()),
            Search::Wait(time) => Step::Wait(time),
            Search::Nothing => Step::NextAttempt(None),
        },
        Some(Reply::Refused(refused)) if !evidence.replayed => Step::NextAttempt(Some(refused.clone())),
        // The refusal is about the last request only. An earlier request may still have been under way.
        Some(Reply::Refused(refused)) => match search_by_tag(evidence, now, limits) {
            Step::NextAttempt(_) => Step::NextAttempt(Some(refused.clone())),
            other => other,
        },
        Some(Reply::TokenReused) => search_by_tag(evidence, now, limits),
        Some(Reply::Unknown | Reply::Busy | Reply::Accepted | Reply::Assigned(_)) | None => {
            let age = started_at.map(|started| elapsed(started, now));
            let token_is_known = age.is_some_and(|age| age < limits.token_life);
            if token_is_known || !evidence.may_have_been_sent {
                Step::Send
            } else {
                search_by_tag(evidence, now, limits)
            }
        }
    }
}

/// The possible result of an attempt that is no longer wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolution {
    /// The attempt certainly made nothing.
    Nothing,
    /// The attempt made this ENI, which has to be deleted.
    Eni(Box<CloudEni>),
    /// The result is unknown. Search by tag.
    LookUpByTag,
    /// The result is unknown. Look again after this time.
    Wait(Duration),
}

/// Decides about an attempt that is no longer wanted. `quiet_since` is the last moment at which a request of this
/// attempt can have been sent: the beginning of this term of leadership, or later.
pub fn resolve(evidence: &Evidence, quiet_since: Timestamp, now: Timestamp, limits: &Limits) -> Resolution {
    if !evidence.may_have_been_sent {
        return Resolution::Nothing;
    }
    match &evidence.reply {
        Some(Reply::Created(eni)) => return Resolution::Eni(eni.clone()),
        // A refusal is final only if there was no earlier request with the same token.
        Some(Reply::Refused(_)) if !evidence.replayed => return Resolution::Nothing,
        Some(
            Reply::Refused(_)
            | Reply::Unknown
            | Reply::Busy
            | Reply::Accepted
            | Reply::Assigned(_)
            | Reply::TokenReused,
        )
        | None => {}
    }
    let quiet = elapsed(quiet_since, now);
    if quiet < limits.consistency {
        return Resolution::Wait(limits.consistency - quiet);
    }
    match search(evidence, now, limits) {
        Search::Found(eni) => Resolution::Eni(eni),
        Search::Again => Resolution::LookUpByTag,
        Search::Wait(time) => Resolution::Wait(time),
        Search::Nothing => Resolution::Nothing,
    }
}

fn search_by_tag(evidence: &Evidence, now: Timestamp, limits: &Limits) -> Step {
    match search(evidence, now, limits) {
        Search::Found(eni) => Step::Record(eni),
        Search::Again => Step::LookUpByTag,
        Search::Wait(time) => Step::Wait(time),
        Search::Nothing => Step::NextAttempt(None),
    }
}

enum Search {
    Found(Box<CloudEni>),
    Again,
    Wait(Duration),
    Nothing,
}

/// Searches for the ENI. Only two complete answers, a consistency window apart, prove that there is none.
fn search(evidence: &Evidence, now: Timestamp, limits: &Limits) -> Search {
    if let Some(found) = evidence.lookups.iter().find_map(|lookup| lookup.found.clone()) {
        return Search::Found(found);
    }
    match evidence.lookups.as_slice() {
        [] => Search::Again,
        [first, .., last] if elapsed(first.at, last.at) >= limits.consistency => Search::Nothing,
        [first, ..] => {
            let waited = elapsed(first.at, now);
            match limits.consistency.checked_sub(waited) {
                Some(left) if !left.is_zero() => Search::Wait(left),
                _ => Search::Again,
            }
        }
    }
}
