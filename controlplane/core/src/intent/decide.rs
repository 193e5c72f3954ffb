//! What to do about an attempt: while it is wanted, and when it is not any more.

use std::time::Duration;

use jiff::Timestamp;

use super::{Evidence, Limits, Refused, Reply, elapsed};
use crate::cloud::CloudEni;

/// What to do about an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Send the request (again), with the same token and parameters.
    Send,
    /// Search for an ENI with the attempt's tag.
    LookUpByTag,
    /// Search for the ENI by its id.
    LookUpById(String),
    /// This is the ENI: write it down.
    Record(Box<CloudEni>),
    /// The attempt made nothing and never will: choose again and count on.
    NextAttempt(Option<Refused>),
    /// Look again after this time.
    Wait(Duration),
}

/// Decides about an attempt that is wanted.
pub fn next(started_at: Option<Timestamp>, evidence: &Evidence, now: Timestamp, limits: &Limits) -> Step {
    match &evidence.reply {
        Some(Reply::Created(eni)) if !evidence.replayed => Step::Record(eni.clone()),
        // An old token can name an ENI that was deleted in the meantime.
        Some(Reply::Created(eni)) => match search(evidence, now, limits) {
            Search::Found(found) => Step::Record(found),
            Search::Again => Step::LookUpById(eni.id.clone()),
            Search::Wait(time) => Step::Wait(time),
            Search::Nothing => Step::NextAttempt(None),
        },
        Some(Reply::Refused(refused)) if !evidence.replayed => Step::NextAttempt(Some(refused.clone())),
        // The refusal speaks of the last request only; an earlier one may still have been under way.
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

/// What an attempt that is no longer wanted may have left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolution {
    /// Nothing, for certain.
    Nothing,
    /// This ENI: somebody has to delete it.
    Eni(Box<CloudEni>),
    /// Not known yet: search by tag.
    LookUpByTag,
    /// Not known yet: look again after this time.
    Wait(Duration),
}

/// Decides about an attempt that is no longer wanted. `quiet_since` is when the last request of
/// this attempt can have been under way: the begin of this term of leadership, or later.
pub fn resolve(evidence: &Evidence, quiet_since: Timestamp, now: Timestamp, limits: &Limits) -> Resolution {
    if !evidence.may_have_been_sent {
        return Resolution::Nothing;
    }
    match &evidence.reply {
        Some(Reply::Created(eni)) => return Resolution::Eni(eni.clone()),
        // A refusal of the latest request speaks for earlier ones with the same token only if
        // there were none.
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

/// Two complete answers, a consistency window apart, must agree that there is nothing.
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
