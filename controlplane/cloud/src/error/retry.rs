//! How soon to plan again after a failed call. The client never repeats a call by itself. The caller plans again at
//! this pace and sends the calls of the new plan.

use std::time::Duration;

use super::{CloudError, ErrorClass};

/// Kinds of failures, by what helps against them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Retry {
    /// There was no answer: the connection to the cloud is disturbed.
    Transport,
    /// The cloud has an internal error, or its answer is unreadable.
    Transient,
    /// There were too many calls. The slowed bucket delays the next call, so the plan does not have to wait.
    Throttle,
    /// The object is in transition.
    Conflict,
    /// Keys or permissions are wrong. The gate holds calls back, so planning again costs little and notices a repair
    /// soon.
    Barred,
    /// The call fails until somebody changes something.
    Final,
    /// The lease has to be renewed first. Nothing is wrong with the call.
    Fenced,
}

/// The delays before repetitions: the first delay, doubled (with jitter) up to the longest delay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    pub first: Duration,
    pub most: Duration,
}

impl Retry {
    /// The delays of this kind of failure.
    pub fn pace(self) -> Pace {
        let (first, most) = match self {
            Retry::Transport => (500, 15_000),
            Retry::Transient | Retry::Conflict => (500, 30_000),
            Retry::Throttle => (250, 10_000),
            Retry::Barred => (2_000, 30_000),
            Retry::Final => (5_000, 300_000),
            Retry::Fenced => (500, 500),
        };
        Pace {
            first: Duration::from_millis(first),
            most: Duration::from_millis(most),
        }
    }
}

impl CloudError {
    /// How soon to plan again.
    pub fn retry(&self) -> Retry {
        match self.class {
            ErrorClass::Unknown if self.http_status.is_none() => Retry::Transport,
            ErrorClass::Unknown => Retry::Transient,
            ErrorClass::Throttled => Retry::Throttle,
            ErrorClass::Conflict => Retry::Conflict,
            ErrorClass::Forbidden => Retry::Barred,
            ErrorClass::NotFound
            | ErrorClass::Exhausted
            | ErrorClass::Limit
            | ErrorClass::Invalid
            | ErrorClass::TokenReused => Retry::Final,
            ErrorClass::Fenced => Retry::Fenced,
        }
    }
}
