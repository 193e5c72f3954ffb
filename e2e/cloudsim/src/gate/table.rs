//! All gates, and the calls that they hold.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};

use super::{Arrival, CallCount, Gate, GateError, GateView, HeldCall, Then, changes_something};
use crate::fault::Point;

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
