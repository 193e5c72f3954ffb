//! Holding calls back while none of them can work: plain values, time passed in.
//!
//! Wrong keys make every call fail, an endpoint that is not there every call of its product, a missing
//! permission every call of its action. Sending them all, again and again, would cost the account's quota
//! and help nobody. So calls are held back, and one at a time is let through, at growing intervals, to find
//! out whether the cause is gone; the first that gets through opens the way for all.

use std::time::{Duration, Instant};

use crate::action::{Action, Product};
use crate::error::{CloudError, ErrorClass, code};

/// Failures in a row that hold an action or a product back. One may be a policy about one object, or one
/// lost connection.
const STRIKES: u32 = 3;
/// Failed tries after which a trouble is more than a passing one: by then it has lasted three seconds.
const LASTING: u32 = 2;
/// Time until the first call that tries again, doubled with each that fails.
const FIRST_TRY: Duration = Duration::from_secs(1);
const MOST_TRY: Duration = Duration::from_secs(30);

/// What keeps calls from working.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TroubleCause {
    /// Keys are wrong, expired or not to be had, or the clock is. Concerns every call.
    Credentials,
    /// A service does not answer. Concerns every call of that service.
    Unreachable,
    /// The keys may not do this. Concerns one action.
    Permission,
}

/// Something that keeps calls from working, until one of them works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    pub cause: TroubleCause,
    /// The cause in a sentence, with the error that showed it first.
    pub sentence: String,
    /// It was seen again when it was tried again: worth telling a person who did not ask.
    pub lasting: bool,
}

/// Whether a call may be sent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    Open,
    /// One, to find out.
    OneTry,
    ShutUntil(Instant),
}

/// What an answer says about the way to the cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    Works,
    /// The service is there, and nothing more is known.
    Answers,
    NoAnswer,
    BadCredentials,
    Forbidden,
    Nothing,
}

/// One way that can be shut.
#[derive(Debug, Default)]
struct Way {
    /// Failures in a row.
    strikes: u32,
    /// The error that came first.
    first: String,
    shut: Option<Shut>,
}

#[derive(Debug)]
struct Shut {
    next_try: Instant,
    /// A call was let through to find out, and nothing was heard of it yet.
    trying: bool,
    /// Calls that were let through and failed.
    failed: u32,
}

/// The state of all ways to the cloud.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    account: Way,
    products: [Way; Product::ALL.len()],
    actions: [Way; Action::ALL.len()],
}

impl Gate {
    /// Whether a call of this action may be sent.
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

    /// A call is let through to find out; the next one, if nothing is heard of it, after the usual time.
    pub(crate) fn trying(&mut self, action: Action, now: Instant) {
        for way in self.ways_of(action) {
            if let Some(shut) = &mut way.shut {
                shut.next_try = now + delay(shut.failed);
                shut.trying = true;
            }
        }
    }

    /// The call that was let through was not sent; another may be.
    pub(crate) fn not_tried(&mut self, action: Action, now: Instant) {
        for way in self.ways_of(action) {
            if let Some(shut) = way.shut.as_mut().filter(|shut| shut.trying) {
                shut.next_try = now;
                shut.trying = false;
            }
        }
    }

    /// Takes in the outcome of a call. True when something changed that a person may want to know.
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

    /// What keeps calls from working at the moment.
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

    /// The service answered, unless it is our own keys that were not to be had.
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
            // It was under way when the way was shut, and tells nothing new.
            Some(_) => {}
            None => {
                if self.strikes == 0 {
                    self.first = with_causes(error);
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
        // A lost connection was one; what answered with a fault may not have looked at the keys.
        ErrorClass::Unknown | ErrorClass::Throttled if error.http_status.is_some() => Sign::Answers,
        ErrorClass::Unknown | ErrorClass::Throttled => Sign::Nothing,
        ErrorClass::Conflict
        | ErrorClass::NotFound
        | ErrorClass::Exhausted
        | ErrorClass::Limit
        | ErrorClass::Invalid
        | ErrorClass::TokenReused => match error.http_status {
            Some(_) => Sign::Works,
            // Of our own making: it was not sent.
            None => Sign::Nothing,
        },
    }
}

/// The error with what led to it: of keys that are not to be had, only the source says why.
fn with_causes(error: &CloudError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}

#[cfg(test)]
mod tests;
