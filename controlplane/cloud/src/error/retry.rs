//! How soon a failed call is worth another plan. The client never repeats a call by itself; whoever planned
//! it looks again at this pace, and then sends what the new plan says.

use std::time::Duration;

use super::{CloudError, ErrorClass};

/// Kinds of failure by what helps against them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Retry {
    /// No answer came: the way to the cloud is disturbed.
    Transport,
    /// The cloud has a fault of its own, or its answer cannot be read.
    Transient,
    /// Too many calls. The bucket is slower already and makes the next call wait, so the plan need not.
    Throttle,
    /// The object is in the middle of something else.
    Conflict,
    /// Keys or permissions are wrong. Calls are held back until one of them gets through, so looking again
    /// costs little, and repair is noticed soon.
    Barred,
    /// It fails until somebody changes something.
    Final,
    /// The lease has to be renewed first; nothing is wrong with the call.
    Fenced,
}

/// Delays of repetitions: the first one, doubled each time (with jitter) up to the longest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    pub first: Duration,
    pub most: Duration,
}

impl Retry {
    /// The delays of this kind.
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
