//! ClientToken idempotency: a repeated token gets the first answer again (ECS developer reference, "Idempotence").

use std::collections::{HashMap, VecDeque};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use jiff::Timestamp;

use super::error::{self, ApiError};
use super::{CidrReservation, Cloud, Eni, Held};
use crate::world::{ClientTokenReuse, Rules};

/// The request of a token, and its result.
#[derive(Debug, Clone)]
struct Entry<T> {
    fingerprint: String,
    outcome: Result<T, ApiError>,
    since: Timestamp,
}

/// The remembered tokens of one action.
#[derive(Debug)]
pub struct TokenLedger<T> {
    life: Duration,
    reuse: ClientTokenReuse,
    entries: HashMap<String, Entry<T>>,
    /// The tokens in order of age, so that removing old ones is cheap.
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

    /// The first answer of a remembered token, or an error if the first request had other parameters.
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

    /// Remembers the result of a token. A 5xx and a refusal that asks to try again later are not remembered.
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

    /// Removes tokens that are older than their life.
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

/// The ledgers of all actions that take a ClientToken. Each action has its own tokens.
#[derive(Debug)]
pub struct Tokens {
    pub create: TokenLedger<Box<Eni>>,
    pub assign_ipv4: TokenLedger<Held<Ipv4Addr>>,
    pub assign_ipv6: TokenLedger<Held<Ipv6Addr>>,
    pub reserve: TokenLedger<Box<CidrReservation>>,
    pub unreserve: TokenLedger<()>,
}

impl Tokens {
    /// Empty ledgers with the rules of a world.
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

/// The token and the fingerprint that identify a repeated request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Idempotency {
    pub client_token: Option<String>,
    /// All parameters except the token, in a canonical form. A repeated request has the same fingerprint.
    pub fingerprint: String,
}

impl Cloud {
    /// Runs `act`, unless the token is remembered. A remembered token gets its first answer, also when the created
    /// object is gone.
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
