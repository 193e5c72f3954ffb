//! The evidence about an attempt that this process has, and the meaning of the cloud's replies.

use std::net::IpAddr;

use jiff::Timestamp;

use crate::cloud::{CloudEni, ErrorClass};

/// The cloud's reply to the last request of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The ENI was created, by this request or by an earlier one with the same token.
    Created(Box<CloudEni>),
    /// These addresses were assigned, by this request or by an earlier one with the same token.
    Assigned(Vec<IpAddr>),
    /// The request was accepted: an attach that will show later, or addresses that are given back.
    Accepted,
    /// The last request certainly did nothing.
    Refused(Refused),
    /// The outcome is unknown: a timeout, a 5xx, a reset connection, or an empty id.
    Unknown,
    /// The cloud did not process the request. The same request may be sent again.
    Busy,
    /// The token was used with other parameters.
    TokenReused,
}

/// The refusal of a call, in the cloud's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub class: ErrorClass,
    pub code: String,
    pub message: String,
    /// Empty when the cloud gave none.
    pub request_id: String,
}

impl Refused {
    /// Whether the vSwitch has no free address. Another vSwitch may have one.
    pub fn is_exhausted(&self) -> bool {
        self.class == ErrorClass::Exhausted
    }

    /// Whether a limit of the instance is reached. Then the record and the cloud differ about the instance's ENIs.
    pub fn is_limit(&self) -> bool {
        self.class == ErrorClass::Limit
    }

    /// Whether the object of the request does not exist.
    pub fn is_not_found(&self) -> bool {
        self.class == ErrorClass::NotFound
    }
}

impl Reply {
    /// The reply of a call that was sent and failed.
    pub fn to_failure(refused: Refused) -> Self {
        match refused.class {
            ErrorClass::Unknown => Reply::Unknown,
            ErrorClass::Throttled | ErrorClass::Fenced | ErrorClass::Conflict => Reply::Busy,
            ErrorClass::TokenReused => Reply::TokenReused,
            ErrorClass::NotFound
            | ErrorClass::Exhausted
            | ErrorClass::Limit
            | ErrorClass::Invalid
            | ErrorClass::Forbidden => Reply::Refused(refused),
        }
    }

    /// Whether the same request has to be sent again.
    pub fn asks_again(&self) -> bool {
        matches!(self, Reply::Unknown | Reply::Busy)
    }

    /// Whether the cloud acted on the request, or may have acted.
    fn may_be_done(&self) -> bool {
        matches!(
            self,
            Reply::Created(_) | Reply::Assigned(_) | Reply::Accepted | Reply::Unknown
        )
    }
}

/// A complete answer to a search for the ENI of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    pub at: Timestamp,
    pub found: Option<Box<CloudEni>>,
}

/// The evidence of this process about one attempt. It does not have to survive the process. The default is the evidence
/// of a process that has just started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    pub attempt: i32,
    /// False only if this process has recorded the attempt and has not sent it yet.
    pub may_have_been_sent: bool,
    /// Whether `reply` may describe the result of an earlier request, which may have been undone since.
    pub replayed: bool,
    pub reply: Option<Reply>,
    /// Answers of searches, oldest first: by tag, or by id once a reply named the ENI.
    pub lookups: Vec<Lookup>,
    /// Whether a call is under way. Nothing is decided about the attempt before the call has ended.
    pub in_flight: bool,
    /// When the last request was accepted or may have been accepted.
    pub sent: Option<Timestamp>,
    /// The request is not sent again before this time.
    pub not_before: Option<Timestamp>,
    /// Calls in a row that failed and have to be repeated.
    pub failures: u32,
}

impl Evidence {
    /// The evidence about an attempt that was read from the API server.
    pub fn inherited(attempt: i32) -> Self {
        Self {
            attempt,
            may_have_been_sent: true,
            replayed: false,
            reply: None,
            lookups: Vec::new(),
            in_flight: false,
            sent: None,
            not_before: None,
            failures: 0,
        }
    }

    /// The evidence about an attempt that this process has just recorded.
    pub fn fresh(attempt: i32) -> Self {
        Self {
            may_have_been_sent: false,
            ..Self::inherited(attempt)
        }
    }

    /// Notes that the request is about to be sent.
    pub fn sending(&mut self) {
        self.replayed = self.may_have_been_sent;
        self.may_have_been_sent = true;
        self.reply = None;
        self.in_flight = true;
    }

    /// Notes a reply. If the same request has to be sent again, it waits until `not_before`.
    pub fn replied(&mut self, reply: Reply, at: Timestamp, not_before: Option<Timestamp>) {
        if reply.may_be_done() {
            self.sent = Some(at);
        }
        self.reply = Some(reply);
        self.lookups.clear();
        self.in_flight = false;
        self.not_before = not_before;
        self.failures = match not_before {
            Some(_) => self.failures.saturating_add(1),
            None => 0,
        };
    }

