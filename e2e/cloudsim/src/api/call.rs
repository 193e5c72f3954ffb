//! One call from request to answer: who calls, may he, what befalls it, the act, the log.

use std::sync::Arc;

use hyper::HeaderMap;

use super::actions::Action;
use super::answer::{Answer, render_error};
use super::parameters::Parameters;
use super::signature::{Claim, Signed};
use crate::call_log::CallRecord;
use crate::fault::{Reset, Verdict};
use crate::model::error;
use crate::model::{ApiError, Completion};
use crate::state::State;

/// An HTTP request, whole.
#[derive(Debug)]
pub struct HttpRequest {
    pub method: String,
    pub path: String,
    pub query: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// What goes back to the caller.
#[derive(Debug, PartialEq, Eq)]
pub enum Reply {
    Whole {
        status: u16,
        body: Vec<u8>,
    },
    /// Only the first half of the body arrives.
    Half {
        status: u16,
        body: Vec<u8>,
    },
    /// The connection is reset.
    Reset,
}

/// A request as a call of the API.
struct Call {
    action: String,
    version: String,
    parameters: Parameters,
    host: String,
    request_id: String,
}

/// Answers a request. Runs to its end also when the caller has gone, as the real cloud does.
pub async fn answer(state: Arc<State>, request: HttpRequest) -> Reply {
    let query: Parameters = pairs(request.query.as_bytes());
    let call = Call::read(&state, &request, &query);
    match admit(&state, &request, &query, &call) {
        Ok(action) => carry_out(&state, action, call).await,
        Err(refusal) => {
            state
                .log
                .append(call.record(&state, &refusal.code, None, &Verdict::default(), false));
            call.refuse(&refusal)
        }
    }
}

/// Everything that is checked before the call reaches its service.
fn admit(state: &State, request: &HttpRequest, query: &Parameters, call: &Call) -> Result<Action, ApiError> {
    if !matches!(request.method.as_str(), "GET" | "POST") {
        return Err(error::METHOD.because("Only GET and POST are supported."));
    }
    if call.action.is_empty() {
        return Err(error::missing("Action"));
    }
    if call.version.is_empty() {
        return Err(error::missing("Version"));
    }
    let now = state.clock.now();
    if state.verify_signatures {
        let claim = Claim::read(&Signed {
            method: &request.method,
            path: &request.path,
            query,
            headers: &request.headers,
            body: &request.body,
            parameters: &call.parameters,
        })?;
        state.keys.lock().admit(&claim, now)?;
    }
    let action = Action::find(&call.action, &call.version)?;
    state.quotas.lock().take(&call.action, now)?;
    Ok(action)
}

async fn carry_out(state: &State, action: Action, call: Call) -> Reply {
    let verdict = state.judge(&call.action, &call.enis());
    let (answer_after, done_after) = state.draw_timing(&call.action);
    tokio::time::sleep(answer_after + verdict.delay.0).await;
    if verdict.reset == Some(Reset::Before) {
        state
            .log
            .append(call.record(state, "reset", None, &verdict, true));
        return Reply::Reset;
    }
    if let Some(refusal) = &verdict.error {
        state
            .log
            .append(call.record(state, &refusal.code, None, &verdict, false));
        return call.refuse(refusal);
    }
    let completion = if verdict.stuck {
        Completion::Never
    } else {
        Completion::After(done_after)
    };
    let lost = verdict.reset.is_some() || verdict.half_reply;
    let outcome = state.with_cloud(|cloud, now| {
        let outcome = action.act(cloud, &call.parameters, completion, now);
        let (code, eni) = match &outcome {
            Ok(answer) => ("OK", answer.eni_id()),
            Err(refusal) => (&*refusal.code, None),
        };
        state.log.append(call.record(state, code, eni, &verdict, lost));
        outcome
    });
    state.changed.notify_one();
    tokio::time::sleep(verdict.delay_reply.0).await;
    match verdict.reset {
        Some(_) => Reply::Reset,
        None => call.reply(state, outcome, verdict.half_reply),
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
        let form =
            header("content-type").is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
        let mut parameters = query.clone();
        if form {
            parameters.extend(pairs(&request.body));
        }
        Call {
            action: header("x-acs-action")
                .or_else(|| parameters.text("Action"))
                .unwrap_or_default(),
            version: header("x-acs-version")
                .or_else(|| parameters.text("Version"))
                .unwrap_or_default(),
            host: header("host").unwrap_or_default(),
            request_id: state.request_id(),
            parameters,
        }
    }

    /// ENIs the call names.
    fn enis(&self) -> Vec<&str> {
        self.parameters
            .iter()
            .filter(|(name, _)| name.starts_with("NetworkInterfaceId"))
            .map(|(_, value)| value)
            .collect()
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
        verdict: &Verdict,
        reply_lost: bool,
    ) -> CallRecord {
        CallRecord {
            seq: 0,
            time: state.clock.now(),
            action: self.action.clone(),
            parameters: self
                .parameters
                .of_act()
                .filter(|(name, _)| *name != "ClientToken")
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            client_token: self.parameters.text("ClientToken"),
            outcome: outcome.to_owned(),
            eni_id: eni
                .map(str::to_owned)
                .or_else(|| self.parameters.text("NetworkInterfaceId")),
            request_id: self.request_id.clone(),
            faults: verdict.faults.clone(),
            reply_lost,
        }
    }
}

fn pairs(encoded: &[u8]) -> Parameters {
    url::form_urlencoded::parse(encoded).into_owned().collect()
}
