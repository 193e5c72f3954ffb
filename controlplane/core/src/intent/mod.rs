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

mod decide;
mod evidence;
mod refusal;
#[cfg(test)]
mod tests;

pub use decide::{Resolution, Step, next, resolve};
pub use evidence::{Evidence, Lookup, Refused, Reply};
pub use refusal::{backoff, failure};

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

/// The latest moment that a recorded time may mean: the API server keeps whole seconds, rounded down.
pub fn at_the_latest(recorded: Timestamp) -> Timestamp {
    recorded + Duration::from_secs(1)
}

/// Time from `from` to `to`, zero when the clock went back.
pub fn elapsed(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}
