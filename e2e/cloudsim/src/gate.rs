//! Gates. A gate holds a chosen call, either before the act or after the act with the reply unsent, until a test lets
//! the call go or drops it. Crash tests kill the caller meanwhile.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::{oneshot, watch};

use crate::fault::Point;

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

/// Knows whether the caller of a call still waits for the answer.
#[derive(Debug, Clone, Default)]
pub struct Caller(Arc<AtomicBool>);

/// The connection keeps this while it waits for the answer. When it is dropped, the caller is gone.
#[derive(Debug)]
pub struct Presence(Caller);

impl Caller {
    /// Whether the connection was closed.
    pub fn gone(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// The guard that the connection keeps.
    pub fn presence(&self) -> Presence {
        Presence(self.clone())
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
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

/// All gates.
#[derive(Debug)]
pub struct Gates {
    inner: Mutex<Inner>,
    /// Changes when a call comes to a gate and when a gate is removed. [`Gates::wait`] watches it.
    reached: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Inner {
    last_id: u64,
    count: CallCount,
    standing: BTreeMap<u64, Standing>,
    closed: bool,
}

#[derive(Debug)]
struct Standing {
    gate: Gate,
    seen: u64,
    /// Whether the gate's call has arrived. A gate holds one call only.
    claimed: bool,
    held: Option<(HeldCall, oneshot::Sender<Then>)>,
}

impl Default for Gates {
    fn default() -> Self {
        Gates {
            inner: Mutex::default(),
            reached: watch::channel(0).0,
        }
    }
}

impl Gates {
    /// Puts a gate up and returns its id.
    pub fn add(&self, gate: Gate) -> Result<u64, GateError> {
        let mut inner = self.inner.lock();
        match (gate.call, gate.nth) {
            (Some(0), _) | (_, Some(0)) => return Err(GateError::Zero),
            (Some(call), None) if gate.action.is_none() && !gate.mutating => {
                if call <= inner.count.arrived {
                    return Err(GateError::Past(call));
                }
            }
            (Some(_), _) => return Err(GateError::Ambiguous),
            (None, _) => {}
        }
        inner.last_id += 1;
        let id = inner.last_id;
        let standing = Standing {
            gate,
            seen: 0,
            claimed: false,
            held: None,
        };
        inner.standing.insert(id, standing);
        Ok(id)
    }

    /// Counts a call and returns the gates that will hold it.
    pub fn arrive(&self, action: &str) -> Arrival {
        let mut inner = self.inner.lock();
        let mutating = changes_something(action);
        inner.count.arrived += 1;
        inner.count.mutating += u64::from(mutating);
        let number = inner.count.arrived;
        // Callers choose the names. The bound keeps invented names from filling the memory.
        if inner.count.by_action.len() < 1000 || inner.count.by_action.contains_key(action) {
            *inner.count.by_action.entry(action.to_owned()).or_default() += 1;
        }
        let mut arrival = Arrival {
            number,
            ..Arrival::default()
        };
        for (id, standing) in &mut inner.standing {
            if standing.claims(number, action, mutating) {
                match standing.gate.at {
                    Point::Before => arrival.before.push(*id),
                    Point::After => arrival.after.push(*id),
                }
            }
        }
        arrival
    }

    /// Holds a call at each of these gates, one after the other. A gate that was removed meanwhile does not hold it.
    pub async fn hold(&self, gates: &[u64], call: &HeldCall) -> Then {
        for id in gates {
            let (opener, opened) = oneshot::channel();
            {
                let mut inner = self.inner.lock();
                if inner.closed {
                    return Then::Drop;
                }
                let Some(standing) = inner.standing.get_mut(id) else {
                    continue;
                };
                standing.held = Some((call.clone(), opener));
            }
            self.reached.send_modify(|count| *count += 1);
            // The sender is dropped without a message only when the simulator stops.
            if opened.await.unwrap_or(Then::Drop) == Then::Drop {
                return Then::Drop;
            }
        }
        Then::Go
    }

    /// Removes a gate and lets its call go or drops it. Returns whether the gate existed.
    pub fn open(&self, id: u64, then: Then) -> bool {
        let standing = self.inner.lock().standing.remove(&id);
        let Some(standing) = standing else {
            return false;
        };
        if let Some((_, opener)) = standing.held {
            // The receiver is gone only when the simulator stops.
            let _ = opener.send(then);
        }
        self.reached.send_modify(|count| *count += 1);
        true
    }

    /// Removes all gates and lets their calls go or drops them.
    pub fn open_all(&self, then: Then) {
        let standing = std::mem::take(&mut self.inner.lock().standing);
        for (_, opener) in standing.into_values().filter_map(|standing| standing.held) {
            let _ = opener.send(then);
        }
    }

    /// Drops all held calls, and every call that would be held later. Called when the simulator stops.
    pub fn close(&self) {
        self.inner.lock().closed = true;
        self.open_all(Then::Drop);
    }

    /// All gates, sorted by id.
    pub fn list(&self) -> Vec<GateView> {
        let inner = self.inner.lock();
        inner
            .standing
            .iter()
            .map(|(id, standing)| standing.view(*id))
            .collect()
    }

    /// The gate of this id.
    pub fn view(&self, id: u64) -> Option<GateView> {
        self.inner
            .lock()
            .standing
            .get(&id)
            .map(|standing| standing.view(id))
    }

    /// Waits until a gate is reached, at most `patience`, and returns the gate's state.
    pub async fn wait(&self, id: u64, patience: Duration) -> Option<GateView> {
        let mut reached = self.reached.subscribe();
        // The sender lives as long as the gates, so the only error is the timeout.
        let waiting = reached.wait_for(|_| self.view(id).is_none_or(|view| view.reached));
        let _ = tokio::time::timeout(patience, waiting).await;
        self.view(id)
    }

    /// Number of calls that have arrived so far.
    pub fn count(&self) -> CallCount {
        self.inner.lock().count.clone()
    }
}

impl Standing {
    fn claims(&mut self, number: u64, action: &str, mutating: bool) -> bool {
        if self.claimed {
            return false;
        }
        let gate = &self.gate;
        let claimed = match gate.call {
            Some(call) => call == number,
            None => {
                let matching = gate.action.as_deref().is_none_or(|wanted| wanted == action)
                    && (mutating || !gate.mutating);
                self.seen += u64::from(matching);
                matching && self.seen == gate.nth.unwrap_or(1)
            }
        };
        self.claimed = claimed;
        claimed
    }

    fn view(&self, id: u64) -> GateView {
        GateView {
            id,
            gate: self.gate.clone(),
            reached: self.held.is_some(),
            held: self.held.as_ref().map(|(call, _)| call.clone()),
        }
    }
}

/// Whether an action may change something, judged by its name.
pub fn changes_something(action: &str) -> bool {
    !["Describe", "List", "Get", "AssumeRole"]
        .iter()
        .any(|reading| action.starts_with(reading))
}
