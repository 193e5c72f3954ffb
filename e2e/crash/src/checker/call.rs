//! One call of the control plane, as the cloud's log tells it.

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;

/// The intent tag of an ENI: the UID of an object, the number of its intent, and the attempt.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Intent {
    pub owner: String,
    pub index: String,
    pub attempt: String,
}

impl Intent {
    /// Reads `owner/index/attempt`.
    pub fn parse(tag: &str) -> Option<Intent> {
        let (rest, attempt) = tag.rsplit_once('/')?;
        let (owner, index) = rest.split_once('/')?;
        Some(Intent {
            owner: owner.to_owned(),
            index: index.to_owned(),
            attempt: attempt.to_owned(),
        })
    }
}

impl fmt::Display for Intent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.owner, self.index, self.attempt)
    }
}

/// One call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    pub seq: u64,
    /// When it reached the cloud.
    pub arrived: Timestamp,
    /// When the cloud acted on it.
    pub acted: Timestamp,
    pub action: String,
    /// Who called: the User-Agent, which holds the identity of the replica.
    pub caller: String,
    /// ENI it named or made.
    pub eni: Option<String>,
    /// Intent that a Create carries in its tags.
    pub intent: Option<Intent>,
    pub token: Option<String>,
    /// Addresses that an Unassign gives back.
    pub addresses: BTreeSet<String>,
    /// `OK`, an error code, `reset`.
    pub outcome: String,
}

impl Call {
    /// Whether the cloud did it.
    pub fn done(&self) -> bool {
        self.outcome == "OK"
    }

    /// Whether it can change the cloud.
    pub fn mutates(&self) -> bool {
        !is_look(&self.action)
    }

    /// Whether it attaches this ENI.
    pub fn attaches(&self, eni: &str) -> bool {
        self.action.starts_with("Attach") && self.eni.as_deref() == Some(eni)
    }

    /// Whether it gives back single addresses, and leaves the ENI where it is.
    pub fn unassigns(&self) -> bool {
        self.action.starts_with("Unassign")
    }

    /// Whether it takes something away: an ENI from its place or from the world, an address from its ENI.
    pub fn takes_away(&self) -> bool {
        let action = self.action.as_str();
        action.starts_with("Detach") || action.starts_with("Delete") || self.unassigns()
    }
}

/// Whether an action only looks.
pub fn is_look(action: &str) -> bool {
    action.starts_with("Describe") || action.starts_with("List")
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let eni = self.eni.as_deref().unwrap_or("-");
        write!(
            f,
            "call {} {} {eni} at {}: {}",
            self.seq, self.action, self.arrived, self.outcome
        )
    }
}
