//! The clocks of the simulated cloud.
//!
//! The cloud's clock (`now`) is used for latencies, completions, ClientTokens and the call log. It is real or virtual.
//! In virtual time a wait takes no real time: when every call in flight waits, the clock jumps to the next moment that
//! a call waits for.
//!
//! The gateway's clock (`gateway`) judges time stamps and the life of credentials. It is the machine's clock plus a
//! skew, because callers sign with the machine's time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

/// How time passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClockMode {
    /// With the machine's clock.
    #[default]
    Real,
    /// Time stands still while a call acts, and jumps when all calls wait. When the last call ends, time jumps on until
    /// nothing is pending.
    Virtual,
    /// As `Virtual`, but pending transitions stay pending until a later call waits long enough or somebody advances the
    /// clock.
    Stepped,
}

/// A clock of a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ClockSetting {
    pub mode: ClockMode,
    /// The cloud's time at the start; the machine's time when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<Timestamp>,
    /// How far the gateway's clock is ahead of the machine's.
    pub skew: Skew,
}

/// A difference of clocks, within 100 years either way; written `5m`, `-40m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "SignedDuration", into = "SignedDuration")]
pub struct Skew(SignedDuration);

/// A skew of more than 100 years.
#[derive(Debug, thiserror::Error)]
#[error("a clock cannot be {0} off; choose less than 100 years")]
pub struct SkewError(SignedDuration);

impl TryFrom<SignedDuration> for Skew {
    type Error = SkewError;

    fn try_from(skew: SignedDuration) -> Result<Self, Self::Error> {
        match skew.unsigned_abs() <= crate::world::timing::LONGEST {
            true => Ok(Skew(skew)),
            false => Err(SkewError(skew)),
        }
    }
}

impl From<Skew> for SignedDuration {
    fn from(skew: Skew) -> Self {
        skew.0
    }
}

/// A clock that many calls wait on.
#[derive(Debug)]
pub struct Clock {
    mode: ClockMode,
    /// The machine's time at the start. Later times are measured from it with the monotonic clock, so that a change of
    /// the machine's time never moves a completion.
    wall: Timestamp,
    since: Instant,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// In virtual modes the time; in real mode the time at which the monotonic measure was zero.
    base: Timestamp,
    skew: Skew,
    /// Number of calls that act at this moment and do not wait.
    running: usize,
    sleepers: BTreeMap<(Timestamp, u64), oneshot::Sender<()>>,
    last_sleeper: u64,
}

impl Clock {
    /// A clock that starts now.
    pub fn start(setting: ClockSetting) -> Clock {
        let wall = Timestamp::now();
        Clock {
            mode: setting.mode,
            wall,
            since: Instant::now(),
            inner: Mutex::new(Inner {
                base: setting.start.unwrap_or(wall),
                skew: setting.skew,
                running: 0,
                sleepers: BTreeMap::new(),
                last_sleeper: 0,
            }),
        }
    }

    /// How time passes.
    pub fn mode(&self) -> ClockMode {
        self.mode
    }

    /// The cloud's time.
    pub fn now(&self) -> Timestamp {
        let base = self.inner.lock().base;
        match self.mode {
            ClockMode::Real => base + self.since.elapsed(),
            ClockMode::Virtual | ClockMode::Stepped => base,
        }
    }

    /// The machine's time, measured with the monotonic clock.
    pub fn wall(&self) -> Timestamp {
        self.wall + self.since.elapsed()
    }

    /// The gateway's time.
    pub fn gateway(&self) -> Timestamp {
        self.wall() + self.inner.lock().skew.0
    }

    /// How far the gateway's clock is ahead.
    pub fn skew(&self) -> Skew {
        self.inner.lock().skew
    }

    /// Puts the gateway's clock forward or back against the machine's.
    pub fn set_skew(&self, skew: Skew) {
        self.inner.lock().skew = skew;
    }

    /// Lets time pass at once.
    pub fn advance(&self, by: Duration) {
        let mut inner = self.inner.lock();
        // The clock stops at the end of the calendar.
        inner.base = inner.base.saturating_add(by).unwrap_or(inner.base);
    }

    /// In real mode, the span until `at`; zero when `at` has passed.
    pub fn until(&self, at: Timestamp) -> Duration {
        Duration::try_from(at.duration_since(self.now())).unwrap_or(Duration::ZERO)
    }

    /// Counts a call as acting until the returned guard is dropped.
    pub fn busy(&self) -> Busy<'_> {
        self.inner.lock().running += 1;
        Busy(self)
    }

    /// Counts a call as not acting, while it waits for something other than time, until the returned guard is dropped.
    pub fn away(&self) -> Away<'_> {
        self.leave(&mut self.inner.lock());
        Away(self)
    }

    /// Waits. The caller holds a [`Busy`] guard.
    pub async fn sleep(&self, span: Duration) {
        if span.is_zero() {
            return;
        }
        if self.mode == ClockMode::Real {
            return tokio::time::sleep(span).await;
        }
        let woken = {
            let mut inner = self.inner.lock();
            inner.last_sleeper += 1;
            let key = (inner.base + span, inner.last_sleeper);
            let (waker, woken) = oneshot::channel();
            inner.sleepers.insert(key, waker);
            self.leave(&mut inner);
            woken
        };
        // The waker counts the call as acting again. The clock lives as long as its calls.
        let _ = woken.await;
    }

    /// Whether no other call acts or waits for time. In this case time may jump on to pending transitions.
    pub fn alone(&self) -> bool {
        let inner = self.inner.lock();
        self.mode == ClockMode::Virtual && inner.running == 1 && inner.sleepers.is_empty()
    }

    /// Jumps to a later time.
    pub fn jump_to(&self, at: Timestamp) {
        let mut inner = self.inner.lock();
        inner.base = inner.base.max(at);
    }

    fn leave(&self, inner: &mut Inner) {
        inner.running = inner.running.saturating_sub(1);
        while inner.running == 0
            && let Some(((at, _), waker)) = inner.sleepers.pop_first()
        {
            inner.base = inner.base.max(at);
            // One call is woken at a time, so that calls act in the order of their times. A call that was given up is
            // skipped.
            if waker.send(()).is_ok() {
                inner.running = 1;
            }
        }
    }
}

/// While this guard lives, its call counts as acting.
#[derive(Debug)]
pub struct Busy<'a>(&'a Clock);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.leave(&mut self.0.inner.lock());
    }
}

/// While this guard lives, its call counts as not acting: it waits for something other than time.
#[derive(Debug)]
pub struct Away<'a>(&'a Clock);

impl Drop for Away<'_> {
    fn drop(&mut self) {
        self.0.inner.lock().running += 1;
    }
}
