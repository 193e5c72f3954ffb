//! Gates. A gate holds a chosen call, either before the act or after the act with the reply unsent, until a test lets
//! the call go or drops it. Crash tests kill the caller meanwhile.

mod caller;
mod table;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::fault::Point;
pub use caller::{Caller, Presence};
pub use table::Gates;

/// Which call is held, and at which point. The call is named by `call`, or by `nth` of the calls that match.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Gate {
    /// Number of the call since the simulator started, from 1; all calls count, refused
    /// ones too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<u64>,
    /// Only calls of this action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// Only calls that may change something.
    #[serde(default)]
    pub mutating: bool,
    /// The n-th matching call since the gate was put up, from 1; the first when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nth: Option<u64>,
    pub at: Point,
}

/// A gate that can hold nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GateError {
    #[error("a gate has either \"call\", or \"nth\" with \"action\" or \"mutating\"; leave one of them out")]
    Ambiguous,
    #[error("calls are counted from 1; set \"call\" or \"nth\" to 1 or more")]
    Zero,
    #[error("call {0} has arrived already; choose a later one")]
    Past(u64),
}

/// What happens to a held call when its gate is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Then {
    /// The call goes on as if it had not been held.
    #[default]
    Go,
    /// The call's connection is reset. A call that was held before the act never acts.
    Drop,
}

/// A call that is held.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HeldCall {
    /// Number of the call since the simulator started.
    pub call: u64,
    pub action: String,
    pub request_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eni_id: Option<String>,
    /// Whether the caller has closed its connection.
    #[serde(serialize_with = "is_gone")]
    pub caller_gone: Caller,
}

fn is_gone<S: serde::Serializer>(caller: &Caller, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bool(caller.gone())
}

/// The state of a gate, as the admin API shows it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GateView {
    pub id: u64,
    #[serde(flatten)]
    pub gate: Gate,
    /// Whether a call has come to the gate.
    pub reached: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<HeldCall>,
}

/// The number of a call, and the gates that will hold it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Arrival {
    pub number: u64,
    pub before: Vec<u64>,
    pub after: Vec<u64>,
}

/// How many calls have arrived.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CallCount {
    pub arrived: u64,
    /// Number of calls that may change something.
    pub mutating: u64,
    pub by_action: BTreeMap<String, u64>,
}

/// Whether an action may change something, judged by its name.
pub fn changes_something(action: &str) -> bool {
    !["Describe", "List", "Get", "AssumeRole"]
        .iter()
        .any(|reading| action.starts_with(reading))
}
