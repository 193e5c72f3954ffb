//! The consequences of the cloud's answer to a call on one ENI.

use jiff::Timestamp;

use super::History;

/// A call on one ENI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    Attach,
    Detach,
    Delete,
}

/// The cloud's answer to a call on one ENI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallAnswer {
    Accepted,
    /// There was no answer, or the answer does not say whether the cloud acted.
    Unknown,
    /// The cloud does not know the ENI.
    NoSuchEni,
    /// Another object that the call names does not exist.
    NotFound,
    /// The ENI is in transition, or in the wrong state.
    Conflict,
    /// The cloud never accepts this call as it is.
    Invalid,
    /// The cloud refused for a reason that is not about the ENI: a limit, a permission, a quota.
    Refused,
}

/// What to do after the answer to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterCall {
    /// Wait until the state of the ENI shows the outcome.
    AwaitOutcome,
    /// Plan again at once.
    PlanAgain,
    /// Report the failure and plan again later.
    Fail,
    /// Report the failure, let the poller look at the ENI, and plan again later.
    FailAndLook,
    /// As `FailAndLook`, and drop the last observation of the ENI, on which the wrong call was planned.
    FailAndLookAnew,
}

/// The history after the answer, and the next step. `at` is the time of the call.
pub fn answered(call: Call, answer: CallAnswer, before: &History, at: Timestamp) -> (History, AfterCall) {
    use CallAnswer::{Accepted, Conflict, Invalid, NoSuchEni, NotFound, Refused, Unknown};
    let unchanged = before.clone();
    match (call, answer) {
        // The state of the ENI shows the outcome, also if the answer does not.
        (_, Accepted | Unknown) => (before.with_call(call, at), AfterCall::AwaitOutcome),
        // The ENI is in transition, or does not show yet. Look at it before the next try.
        (Call::Attach, Conflict | NotFound | NoSuchEni) => {
            let history = History {
                made_here: false,
                ..unchanged
            };
            (history, AfterCall::FailAndLook)
        }
        // An ENI that the cloud does not know needs no wait.
        (Call::Detach | Call::Delete, NoSuchEni) => {
            let history = History {
                not_found: true,
                ..before.without_attach(call)
            };
            (history, AfterCall::PlanAgain)
        }
        // The ENI may be detached already, or its instance may be gone.
        (Call::Detach | Call::Delete, Conflict | NotFound | Invalid) => {
            (History::default(), AfterCall::FailAndLookAnew)
        }
        (_, Refused) | (Call::Attach, Invalid) => (unchanged, AfterCall::Fail),
    }
}

impl History {
    /// The history with a call that may have been done.
    fn with_call(&self, call: Call, at: Timestamp) -> Self {
        let at = Some(at);
        let before = self.without_attach(call);
        match call {
            Call::Attach => Self {
                attach_sent: at,
                detach_sent: None,
                ..before
            },
            Call::Detach => Self {
                detach_sent: at,
                ..before
            },
            Call::Delete => Self {
                delete_sent: at,
                ..before
            },
        }
    }

    /// The history after a detach, which ends earlier attaches.
    fn without_attach(&self, call: Call) -> Self {
        match call {
            Call::Detach => Self {
                made_here: false,
                attach_sent: None,
                ..self.clone()
            },
            Call::Attach | Call::Delete => self.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALLS: [Call; 3] = [Call::Attach, Call::Detach, Call::Delete];

    fn made_here() -> History {
        History {
            made_here: true,
            ..History::default()
        }
    }

    fn at() -> Timestamp {
        Timestamp::from_second(7).unwrap()
    }

    fn after(call: Call, answer: CallAnswer) -> (History, AfterCall) {
        answered(call, answer, &made_here(), at())
    }

    #[test]
    fn a_call_that_may_have_been_done_is_remembered_with_its_time() {
        for answer in [CallAnswer::Accepted, CallAnswer::Unknown] {
            let sent = |call| {
                let (history, next) = after(call, answer);
                assert_eq!(next, AfterCall::AwaitOutcome);
                (history.attach_sent, history.detach_sent, history.delete_sent)
            };
            assert_eq!(sent(Call::Attach), (Some(at()), None, None));
            assert_eq!(sent(Call::Detach), (None, Some(at()), None));
            assert_eq!(sent(Call::Delete), (None, None, Some(at())));
        }
    }

    #[test]
    fn an_attach_and_a_detach_end_what_was_known_of_each_other() {
        let (attached, _) = after(Call::Attach, CallAnswer::Accepted);
        let (detached, _) = answered(Call::Detach, CallAnswer::Accepted, &attached, at());
        assert_eq!((detached.made_here, detached.attach_sent), (false, None));
        let (attached, _) = answered(Call::Attach, CallAnswer::Accepted, &detached, at());
        assert_eq!((attached.attach_sent, attached.detach_sent), (Some(at()), None));
    }

    #[test]
    fn an_eni_that_the_cloud_does_not_know_needs_no_release() {
        for call in [Call::Detach, Call::Delete] {
            let (history, next) = after(call, CallAnswer::NoSuchEni);
            assert!(history.not_found);
            assert_eq!(next, AfterCall::PlanAgain);
        }
        // An attach may be quicker than the view that the cloud answers from.
        let (history, next) = after(Call::Attach, CallAnswer::NoSuchEni);
        assert!(!history.not_found);
        assert_eq!(next, AfterCall::FailAndLook);
    }

    #[test]
    fn an_answer_that_contradicts_what_was_seen_has_the_eni_looked_at() {
        for answer in [CallAnswer::Conflict, CallAnswer::NotFound] {
            let (history, next) = after(Call::Attach, answer);
            assert_eq!((history.made_here, next), (false, AfterCall::FailAndLook));
        }
        for call in [Call::Detach, Call::Delete] {
            for answer in [CallAnswer::Conflict, CallAnswer::NotFound, CallAnswer::Invalid] {
                assert_eq!(
                    after(call, answer),
                    (History::default(), AfterCall::FailAndLookAnew)
                );
            }
        }
    }

    #[test]
    fn a_refusal_that_says_nothing_of_the_eni_changes_nothing() {
        for call in CALLS {
            assert_eq!(after(call, CallAnswer::Refused), (made_here(), AfterCall::Fail));
        }
        assert_eq!(
            after(Call::Attach, CallAnswer::Invalid),
            (made_here(), AfterCall::Fail)
        );
    }
}
