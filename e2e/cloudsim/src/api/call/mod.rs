//! One call from request to answer: authentication, faults and gates, the act, the log entry.

mod request;

use std::sync::Arc;

use hyper::HeaderMap;

use self::request::{Call, pairs};
use super::actions::Action;
use super::answer::Answer;
use super::parameters::Parameters;
use super::signature::{Claim, Signed};
use super::sts::{self, StsAction};
use crate::fault::{Effects, Point};
use crate::gate::{Caller, HeldCall, Then};
use crate::model::error;
use crate::model::{ApiError, Completion, LookBack};
use crate::state::State;

/// A complete HTTP request.
#[derive(Debug)]
pub struct HttpRequest {
    pub method: String,
    pub path: String,
    pub query: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    pub caller: Caller,
}

/// What the caller gets.
#[derive(Debug, PartialEq, Eq)]
pub enum Reply {
    Whole {
        status: u16,
        body: Vec<u8>,
    },
    /// The caller gets the first half of the body, then the connection ends.
    Half {
        status: u16,
        body: Vec<u8>,
    },
    /// The connection is reset.
    Reset,
    /// The caller gets nothing, and the connection stays open.
    Silence,
}

/// The service that carries a call out.
enum Service {
    Cloud(Action),
    Sts {
        action: StsAction,
        /// Access key that signed the call.
        caller: Option<String>,
    },
}

/// Answers a request. It runs to its end also when the caller has gone, as the real cloud does (unverified).
pub async fn answer(state: Arc<State>, request: HttpRequest) -> Reply {
    let query: Parameters = pairs(request.query.as_bytes());
    let call = Call::read(&state, &request, &query);
    let held = call.held(&request.caller);
    let busy = state.clock.busy();
    if hold(&state, &call.arrival.before, &held).await == Then::Drop {
        state
            .log
            .append(call.record(&state, "dropped", None, &Effects::default(), true));
        return Reply::Reset;
    }
    let reply = match admit(&state, &request, &query, &call) {
        Ok(service) => carry_out(&state, &service, &call).await,
        Err(refusal) => {
            state
                .log
                .append(call.record(&state, &refusal.code, None, &Effects::default(), false));
            call.refuse(&refusal)
        }
    };
    let then = hold(&state, &call.arrival.after, &held).await;
    state.rest();
    drop(busy);
    match then {
        Then::Go => reply,
        Then::Drop => Reply::Reset,
    }
}

/// Holds a call at its gates. Virtual time goes on meanwhile.
async fn hold(state: &State, gates: &[u64], call: &HeldCall) -> Then {
    if gates.is_empty() {
        return Then::Go;
    }
    let _away = state.clock.away();
    state.gates.hold(gates, call).await
}

/// The checks before a call reaches its service: region, key and signature, quota.
fn admit(state: &State, request: &HttpRequest, query: &Parameters, call: &Call) -> Result<Service, ApiError> {
    if !matches!(request.method.as_str(), "GET" | "POST") {
        return Err(error::METHOD.because("Only GET and POST are supported."));
    }
    if call.action.is_empty() {
        return Err(error::missing("Action"));
    }
    if call.version.is_empty() {
        return Err(error::missing("Version"));
    }
    let sts = (call.version == sts::VERSION).then(|| StsAction::find(&call.action));
    let signed = !matches!(sts, Some(Ok(action)) if !action.signed());
    let mut caller = None;
    if state.verify_signatures && signed {
        let claim = Claim::read(&Signed {
            method: &request.method,
            path: &request.path,
            query,
            headers: &request.headers,
            body: &request.body,
            parameters: &call.parameters,
        })?;
        state.keys.lock().admit(&claim, state.clock.gateway())?;
        caller = Some(claim.access_key_id);
    }
    let service = match sts {
        Some(action) => Service::Sts {
            action: action?,
            caller,
        },
        None => Service::Cloud(Action::find(&call.action, &call.version)?),
    };
    // Quotas use the machine's time, because virtual time may stand still while callers wait.
    state.quotas.lock().take(&call.action, state.clock.wall())?;
    Ok(service)
}

async fn carry_out(state: &State, service: &Service, call: &Call) -> Reply {
    let effects = state.judge(call.arrival.number, &call.action, &call.enis());
    let (answer_after, done_after) = state.draw_timing(&call.action);
    state.clock.sleep(answer_after + effects.delay.0).await;
    for (cut, outcome, reply) in [
        (effects.reset, "reset", Reply::Reset),
        (effects.silent, "silent", Reply::Silence),
    ] {
        if cut == Some(Point::Before) {
            state
                .log
                .append(call.record(state, outcome, None, &effects, true));
            return reply;
        }
    }
    if let Some((refusal, Point::Before)) = &effects.error {
        state
            .log
            .append(call.record(state, &refusal.code, None, &effects, false));
        return call.refuse(refusal);
    }
    let completion = if effects.stuck {
        Completion::Never
    } else {
        Completion::After(done_after)
    };
    let lost = effects.reset.is_some() || effects.silent.is_some() || effects.half_reply;
    let moment = state.look_back(&effects, state.clock.now());
    let outcome = state.with_cloud(|cloud, now| {
        let outcome = match service {
            Service::Cloud(action) => {
                cloud.look_back(moment);
                let outcome = action.act(cloud, &call.parameters, completion, now);
                cloud.look_back(LookBack::default());
                outcome
            }
            Service::Sts { action, caller } => {
                let now = state.clock.gateway();
                let mut keys = state.keys.lock();
                let outcome = action.act(&mut keys, &call.parameters, caller.as_deref(), now);
                outcome.map(Answer::Sts)
            }
        };
        let (code, eni) = match &outcome {
            Ok(answer) => ("OK", answer.eni_id()),
            Err(refusal) => (&*refusal.code, None),
        };
        state.log.append(call.record(state, code, eni, &effects, lost));
        outcome
    });
    state.changed.notify_one();
    state.clock.sleep(effects.delay_reply.0).await;
    match (effects.reset, effects.silent, &effects.error) {
        (Some(_), _, _) => Reply::Reset,
        (None, Some(_), _) => Reply::Silence,
        (None, None, Some((refusal, _))) => call.refuse(refusal),
        (None, None, None) => call.reply(state, outcome, effects.half_reply),
    }
}
