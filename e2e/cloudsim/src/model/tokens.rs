//! ClientToken idempotency: a token answers again what it answered first.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use jiff::Timestamp;

use super::eni::Eni;
use super::error::{self, ApiError};
use crate::world::ClientTokenReuse;

/// What a token stood for, and what came of it.
#[derive(Debug, Clone)]
struct Entry {
    fingerprint: String,
    outcome: Result<Box<Eni>, ApiError>,
    since: Timestamp,
}

/// Tokens the cloud still remembers.
#[derive(Debug)]
pub struct TokenLedger {
    life: Duration,
    reuse: ClientTokenReuse,
    entries: HashMap<String, Entry>,
    /// In order of age, so that forgetting is cheap.
    order: VecDeque<(Timestamp, String)>,
}

impl TokenLedger {
    /// A ledger that remembers tokens for `life`.
    pub fn new(life: Duration, reuse: ClientTokenReuse) -> TokenLedger {
        TokenLedger {
            life,
            reuse,
            entries: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    /// What the token answered before, if it is remembered; an error when it then stood for
    /// other parameters.
    pub fn recall(&self, token: &str, fingerprint: &str) -> Option<Result<Eni, ApiError>> {
        let entry = self.entries.get(token)?;
        if entry.fingerprint == fingerprint {
            return Some(entry.outcome.clone().map(|eni| *eni));
        }
        let (code, message) = match self.reuse {
            ClientTokenReuse::IdempotentParameterMismatch => (
                error::IDEMPOTENT_MISMATCH,
                "The request uses the same client token as a previous, but non-identical request.",
            ),
            ClientTokenReuse::IdempotentFailed => (
                error::IDEMPOTENT_FAILED,
                "The client token was used by a request that differs.",
            ),
        };
        Some(Err(code.because(message)))
    }

    /// Remembers an outcome. Only what the cloud decided is kept: a 5xx is not.
    pub fn remember(
        &mut self,
        token: &str,
        fingerprint: &str,
        outcome: &Result<Eni, ApiError>,
        now: Timestamp,
    ) {
        if matches!(outcome, Err(refusal) if refusal.status >= 500) {
            return;
        }
        let outcome = outcome.clone().map(Box::new);
        let entry = Entry {
            fingerprint: fingerprint.to_owned(),
            outcome,
            since: now,
        };
        self.entries.insert(token.to_owned(), entry);
        self.order.push_back((now, token.to_owned()));
    }

    /// Forgets tokens that have outlived their life.
    pub fn forget_old(&mut self, now: Timestamp) {
        while let Some((since, _)) = self.order.front() {
            if now.duration_since(*since).unsigned_abs() < self.life || now < *since {
                return;
            }
            let Some((since, token)) = self.order.pop_front() else {
                return;
            };
            if self.entries.get(&token).is_some_and(|entry| entry.since == since) {
                self.entries.remove(&token);
            }
        }
    }
}
