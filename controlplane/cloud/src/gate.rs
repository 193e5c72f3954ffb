//! Holds calls back while none of them can work. The gate is a plain value; the caller passes the time.
//!
//! With wrong keys every call fails. Without its endpoint every call of a product fails. Without a permission every
//! call of an action fails. Sending such calls again and again would use up the account's quota. The gate therefore
//! holds them back and lets one trial call through, at growing intervals. The first call that succeeds opens the gate
//! for all.

use std::time::{Duration, Instant};

use terway_process::error_chain;

use crate::action::{Action, Product};
use crate::error::{CloudError, ErrorClass, code};

/// Number of failures in a row that shut an action or a product. A single failure may come from a policy about one
/// object, or from a lost connection.
const STRIKES: u32 = 3;
/// Number of failed trial calls after which a trouble counts as lasting. By then it has lasted for three seconds.
const LASTING: u32 = 2;
/// Time until the first trial call. Each failed trial call doubles it.
const FIRST_TRY: Duration = Duration::from_secs(1);
const MOST_TRY: Duration = Duration::from_secs(30);

/// Why calls cannot work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TroubleCause {
    /// Keys are wrong, expired or unavailable, or the clock is wrong. Every call fails.
    Credentials,
    /// A service does not answer. Every call of this service fails.
    Unreachable,
    /// The keys have no permission for an action. Every call of this action fails.
    Permission,
}

/// A reason why calls cannot work. It ends when a call succeeds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    pub cause: TroubleCause,
    /// The cause as a sentence, with the first error.
    pub sentence: String,
    /// Whether trial calls failed too. A lasting trouble is reported by an event.
    pub lasting: bool,
}

/// Whether a call may be sent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    Open,
    /// One call may be sent as a trial.
    OneTry,
    ShutUntil(Instant),
}

/// What the outcome of a call shows about the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    Works,
    /// The service answers; keys and permissions are unknown.
    Answers,
    NoAnswer,
    BadCredentials,
    Forbidden,
    Nothing,
}

/// A set of calls that can be shut: all calls, the calls of a product, or the calls of an action.
#[derive(Debug, Default)]
struct Way {
    /// Number of failures in a row.
    strikes: u32,
    /// The first error.
    first: String,
    shut: Option<Shut>,
}

#[derive(Debug)]
struct Shut {
    next_try: Instant,
    /// Whether a trial call is under way.
    trying: bool,
    /// Number of failed trial calls.
    failed: u32,
}

/// The state of all sets of calls.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    account: Way,
    products: [Way; Product::ALL.len()],
    actions: [Way; Action::ALL.len()],
}

impl Gate {
    /// Whether a call of this action may be sent now.
    pub(crate) fn admits(&self, action: Action, now: Instant) -> Admission {
        let ways = [
            &self.account,
            &self.products[action.product() as usize],
            &self.actions[action.index()],
        ];
        let shut = ways.iter().filter_map(|way| way.shut.as_ref());
        match shut.map(|shut| shut.next_try).max() {
            None => Admission::Open,
            Some(at) if at <= now => Admission::OneTry,
            Some(at) => Admission::ShutUntil(at),
        }
    }

    /// Notes that a trial call is sent. If no outcome is noted, the next trial call may follow after the usual time.
    pub(crate) fn trying(&mut self, action: Action, now: Instant) {
        for way in self.ways_of(action) {
            if let Some(shut) = &mut way.shut {
                shut.next_try = now + delay(shut.failed);
                shut.trying = true;
            }
        }
    }

    /// Notes that the trial call was not sent. Another trial call may be sent at once.
    pub(crate) fn not_tried(&mut self, action: Action, now: Instant) {
        for way in self.ways_of(action) {
            if let Some(shut) = way.shut.as_mut().filter(|shut| shut.trying) {
                shut.next_try = now;
                shut.trying = false;
            }
        }
    }

    /// Notes the outcome of a call. Returns true when the list of troubles has changed.
    pub(crate) fn note(&mut self, action: Action, error: Option<&CloudError>, now: Instant) -> bool {
        let before = self.summary();
        let [account, product, own] = self.ways_of(action);
        match (sign(error), error) {
            (Sign::Works, _) => {
                account.open();
                product.open();
                own.open();
            }
            (Sign::Answers, _) => product.open(),
            (Sign::NoAnswer, Some(error)) => product.strike(error, STRIKES, now),
            (Sign::BadCredentials, Some(error)) => {
                product.answered(error);
                account.strike(error, 1, now);
            }
            (Sign::Forbidden, Some(error)) => {
                account.open();
                product.open();
                own.strike(error, STRIKES, now);
            }
            (Sign::Nothing | Sign::NoAnswer | Sign::BadCredentials | Sign::Forbidden, _) => {}
        }
        self.summary() != before
    }

