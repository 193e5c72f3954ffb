//! One call from request to answer: authentication, faults and gates, the act, the log entry.

use std::sync::Arc;

use hyper::HeaderMap;
use jiff::Timestamp;

use super::actions::Action;
use super::answer::{Answer, render_error};
use super::parameters::Parameters;
use super::signature::{Claim, Signed};
use super::sts::{self, StsAction};
use crate::call_log::CallRecord;
use crate::fault::{Effects, Point};
use crate::gate::{Arrival, Caller, HeldCall, Then};
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

/// An HTTP request, read as a call of the API.
struct Call {
    action: String,
    version: String,
    parameters: Parameters,
    host: String,
    request_id: String,
    arrival: Arrival,
    arrived: Timestamp,
    caller: String,
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

impl Call {
    fn read(state: &State, request: &HttpRequest, query: &Parameters) -> Call {
        let header = |name: &str| {
            request
                .headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned)
        };
        let kind = header("content-type").unwrap_or_default();
        let mut parameters = query.clone();
        if kind.starts_with("application/x-www-form-urlencoded") {
            parameters.extend(pairs(&request.body));
        } else if kind.starts_with("application/json")
            && let Ok(body) = serde_json::from_slice(&request.body)
        {
            parameters.extend(Parameters::of_json(&body));
        }
        let action = header("x-acs-action")
            .or_else(|| parameters.text("Action"))
            .unwrap_or_default();
        Call {
            arrival: state.gates.arrive(&action),
            action,
            version: header("x-acs-version")
                .or_else(|| parameters.text("Version"))
                .unwrap_or_default(),
            host: header("host").unwrap_or_default(),
            arrived: state.clock.now(),
            caller: header("user-agent").unwrap_or_default(),
            request_id: state.request_id(),
            parameters,
        }
    }

    /// The ids of the ENIs that the call names.
    fn enis(&self) -> Vec<&str> {
        self.parameters
            .iter()
            .filter(|(name, _)| name.starts_with("NetworkInterfaceId"))
            .map(|(_, value)| value)
            .collect()
    }

    /// The call as a gate shows it.
    fn held(&self, caller: &Caller) -> HeldCall {
        HeldCall {
            call: self.arrival.number,
            action: self.action.clone(),
            request_id: self.request_id.clone(),
            client_token: self.parameters.text("ClientToken"),
            eni_id: self.parameters.text("NetworkInterfaceId"),
            caller_gone: caller.clone(),
        }
    }

    fn refuse(&self, refusal: &ApiError) -> Reply {
        Reply::Whole {
            status: refusal.status,
            body: render_error(refusal, &self.host, &self.request_id),
        }
    }

    fn reply(&self, state: &State, outcome: Result<Answer, ApiError>, half: bool) -> Reply {
        let rendered = outcome.and_then(|answer| {
            answer.render(&state.region, &self.request_id).map_err(|failure| {
                tracing::error!(error = %failure, "an answer cannot be written");
                error::INTERNAL.because("The request processing has failed due to some unknown error.")
            })
        });
        let (status, body) = match rendered {
            Ok(body) => (200, body),
            Err(refusal) => (
                refusal.status,
                render_error(&refusal, &self.host, &self.request_id),
            ),
        };
        if half {
            Reply::Half { status, body }
        } else {
            Reply::Whole { status, body }
        }
    }

    fn record(
        &self,
        state: &State,
        outcome: &str,
        eni: Option<&str>,
        effects: &Effects,
        reply_lost: bool,
    ) -> CallRecord {
        CallRecord {
            seq: 0,
            call: self.arrival.number,
            arrived: self.arrived,
            time: state.clock.now(),
            caller: self.caller.clone(),
            action: self.action.clone(),
            parameters: self
                .parameters
                .of_act()
                .filter(|(name, _)| !matches!(*name, "ClientToken" | "OIDCToken"))
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            client_token: self.parameters.text("ClientToken"),
            outcome: outcome.to_owned(),
            told: match &effects.error {
                Some((refusal, Point::After)) if effects.reset.or(effects.silent).is_none() => {
                    Some(refusal.code.to_string())
                }
                Some(_) | None => None,
            },
            eni_id: eni
                .map(str::to_owned)
                .or_else(|| self.parameters.text("NetworkInterfaceId")),
            request_id: self.request_id.clone(),
            faults: effects.faults.clone(),
            reply_lost,
            reply_gates: self.arrival.after.clone(),
        }
    }
}

fn pairs(encoded: &[u8]) -> Parameters {
    url::form_urlencoded::parse(encoded).into_owned().collect()
}
