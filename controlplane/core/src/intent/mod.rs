//! Intents: making something in the cloud exactly once, whatever the cloud answers.
//!
//! The record in a custom resource contains the request (parameters, attempt, time). [`Evidence`] is what this process
//! has learned since. [`next`] decides the next step from both. An attempt always has the same ClientToken, so that a
//! repeated request gives the same ENI. An attempt is given up only when it has certainly made nothing.

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
    /// The intent within the object: the index of an allocation, or the id of an operation.
    pub index: String,
    /// Number of the attempt, from 1.
    pub attempt: i32,
}

impl IntentId {
    /// The ClientToken of this attempt: 64 ASCII characters, the largest length (ECS API page CreateNetworkInterface).
    pub fn client_token(&self) -> String {
        let digest = Sha256::digest(self.tag_value().as_bytes());
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Value of the tag of every ENI that this attempt makes.
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

/// The product's own tags of an ENI. The caller adds the user's tags.
pub fn own_tags(cluster_id: &str) -> BTreeMap<String, String> {
    BTreeMap::from([
        (tag::CLUSTER.to_owned(), cluster_id.to_owned()),
        (tag::CREATOR.to_owned(), tag::CREATOR_CONTROLLER.to_owned()),
    ])
}

/// Times that the decisions about an intent depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// For this long after the beginning of an attempt the cloud certainly knows its token (unverified: the cloud
    /// documents no time). A value that is too small costs two searches; a value that is too large costs an ENI.
    pub token_life: Duration,
    /// For this long a Describe may not show an act of the cloud (unverified).
    pub consistency: Duration,
    /// For this long after an accepted call an ENI may show its old state (unverified). The call is repeated only
    /// later.
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

/// The latest moment that a recorded time may stand for. The API server keeps whole seconds, rounded down
/// (`metav1.Time`).
pub fn at_the_latest(recorded: Timestamp) -> Timestamp {
    let second = Duration::from_secs(1);
    recorded.saturating_add(second).unwrap_or(Timestamp::MAX)
}

/// Time from `from` to `to`; zero if the clock went back.
pub fn elapsed(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}
