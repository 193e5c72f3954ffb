//! Faults that a world or a test injects: the calls that a fault hits, and the effect on these calls.

use std::borrow::Cow;

use rand::RngExt;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};

use crate::model::error::{self, ApiError};
use crate::world::Span;

/// One fault. The first fields are conditions: which calls the fault hits. The other fields are effects. Effects can be
/// combined (`delay` with `code`, `stuck` with `reset`).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Fault {
    /// Only calls of this action; calls of every action when absent.
    pub action: Option<String>,
    /// Only calls that name this ENI.
    pub eni: Option<String>,
    /// Only the call with this number since the simulator started, from 1.
    pub call: Option<u64>,
    /// Only the n-th matching call, counted from 1 since the fault was added.
    pub nth: Option<u64>,
    /// Only this share of the matching calls, 0 to 1.
    pub probability: Option<f64>,
    /// Number of calls that the fault hits before it ends; it never ends when absent.
    pub times: Option<u64>,

    /// Answer with this error code.
    pub code: Option<String>,
    /// When `code` is answered: before the act (the default), and the cloud does not act; or after the act.
    pub code_at: Option<Point>,
    /// HTTP status of `code`; the usual one of that code when absent.
    pub status: Option<u16>,
    pub message: Option<String>,
    /// Wait before acting.
    pub delay: Option<Span>,
    /// Act, then wait before answering.
    pub delay_reply: Option<Span>,
    /// Reset the connection before or after the act.
    pub reset: Option<Point>,
    /// Never answer, before or after the act; the connection stays open.
    pub silent: Option<Point>,
    /// Act, then send half of the answer.
    pub half_reply: bool,
    /// A read shows the cloud as it was this long ago.
    pub stale: Option<Span>,
    /// Accept an asynchronous action that never completes.
    pub stuck: bool,
}

impl Fault {
    /// Refuses a fault that can hit nothing or has no effect; the error says why.
    pub fn check(&self) -> Result<(), &'static str> {
        let code_only = self.status.is_some() || self.message.is_some() || self.code_at.is_some();
        let effect = self.code.is_some()
            || self.delay.is_some()
            || self.delay_reply.is_some()
            || self.reset.is_some()
            || self.silent.is_some()
            || self.stale.is_some()
            || self.half_reply
            || self.stuck;
        if self.call == Some(0) || self.nth == Some(0) || self.times == Some(0) {
            return Err("calls are counted from 1; set call, nth or times to 1 or more");
        }
        if self
            .probability
            .is_some_and(|share| !(0.0..=1.0).contains(&share))
        {
            return Err("probability must be 0 to 1");
        }
        if self.status.is_some_and(|status| !(400..=599).contains(&status)) {
            return Err("status must be 400 to 599");
        }
        if code_only && self.code.is_none() {
            return Err("status, message and codeAt go with code; add it");
        }
        match effect {
            true => Ok(()),
            false => {
                Err("it does nothing; add code, delay, delayReply, reset, silent, halfReply, stale or stuck")
            }
        }
    }
}

/// Whether something happens before or after the act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Point {
    /// The cloud has not acted.
    Before,
    /// The cloud has acted, and the reply is not sent yet.
    After,
}

/// A fault in force, with its counters.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ActiveFault {
    pub id: u64,
    pub fault: Fault,
    /// Number of calls that matched action and ENI.
    pub seen: u64,
    /// Number of calls that were hit.
    pub hit: u64,
}

/// The effects of all faults on one call.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Effects {
    pub error: Option<(ApiError, Point)>,
    pub delay: Span,
    pub delay_reply: Span,
    pub reset: Option<Point>,
    pub silent: Option<Point>,
    pub half_reply: bool,
    pub stale: Span,
    pub stuck: bool,
    /// Ids of the faults that hit, for the call log.
    pub faults: Vec<u64>,
}

/// All faults in force.
#[derive(Debug, Default)]
pub struct FaultTable {
    faults: Vec<ActiveFault>,
    last_id: u64,
}

impl FaultTable {
    /// A table with the faults of a world.
    pub fn new(initial: &[Fault]) -> FaultTable {
        let mut table = FaultTable::default();
        for fault in initial {
            table.add(fault.clone());
        }
        table
    }

    /// Puts a fault in force and returns its id.
    pub fn add(&mut self, fault: Fault) -> u64 {
        self.last_id += 1;
        self.faults.push(ActiveFault {
            id: self.last_id,
            fault,
            seen: 0,
            hit: 0,
        });
        self.last_id
    }

    /// The longest `stale` of all faults: how much history the cloud must keep for them.
    pub fn longest_stale(&self) -> Span {
        self.faults
            .iter()
            .filter_map(|active| active.fault.stale)
            .max()
            .unwrap_or_default()
    }

    /// Ends one fault. Returns whether the fault existed.
    pub fn remove(&mut self, id: u64) -> bool {
        let before = self.faults.len();
        self.faults.retain(|active| active.id != id);
        self.faults.len() != before
    }

    /// Ends all faults.
    pub fn clear(&mut self) {
        self.faults.clear();
    }

    /// The faults in force.
    pub fn list(&self) -> &[ActiveFault] {
        &self.faults
    }

    /// Counts a call and decides which faults hit it.
    pub fn judge(&mut self, call: u64, action: &str, enis: &[&str], random: &mut StdRng) -> Effects {
        let mut effects = Effects::default();
        for active in &mut self.faults {
            if active.matches(call, action, enis) && active.strikes(random) {
                effects.add(active.id, &active.fault);
            }
        }
        self.faults
            .retain(|active| active.fault.times.is_none_or(|times| active.hit < times));
        effects
    }
}

impl ActiveFault {
    fn matches(&self, call: u64, action: &str, enis: &[&str]) -> bool {
        self.fault.call.is_none_or(|wanted| wanted == call)
            && self.fault.action.as_deref().is_none_or(|wanted| wanted == action)
            && self
                .fault
                .eni
                .as_deref()
                .is_none_or(|wanted| enis.contains(&wanted))
    }

    fn strikes(&mut self, random: &mut StdRng) -> bool {
        self.seen += 1;
        let struck = self.fault.nth.is_none_or(|nth| nth == self.seen)
            && self
                .fault
                .probability
                .is_none_or(|share| random.random::<f64>() < share);
        self.hit += u64::from(struck);
        struck
    }
}

impl Effects {
    fn add(&mut self, id: u64, fault: &Fault) {
        self.faults.push(id);
        if let (None, Some(code)) = (&self.error, &fault.code) {
            let error = ApiError {
                status: fault.status.unwrap_or_else(|| error::usual_status(code)),
                code: Cow::Owned(code.clone()),
                message: fault
                    .message
                    .clone()
                    .unwrap_or_else(|| "Injected by the simulator.".to_owned()),
            };
            self.error = Some((error, fault.code_at.unwrap_or(Point::Before)));
        }
        self.delay = self.delay.max(fault.delay.unwrap_or_default());
        self.delay_reply = self.delay_reply.max(fault.delay_reply.unwrap_or_default());
        self.reset = self.reset.or(fault.reset);
        self.silent = self.silent.or(fault.silent);
        self.half_reply |= fault.half_reply;
        self.stale = self.stale.max(fault.stale.unwrap_or_default());
        self.stuck |= fault.stuck;
    }
}