    /// The evidence after a call without effect: the call was not sent, or a search had no answer.
    #[must_use]
    pub fn put_off(&self, not_before: Timestamp) -> Self {
        Self {
            in_flight: false,
            not_before: Some(not_before),
            failures: self.failures.saturating_add(1),
            ..self.clone()
        }
    }

    /// Notes the answer of a search.
    pub fn looked_up(&mut self, lookup: Lookup) {
        self.lookups.push(lookup);
        self.in_flight = false;
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::cloud_eni;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn refused(class: ErrorClass) -> Refused {
        Refused {
            class,
            code: "Code".into(),
            message: "words".into(),
            request_id: "r-1".into(),
        }
    }

    #[test]
    fn each_class_of_failure_has_one_meaning_for_an_attempt() {
        for (class, meaning) in [
            (ErrorClass::Unknown, Reply::Unknown),
            (ErrorClass::Throttled, Reply::Busy),
            (ErrorClass::Conflict, Reply::Busy),
            (ErrorClass::Fenced, Reply::Busy),
            (ErrorClass::TokenReused, Reply::TokenReused),
        ] {
            assert_eq!(Reply::to_failure(refused(class)), meaning, "{class:?}");
        }
        for class in [
            ErrorClass::NotFound,
            ErrorClass::Exhausted,
            ErrorClass::Limit,
            ErrorClass::Invalid,
            ErrorClass::Forbidden,
        ] {
            let failure = refused(class);
            let told = (failure.is_not_found(), failure.is_exhausted(), failure.is_limit());
            let is = |other| class == other;
            let expected = (
                is(ErrorClass::NotFound),
                is(ErrorClass::Exhausted),
                is(ErrorClass::Limit),
            );
            assert_eq!(told, expected, "{class:?}");
            assert_eq!(
                Reply::to_failure(failure.clone()),
                Reply::Refused(failure),
                "{class:?}"
            );
        }
    }

    #[test]
    fn what_may_have_been_done_is_sent_again_only_with_the_same_token() {
        for (reply, again, sent) in [
            (Reply::Created(Box::new(cloud_eni("eni-1"))), false, true),
            (Reply::Assigned(vec![]), false, true),
            (Reply::Accepted, false, true),
            (Reply::Unknown, true, true),
            (Reply::Busy, true, false),
            (Reply::TokenReused, false, false),
            (Reply::Refused(refused(ErrorClass::Invalid)), false, false),
        ] {
            assert_eq!(reply.asks_again(), again, "{reply:?}");
            let mut evidence = Evidence::fresh(1);
            evidence.sending();
            assert!(evidence.in_flight && evidence.may_have_been_sent && !evidence.replayed);
            evidence.replied(reply.clone(), NOW, None);
            assert_eq!(evidence.sent.is_some(), sent, "{reply:?}");
            assert!(!evidence.in_flight && evidence.may_have_been_sent);
            evidence.sending();
            assert!(evidence.replayed && evidence.reply.is_none(), "{reply:?}");
        }
    }

    #[test]
    fn a_request_that_was_not_sent_leaves_what_was_known_and_a_pause() {
        let before = Evidence::fresh(3);
        let mut evidence = before.clone();
        evidence.sending();
        evidence = before.put_off(NOW);
        let expected = Evidence {
            not_before: Some(NOW),
            failures: 1,
            ..Evidence::fresh(3)
        };
        assert_eq!(evidence, expected);
    }

    #[test]
    fn a_reply_makes_earlier_searches_void_and_a_search_ends_the_call() {
        let lookup = Lookup { at: NOW, found: None };
        let mut evidence = Evidence::inherited(1);
        evidence.in_flight = true;
        evidence.looked_up(lookup.clone());
        assert_eq!(
            (evidence.lookups.as_slice(), evidence.in_flight),
            (&[lookup][..], false)
        );
        evidence.sending();
        evidence.replied(Reply::Unknown, NOW, Some(NOW));
        assert_eq!((evidence.lookups.len(), evidence.not_before), (0, Some(NOW)));
    }

    #[test]
    fn failures_in_a_row_are_counted_until_something_succeeds() {
        let mut evidence = Evidence::fresh(1);
        for number in 1..=3 {
            evidence.sending();
            evidence.replied(Reply::Unknown, NOW, Some(NOW));
            assert_eq!(evidence.failures, number);
        }
        assert_eq!(evidence.put_off(NOW).failures, 4);
        let mut found = evidence.clone();
        found.looked_up(Lookup { at: NOW, found: None });
        evidence.replied(Reply::Accepted, NOW, None);
        assert_eq!((evidence.failures, found.failures), (0, 0));
    }
}