    /// The present troubles.
    pub(crate) fn troubles(&self) -> Vec<Trouble> {
        let mut found = Vec::new();
        let mut tell = |cause, way: &Way, what: String| {
            if way.strikes > 0 {
                found.push(Trouble {
                    cause,
                    sentence: format!("{what}: {}", way.first),
                    lasting: way.shut.as_ref().is_some_and(|shut| shut.failed >= LASTING),
                });
            }
        };
        tell(
            TroubleCause::Credentials,
            &self.account,
            "the cloud does not accept the credentials".to_owned(),
        );
        for product in Product::ALL {
            let what = format!("the {} service does not answer", product.name());
            tell(TroubleCause::Unreachable, &self.products[product as usize], what);
        }
        for action in Action::ALL.into_iter().filter(|action| action.is_needed()) {
            let what = format!("the credentials do not allow {action}");
            tell(TroubleCause::Permission, &self.actions[action.index()], what);
        }
        found
    }

    /// Why calls of this action are held back.
    pub(crate) fn reason(&self, action: Action) -> String {
        let ways = [
            &self.account,
            &self.products[action.product() as usize],
            &self.actions[action.index()],
        ];
        let shut = ways.into_iter().find(|way| way.shut.is_some());
        shut.map(|way| way.first.clone()).unwrap_or_default()
    }

    fn summary(&self) -> Vec<(TroubleCause, bool)> {
        let troubles = self.troubles().into_iter();
        troubles.map(|trouble| (trouble.cause, trouble.lasting)).collect()
    }

    fn ways_of(&mut self, action: Action) -> [&mut Way; 3] {
        [
            &mut self.account,
            &mut self.products[action.product() as usize],
            &mut self.actions[action.index()],
        ]
    }
}

impl Way {
    fn open(&mut self) {
        *self = Way::default();
    }

    /// Opens the set if the error is an answer of the service. An error about unavailable keys is not an answer.
    fn answered(&mut self, error: &CloudError) {
        if error.http_status.is_some() {
            self.open();
        }
    }

    fn strike(&mut self, error: &CloudError, shuts_at: u32, now: Instant) {
        match &mut self.shut {
            Some(shut) if shut.trying => {
                shut.trying = false;
                shut.failed = shut.failed.saturating_add(1);
                shut.next_try = now + delay(shut.failed);
            }
            // This call was under way when the set was shut, so its failure shows nothing new.
            Some(_) => {}
            None => {
                if self.strikes == 0 {
                    self.first = error_chain(error);
                }
                self.strikes += 1;
                if self.strikes >= shuts_at {
                    self.shut = Some(Shut {
                        next_try: now + delay(0),
                        trying: false,
                        failed: 0,
                    });
                }
            }
        }
    }
}

fn delay(failed: u32) -> Duration {
    FIRST_TRY.saturating_mul(1 << failed.min(10)).min(MOST_TRY)
}

fn sign(error: Option<&CloudError>) -> Sign {
    let Some(error) = error else {
        return Sign::Works;
    };
    match error.class {
        ErrorClass::Fenced => Sign::Nothing,
        ErrorClass::Forbidden if error.is_held_back() => Sign::Nothing,
        ErrorClass::Forbidden if error.is_about_permissions() => Sign::Forbidden,
        ErrorClass::Forbidden => Sign::BadCredentials,
        ErrorClass::Unknown if matches!(error.code.as_str(), code::UNREACHABLE | code::TIMEOUT) => {
            Sign::NoAnswer
        }
        // A lost connection shows that there was a connection. A service that answers with a fault may not have checked
        // the keys.
        ErrorClass::Unknown | ErrorClass::Throttled if error.http_status.is_some() => Sign::Answers,
        ErrorClass::Unknown | ErrorClass::Throttled => Sign::Nothing,
        ErrorClass::Conflict
        | ErrorClass::NotFound
        | ErrorClass::Exhausted
        | ErrorClass::Limit
        | ErrorClass::Invalid
        | ErrorClass::TokenReused => match error.http_status {
            Some(_) => Sign::Works,
            // An error without a status is our own: the call was not sent.
            None => Sign::Nothing,
        },
    }
}

#[cfg(test)]
mod tests;
