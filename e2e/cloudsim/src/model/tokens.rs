//! ClientToken idempotency: a token answers again what it answered first.

use std::collections::{HashMap, VecDeque};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use jiff::Timestamp;

use super::error::{self, ApiError};
use super::{CidrReservation, Cloud, Eni, Held};
use crate::world::{ClientTokenReuse, Rules};

/// What a token stood for, and what came of it.
#[derive(Debug, Clone)]
struct Entry<T> {
    fingerprint: String,
    outcome: Result<T, ApiError>,
    since: Timestamp,
}

/// Tokens of one action that the cloud still remembers.
#[derive(Debug)]
pub struct TokenLedger<T> {
    life: Duration,
    reuse: ClientTokenReuse,
    entries: HashMap<String, Entry<T>>,
    /// In order of age, so that forgetting is cheap.
    order: VecDeque<(Timestamp, String)>,
}

impl<T: Clone> TokenLedger<T> {
    /// A ledger that remembers tokens for `life`.
    pub fn new(life: Duration, reuse: ClientTokenReuse) -> TokenLedger<T> {
        TokenLedger {
            life,
            reuse,
            entries: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    /// What the token answered before, if it is remembered; an error when it then stood for
    /// other parameters.
    pub fn recall(&self, token: &str, fingerprint: &str) -> Option<Result<T, ApiError>> {
        let entry = self.entries.get(token)?;
        if entry.fingerprint == fingerprint {
            return Some(entry.outcome.clone());
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

    /// Remembers an outcome. Only what the cloud decided is kept: not a 5xx, and not a refusal
    /// that asks to try again later.
    pub fn remember(
        &mut self,
        token: &str,
        fingerprint: &str,
        outcome: &Result<T, ApiError>,
        now: Timestamp,
    ) {
        if matches!(outcome, Err(refusal) if refusal.passes()) {
            return;
        }
        let entry = Entry {
            fingerprint: fingerprint.to_owned(),
            outcome: outcome.clone(),
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

/// The ledgers of all actions that take a ClientToken. A token of one action says nothing to
/// another.
#[derive(Debug)]
pub struct Tokens {
    pub create: TokenLedger<Box<Eni>>,
    pub assign_ipv4: TokenLedger<Held<Ipv4Addr>>,
    pub assign_ipv6: TokenLedger<Held<Ipv6Addr>>,
    pub reserve: TokenLedger<Box<CidrReservation>>,
    pub unreserve: TokenLedger<()>,
}

impl Tokens {
    /// Empty ledgers under a world's rules.
    pub fn new(rules: &Rules) -> Tokens {
        let (life, reuse) = (rules.client_token_life.0, rules.client_token_reuse);
        Tokens {
            create: TokenLedger::new(life, reuse),
            assign_ipv4: TokenLedger::new(life, reuse),
            assign_ipv6: TokenLedger::new(life, reuse),
            reserve: TokenLedger::new(life, reuse),
            unreserve: TokenLedger::new(life, reuse),
        }
    }
}

/// What makes a request the same as an earlier one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Idempotency {
    pub client_token: Option<String>,
    /// All parameters but the token, in one canonical form: what tells a repeated request
    /// from a changed one.
    pub fingerprint: String,
}

impl Cloud {
    /// Acts, unless the token is remembered: then it answers what it answered first, also when
    /// what it made is gone since.
    pub(super) fn once<T: Clone>(
        &mut self,
        ledger: fn(&mut Tokens) -> &mut TokenLedger<T>,
        key: &Idempotency,
        now: Timestamp,
        act: impl FnOnce(&mut Cloud) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let Some(token) = &key.client_token else {
            return act(self);
        };
        let remembered = ledger(&mut self.tokens);
        remembered.forget_old(now);
        if let Some(earlier) = remembered.recall(token, &key.fingerprint) {
            return earlier;
        }
        let outcome = act(self);
        ledger(&mut self.tokens).remember(token, &key.fingerprint, &outcome, now);
        outcome
    }
}
