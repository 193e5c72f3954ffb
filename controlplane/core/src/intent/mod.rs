//! Intents: making something in the cloud exactly once, whatever the cloud answers.
//!
//! The record in a custom resource says what is asked for (parameters, attempt, time); what this
//! process has learned since is [`Evidence`]. From both, [`next`] says what to do. The token of an
//! attempt is always the same, so that asking again gives the same ENI, and an attempt is given up
//! only when it is certain that it made nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use terway_crds::names::tag;

use crate::cloud::CloudEni;

#[cfg(test)]
mod tests;

/// Identity of one attempt of one intent.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IntentId {
    /// UID of the object that records the intent.
    pub owner_uid: String,
    /// Which of the object's intents: the index of an allocation, or the kind of an operation.
    pub index: String,
    /// Attempt, from 1.
    pub attempt: i32,
}

impl IntentId {
    /// The ClientToken of this attempt: 64 ASCII characters, the most the cloud takes.
    pub fn client_token(&self) -> String {
        let digest = Sha256::digest(self.tag_value().as_bytes());
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Value of the tag that every ENI made by this attempt carries.
    pub fn tag_value(&self) -> String {
        format!("{}/{}/{}", self.owner_uid, self.index, self.attempt)
    }

    /// Reads the identity back from an ENI's tag.
    pub fn from_tag_value(value: &str) -> Option<Self> {
        let (rest, attempt) = value.rsplit_once('/')?;
        let (owner_uid, index) = rest.split_once('/')?;
        let attempt = attempt.parse().ok()?;
        Some(Self {
            owner_uid: owner_uid.into(),
            index: index.into(),
            attempt,
        })
    }
}

/// The tags an ENI carries for the product's own use; those of the user are added by the caller.
pub fn own_tags(cluster_id: &str) -> BTreeMap<String, String> {
    BTreeMap::from([
        (tag::CLUSTER.to_owned(), cluster_id.to_owned()),
        (tag::CREATOR.to_owned(), tag::CREATOR_CONTROLLER.to_owned()),
    ])
}

/// Times that the decisions about an intent depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// For this long after an attempt began the cloud surely still knows its token. How long it
    /// really does is not documented; a value too small costs two lookups, one too large an ENI.
    pub token_life: Duration,
    /// For this long a Describe may not yet show what has been done.
    pub consistency: Duration,
    /// After an accepted call, the state of an ENI may for this long still say that nothing
    /// happened; only then is the call made again.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            token_life: Duration::from_secs(600),
            consistency: Duration::from_secs(5),
            grace: Duration::from_secs(15),
        }
    }
}

/// What the cloud answered to the last request of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// An ENI, made now or by an earlier request with the same token.
    Created(Box<CloudEni>),
    /// Surely nothing was made.
    Refused(Refusal),
    /// Nobody knows: timeout, 5xx, reset, empty id.
    Unknown,
    /// The request was not looked at; the same one may be sent again.
    Throttled,
    /// The token was used with other parameters.
    TokenReused,
}

/// Why the cloud refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The vSwitch has no address left: another may have.
    pub vswitch_exhausted: bool,
    pub code: String,
    pub message: String,
    pub request_id: String,
}

/// A complete answer to a search for the ENI of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    pub at: Timestamp,
    pub found: Option<Box<CloudEni>>,
}

/// What this process knows about one attempt. Nothing of it needs to survive the process: the
/// default is what a process knows that has just started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    pub attempt: i32,
    /// False only when this very process wrote the attempt and has not sent it yet.
    pub may_have_been_sent: bool,
    /// The ENI of `answer` may have been made by an earlier request, and may be gone since.
    pub replayed: bool,
    pub answer: Option<Answer>,
    /// Searches by tag, oldest first; of the ENI by id once there is an answer with one.
    pub lookups: Vec<Lookup>,
}

impl Evidence {
    /// What is known of an attempt read from the API server.
    pub fn inherited(attempt: i32) -> Self {
        Self {
            attempt,
            may_have_been_sent: true,
            replayed: false,
            answer: None,
            lookups: Vec::new(),
        }
    }

    /// What is known of an attempt that this process has just written down.
    pub fn fresh(attempt: i32) -> Self {
        Self {
            may_have_been_sent: false,
            ..Self::inherited(attempt)
        }
    }

    /// The request is about to be sent.
    pub fn sending(&mut self) {
        self.replayed = self.may_have_been_sent;
        self.may_have_been_sent = true;
        self.answer = None;
    }

    /// The answer has come.
    pub fn answered(&mut self, answer: Answer) {
        self.answer = Some(answer);
        self.lookups.clear();
    }
}

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
    NextAttempt(Option<Refusal>),
    /// Look again after this time.
    Wait(Duration),
}

/// Decides about an attempt that is wanted.
pub fn next(started_at: Option<Timestamp>, evidence: &Evidence, now: Timestamp, limits: &Limits) -> Step {
    match &evidence.answer {
        Some(Answer::Created(eni)) if !evidence.replayed => Step::Record(eni.clone()),
        // An old token can name an ENI that was deleted in the meantime.
        Some(Answer::Created(eni)) => match search(evidence, now, limits) {
            Search::Found(found) => Step::Record(found),
            Search::Again => Step::LookUpById(eni.id.clone()),
            Search::Wait(time) => Step::Wait(time),
            Search::Nothing => Step::NextAttempt(None),
        },
        Some(Answer::Refused(refusal)) if !evidence.replayed => Step::NextAttempt(Some(refusal.clone())),
        // The refusal speaks of the last request only; an earlier one may still have been under way.
        Some(Answer::Refused(refusal)) => match search_by_tag(evidence, now, limits) {
            Step::NextAttempt(_) => Step::NextAttempt(Some(refusal.clone())),
            other => other,
        },
        Some(Answer::TokenReused) => search_by_tag(evidence, now, limits),
        Some(Answer::Unknown | Answer::Throttled) | None => {
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

/// The latest moment that a recorded time may mean: the API server keeps whole seconds, rounded down.
pub fn at_the_latest(recorded: Timestamp) -> Timestamp {
    recorded + Duration::from_secs(1)
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
    match &evidence.answer {
        Some(Answer::Created(eni)) => return Resolution::Eni(eni.clone()),
        // A refusal of the latest request speaks for earlier ones with the same token only if
        // there were none.
        Some(Answer::Refused(_)) if !evidence.replayed => return Resolution::Nothing,
        Some(Answer::Refused(_) | Answer::Unknown | Answer::Throttled | Answer::TokenReused) | None => {}
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

/// Time from `from` to `to`, zero when the clock went back.
pub fn elapsed(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}
