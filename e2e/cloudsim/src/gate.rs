//! Gates: a chosen call is held before its act, or after it with the reply unsent, until a
//! tester lets it go or drops it. Crash tests kill the caller in between.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::{oneshot, watch};

use crate::fault::Point;

/// Which call is held, and where. Either `call`, or `nth` of those that match.
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

/// What becomes of a held call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Then {
    /// It goes on as if it had not been held.
    #[default]
    Go,
    /// Its connection is reset; held before the act, it never happens.
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

/// A gate as it stands.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GateView {
    pub id: u64,
    #[serde(flatten)]
    pub gate: Gate,
    /// Whether a call stands before it.
    pub reached: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<HeldCall>,
}

/// Whether whoever made a call still waits for its answer.
#[derive(Debug, Clone, Default)]
pub struct Caller(Arc<AtomicBool>);

/// Kept by the connection while it waits for the answer; the caller is gone when it is dropped.
#[derive(Debug)]
pub struct Presence(Caller);

impl Caller {
    /// Whether the connection was closed.
    pub fn gone(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// What the connection keeps.
    pub fn presence(&self) -> Presence {
        Presence(self.clone())
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

/// A call's number, and the gates it will come to.
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
    /// Those that may change something.
    pub mutating: u64,
    pub by_action: BTreeMap<String, u64>,
}

/// All gates.
#[derive(Debug)]
pub struct Gates {
    inner: Mutex<Inner>,
    /// Changes when a call comes to a gate or a gate goes, for those who wait for one.
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
    /// Whether its call has arrived; a gate holds one call only.
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

    /// Counts a call in and says which gates it will come to.
    pub fn arrive(&self, action: &str) -> Arrival {
        let mut inner = self.inner.lock();
        let mutating = changes_something(action);
        inner.count.arrived += 1;
        inner.count.mutating += u64::from(mutating);
        let number = inner.count.arrived;
        // Names come from outside; a bound keeps made-up ones from filling the memory.
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

    /// Holds a call at each of these gates in turn. A gate that has been taken away lets it go.
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
            // The sender goes without a word only when the simulator stops.
            if opened.await.unwrap_or(Then::Drop) == Then::Drop {
                return Then::Drop;
            }
        }
        Then::Go
    }

    /// Takes a gate away and tells the call before it what becomes of it; whether the gate
    /// was there.
    pub fn open(&self, id: u64, then: Then) -> bool {
        let standing = self.inner.lock().standing.remove(&id);
        let Some(standing) = standing else {
            return false;
        };
        if let Some((_, opener)) = standing.held {
            // Nobody listens only when the simulator stops.
            let _ = opener.send(then);
        }
        self.reached.send_modify(|count| *count += 1);
        true
    }

    /// Takes all gates away.
    pub fn open_all(&self, then: Then) {
        let standing = std::mem::take(&mut self.inner.lock().standing);
        for (_, opener) in standing.into_values().filter_map(|standing| standing.held) {
            let _ = opener.send(then);
        }
    }

    /// Drops whatever is held or will be: the simulator stops.
    pub fn close(&self) {
        self.inner.lock().closed = true;
        self.open_all(Then::Drop);
    }

    /// All gates by id.
    pub fn list(&self) -> Vec<GateView> {
        let inner = self.inner.lock();
        inner
            .standing
            .iter()
            .map(|(id, standing)| standing.view(*id))
            .collect()
    }

    /// One gate.
    pub fn view(&self, id: u64) -> Option<GateView> {
        self.inner
            .lock()
            .standing
            .get(&id)
            .map(|standing| standing.view(id))
    }

    /// Waits until a gate is reached, at most `patience`; how it stands then.
    pub async fn wait(&self, id: u64, patience: Duration) -> Option<GateView> {
        let mut reached = self.reached.subscribe();
        // The sender lives as long as the gates; only the time can run out.
        let waiting = reached.wait_for(|_| self.view(id).is_none_or(|view| view.reached));
        let _ = tokio::time::timeout(patience, waiting).await;
        self.view(id)
    }

    /// How many calls have arrived so far.
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

/// Whether an action may change something, as its name says.
pub fn changes_something(action: &str) -> bool {
    !["Describe", "List", "Get", "AssumeRole"]
        .iter()
        .any(|reading| action.starts_with(reading))
}
