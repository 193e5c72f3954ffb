//! What this process knows of one operation; nothing of it needs to survive the process.

use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::Timestamp;
use terway_crds::Operation;

use super::index;
use crate::intent::{Evidence, Refusal};

/// The cloud surely did not do it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub refusal: Refusal,
    /// A limit of the instance: the record and the cloud disagree about what it has.
    pub limit: bool,
    /// The object of the request does not exist.
    pub not_found: bool,
}

/// The answer to the last request of an operation that is not a Create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// These addresses were assigned, now or by an earlier request with the same token.
    Assigned(Vec<IpAddr>),
    /// Accepted: an attach that shows in time, or addresses that are given back.
    Accepted,
    Refused(Refused),
    /// Nobody knows.
    Unknown,
    /// The request was not looked at.
    Throttled,
    /// The token was used with other parameters.
    TokenReused,
}

/// What is known of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Attempt, whether it may have been sent, answers to a Create, and searches.
    pub evidence: Evidence,
    pub reply: Option<Reply>,
    /// A call for it is under way: nothing is decided about it before that has ended.
    pub in_flight: bool,
    /// When the last request was accepted, or may have been.
    pub sent: Option<Timestamp>,
    /// Not to be sent again before.
    pub not_before: Option<Timestamp>,
}

impl Known {
    /// What is known of an attempt read from the API server.
    pub fn inherited(attempt: i32) -> Self {
        Self::of(Evidence::inherited(attempt))
    }

    /// What is known of an attempt that this process has just written down.
    pub fn fresh(attempt: i32) -> Self {
        Self::of(Evidence::fresh(attempt))
    }

    fn of(evidence: Evidence) -> Self {
        Self {
            evidence,
            reply: None,
            in_flight: false,
            sent: None,
            not_before: None,
        }
    }

    /// The request is about to be sent.
    pub fn sending(&mut self) {
        self.evidence.sending();
        self.reply = None;
        self.in_flight = true;
    }

    /// The answer has come.
    pub fn replied(&mut self, reply: Reply, at: Timestamp) {
        if matches!(reply, Reply::Accepted | Reply::Assigned(_) | Reply::Unknown) {
            self.sent = Some(at);
        }
        self.evidence.lookups.clear();
        self.reply = Some(reply);
        self.in_flight = false;
    }
}

/// Operations were written: of a new step of one it is known that it was not sent; of those that are over
/// nothing needs to be known.
pub fn remember(known: &mut BTreeMap<String, Known>, before: &[Operation], after: &[Operation]) {
    for operation in after {
        let same = |o: &Operation| {
            index(o) == index(operation) && o.attempt == operation.attempt && o.kind == operation.kind
        };
        if !before.iter().any(same) {
            known.insert(index(operation).to_owned(), Known::fresh(operation.attempt));
        }
    }
    known.retain(|name, _| after.iter().any(|operation| index(operation) == name));
}
