//! One token bucket with a queue per priority, fair between nodes. It is a plain value; the caller passes the time.

use std::time::{Duration, Instant};

use terway_core::fairness::FairQueue;

use super::Priority;

/// A priority whose first waiter has waited this long gets a share of the tokens, even if more urgent waiters exist. A
/// flood of urgent calls therefore cannot keep the others out for good.
const PATIENCE: Duration = Duration::from_secs(20);
/// This share is one grant after this many grants to the most urgent priority. A larger share would let a long queue of
/// creates reverse the order of priorities.
const URGENT_IN_A_ROW: u32 = 4;
/// Nothing is granted for this long after the cloud refused a call as too many.
const PAUSE: Duration = Duration::from_secs(1);
/// Refusals within this time belong to calls that were under way together, and slow the bucket down only once.
const SAME_BURST: Duration = Duration::from_secs(2);
/// We count a call when it is sent, the cloud when it arrives (unverified). The tokens of this much time stay in
/// reserve, so that a call that overtakes earlier calls is not refused.
const ON_THE_WAY: Duration = Duration::from_millis(250);
/// The rate is never below this share of the nominal rate.
const LEAST_SHARE: f64 = 1.0 / 16.0;
/// Time in which the rate grows from the least share to the nominal rate when the cloud refuses nothing.
const RECOVERY: Duration = Duration::from_secs(60);

/// A token bucket. `T` is the handle that tells a waiter about its token.
#[derive(Debug)]
pub(crate) struct Bucket<T> {
    /// Tokens a second when the cloud refuses nothing.
    nominal: f64,
    /// Largest number of tokens.
    burst: f64,
    tokens: f64,
    /// Share of the nominal rate that is used at present, after refusals of the cloud.
    share: f64,
    updated: Instant,
    throttled_at: Option<Instant>,
    waiting: [FairQueue<(Instant, T)>; Priority::ALL.len()],
    /// Number of grants to the most urgent priority since a less urgent one had its share.
    urgent_in_a_row: u32,
}

impl<T> Bucket<T> {
    /// A full bucket. It holds one minute's tokens less the reserve of [`ON_THE_WAY`].
    pub(crate) fn new(per_minute: u32, now: Instant) -> Self {
        let nominal = f64::from(per_minute.max(1)) / 60.0;
        let burst = (nominal * (60.0 - ON_THE_WAY.as_secs_f64())).max(1.0);
        Bucket {
            nominal,
            burst,
            tokens: burst,
            share: 1.0,
            updated: now,
            throttled_at: None,
            waiting: std::array::from_fn(|_| FairQueue::default()),
            urgent_in_a_row: URGENT_IN_A_ROW,
        }
    }

    /// Takes a token if one is free and nobody waits for one. Returns whether it did.
    pub(crate) fn try_take(&mut self, now: Instant) -> bool {
        self.refill(now);
        let free = self.tokens >= 1.0 && !self.paused(now) && !self.is_wanted();
        if free {
            self.tokens -= 1.0;
        }
        free
    }

    /// Adds a waiter. Within a priority, owners (nodes) are served in turn.
    pub(crate) fn wait(&mut self, priority: Priority, owner: &str, now: Instant, waiter: T) {
        self.waiting[priority.index()].push(owner, (now, waiter));
    }

    /// Whether there are waiters.
    pub(crate) fn is_wanted(&self) -> bool {
        self.waiting.iter().any(|queue| !queue.is_empty())
    }

    /// Gives free tokens to waiters, at most `most`, and returns the number of given tokens. `give` returns false for a
    /// waiter that has gone away; this costs no token.
    pub(crate) fn grant(&mut self, now: Instant, most: usize, mut give: impl FnMut(T) -> bool) -> usize {
        self.refill(now);
        let mut granted = 0;
        while granted < most && self.tokens >= 1.0 && !self.paused(now) {
            let Some(waiter) = self.pop(now) else { break };
            if give(waiter) {
                self.tokens -= 1.0;
                granted += 1;
            }
        }
        granted
    }

    /// Removes and returns the waiters for whom `out` is true.
    pub(crate) fn dismiss(&mut self, out: impl Fn(&T) -> bool) -> Vec<T> {
        let queues = self.waiting.iter_mut();
        let taken = queues.flat_map(|queue| queue.extract(|(_, waiter)| out(waiter)));
        taken.map(|(_, waiter)| waiter).collect()
    }

    /// The earliest time at which `grant` can give a token; `None` while nobody waits.
    pub(crate) fn next_grant(&self) -> Option<Instant> {
        if !self.is_wanted() {
            return None;
        }
        let missing = (1.0 - self.tokens).max(0.0);
        // The time is 50 µs late, because a rounding error that makes it early would make the driver spin.
        let ready = self.updated + Duration::from_secs_f64(missing / self.rate()) + Duration::from_micros(50);
        Some(self.throttled_at.map_or(ready, |at| ready.max(at + PAUSE)))
    }

    /// Takes back a token that was not used.
    pub(crate) fn give_back(&mut self) {
        self.tokens = (self.tokens + 1.0).min(self.burst);
    }

    /// Slows the bucket down after the cloud refused a call as too many.
    pub(crate) fn throttled(&mut self, now: Instant) {
        self.refill(now);
        if self
            .throttled_at
            .is_some_and(|at| now.duration_since(at) < SAME_BURST)
        {
            return;
        }
        self.throttled_at = Some(now);
        self.share = (self.share / 2.0).max(LEAST_SHARE);
        // The refusal shows that the account's own bucket is empty.
        self.tokens = 0.0;
    }

    fn pop(&mut self, now: Instant) -> Option<T> {
        let urgent = self.waiting.iter().position(|queue| !queue.is_empty())?;
        let due = self.urgent_in_a_row >= URGENT_IN_A_ROW;
        let impatient = due.then(|| self.impatient(urgent, now)).flatten();
        self.urgent_in_a_row = match impatient {
            Some(_) => 0,
            None => self.urgent_in_a_row.saturating_add(1),
        };
        let (_, waiter) = self.waiting[impatient.unwrap_or(urgent)].pop()?;
        Some(waiter)
    }

    /// Of the priorities less urgent than `urgent`, the one that has waited longest, if it has waited for [`PATIENCE`].
    fn impatient(&self, urgent: usize, now: Instant) -> Option<usize> {
        let first = |queue: &FairQueue<(Instant, T)>| queue.firsts().map(|(since, _)| *since).min();
        let classes = self.waiting.iter().enumerate().skip(urgent + 1);
        let (since, class) = classes
            .filter_map(|(class, queue)| Some((first(queue)?, class)))
            .min()?;
        (now.saturating_duration_since(since) >= PATIENCE).then_some(class)
    }

    fn paused(&self, now: Instant) -> bool {
        self.throttled_at.is_some_and(|at| now < at + PAUSE)
    }

    fn rate(&self) -> f64 {
        self.nominal * self.share
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.updated).as_secs_f64();
        self.updated = self.updated.max(now);
        self.tokens = (self.tokens + passed * self.rate()).min(self.burst);
        let regained = passed / RECOVERY.as_secs_f64() * (1.0 - LEAST_SHARE);
        self.share = (self.share + regained).min(1.0);
    }
}

#[cfg(test)]
mod tests;
