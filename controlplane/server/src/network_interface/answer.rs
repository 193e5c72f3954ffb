//! Acts on the cloud's answer to a call on an ENI.

use jiff::Timestamp;
use terway_cloud::{CloudError, ErrorClass, Expect};
use terway_core::network_interface::{AfterCall, Call, CallAnswer, answered};
use terway_crds::names::{action, event};

use super::NetworkInterfaceController;
use super::observe::ObservedEni;
use crate::error::{ReconcileError, chain};
use crate::events::{EventContent, Severity, reference};
use crate::runtime::{Key, Next};

/// Notes the answer, reports a refusal, and returns when to look again. `None`: plan again at once. `at` is the time of
/// the call.
pub fn after_call(
    controller: &NetworkInterfaceController,
    observed: &ObservedEni,
    call: Call,
    answer: Result<(), CloudError>,
    at: Timestamp,
) -> Result<Option<Next>, ReconcileError> {
    let id = observed.id();
    let meaning = classify(&answer);
    if call == Call::Attach && matches!(meaning, CallAnswer::NoSuchEni | CallAnswer::NotFound) {
        // The trunk may be the one that does not exist. The node's ENIs are listed.
        let node = Key::cluster(observed.node());
        controller.suspects.note(&node, &controller.nodes);
    }
    let (history, next) = answered(call, meaning, &observed.history, at);
    if history != observed.history {
        controller.remember(id, history);
    }
    if call == Call::Attach && is_answer(&answer) {
        controller.fresh.attach_answered(id);
    }
    let look = wanted(call);
    match (next, answer) {
        (AfterCall::PlanAgain, _) => Ok(None),
        (AfterCall::Fail, Err(error)) => fail(controller, observed, call, error),
        (AfterCall::FailAndLook, Err(error)) => {
            controller.cloud.watch().look(id, look);
            fail(controller, observed, call, error)
        }
        (AfterCall::FailAndLookAnew, Err(error)) => {
            controller.cloud.watch().forget(id);
            controller.cloud.watch().look(id, Expect::Free);
            fail(controller, observed, call, error)
        }
        (AfterCall::AwaitOutcome, _)
        // A successful answer never leads to a failure.
        | (AfterCall::Fail | AfterCall::FailAndLook | AfterCall::FailAndLookAnew, Ok(())) => {
            controller.cloud.watch().expect(id, look);
            // The poller tells of a change. Only the time shows that a call was lost.
            Ok(Some(Next::After(controller.limits.grace)))
        }
    }
}

/// Whether the cloud has dealt with the call, or may have. A call that was held back or throttled says nothing about
/// the ENI, and new ENIs wait as long as calls of its kind do not get through.
fn is_answer(answer: &Result<(), CloudError>) -> bool {
    match answer {
        Ok(()) => true,
        Err(error) if error.was_not_sent() => false,
        Err(error) => !matches!(
            error.class,
            ErrorClass::Throttled | ErrorClass::Forbidden | ErrorClass::Fenced
        ),
    }
}

fn classify(answer: &Result<(), CloudError>) -> CallAnswer {
    let Err(error) = answer else {
        return CallAnswer::Accepted;
    };
    match error.class {
        ErrorClass::Unknown => CallAnswer::Unknown,
        ErrorClass::NotFound if error.code.to_ascii_lowercase().contains("eni") => CallAnswer::NoSuchEni,
        ErrorClass::NotFound => CallAnswer::NotFound,
        ErrorClass::Conflict => CallAnswer::Conflict,
        ErrorClass::Invalid => CallAnswer::Invalid,
        ErrorClass::Throttled
        | ErrorClass::Exhausted
        | ErrorClass::Limit
        | ErrorClass::Forbidden
        | ErrorClass::TokenReused
        | ErrorClass::Fenced => CallAnswer::Refused,
    }
}

/// The state that a call leads to.
fn wanted(call: Call) -> Expect {
    match call {
        Call::Attach => Expect::Attached,
        Call::Detach => Expect::Free,
        Call::Delete => Expect::Gone,
    }
}

/// Reports a refusal by an event on the record, which people find by the pod's name, or on the ENI's object if there is
/// no record.
fn fail(
    controller: &NetworkInterfaceController,
    observed: &ObservedEni,
    call: Call,
    error: CloudError,
) -> Result<Option<Next>, ReconcileError> {
    // The events about the cloud report once, for all ENIs, that calls are held back.
    if !error.was_not_sent() && error.class != ErrorClass::Throttled {
        let news = news(call, &error);
        let events = &controller.events;
        let interface = reference(&*observed.interface);
        match &observed.owner {
            Some(record) => events.tell(reference(&**record), Some(interface), news),
            None => events.tell(interface, None, news),
        }
    }
    Err(error.into())
}

fn news(call: Call, error: &CloudError) -> EventContent {
    let (reason, action) = match call {
        Call::Attach => (event::ATTACH_ENI_FAILED, action::ATTACH_ENI),
        Call::Detach => (event::DETACH_ENI_FAILED, action::DETACH_ENI),
        Call::Delete => (event::DELETE_ENI_FAILED, action::DELETE_ENI),
    };
    // The note has no request id, because the id would make every repetition look like news.
    let note = match error.code.is_empty() {
        true => chain(error),
        false => format!("{}: {}: {}", error.action, error.code, error.message),
    };
    EventContent {
        severity: Severity::Warning,
        reason,
        action,
        note,
    }
}
