//! An HTTP request as a call of the API: its parameters, its replies and its log entry.

use jiff::Timestamp;

use super::{HttpRequest, Reply};
use crate::api::answer::{Answer, render_error};
use crate::api::parameters::Parameters;
use crate::call_log::CallRecord;
use crate::fault::{Effects, Point};
use crate::gate::{Arrival, Caller, HeldCall};
use crate::model::ApiError;
use crate::model::error;
use crate::state::State;

/// An HTTP request, read as a call of the API.
pub(super) struct Call {
    pub(super) action: String,
    pub(super) version: String,
    pub(super) parameters: Parameters,
    host: String,
    request_id: String,
    pub(super) arrival: Arrival,
    arrived: Timestamp,
    caller: String,
}

impl Call {
    pub(super) fn read(state: &State, request: &HttpRequest, query: &Parameters) -> Call {
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
    pub(super) fn enis(&self) -> Vec<&str> {
        self.parameters
            .iter()
            .filter(|(name, _)| name.starts_with("NetworkInterfaceId"))
            .map(|(_, value)| value)
            .collect()
    }

    /// The call as a gate shows it.
    pub(super) fn held(&self, caller: &Caller) -> HeldCall {
        HeldCall {
            call: self.arrival.number,
            action: self.action.clone(),
            request_id: self.request_id.clone(),
            client_token: self.parameters.text("ClientToken"),
            eni_id: self.parameters.text("NetworkInterfaceId"),
            caller_gone: caller.clone(),
        }
    }

    pub(super) fn refuse(&self, refusal: &ApiError) -> Reply {
        Reply::Whole {
            status: refusal.status,
            body: render_error(refusal, &self.host, &self.request_id),
        }
    }

    pub(super) fn reply(&self, state: &State, outcome: Result<Answer, ApiError>, half: bool) -> Reply {
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

    pub(super) fn record(
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

/// The pairs of a form or a query.
pub(super) fn pairs(encoded: &[u8]) -> Parameters {
    url::form_urlencoded::parse(encoded).into_owned().collect()
}
