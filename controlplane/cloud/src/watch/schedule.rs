//! When to ask for which ENI: a plain value, time passed in.
//!
//! Rules, and why:
//! - an ENI is first asked for when its change is typically done, and again after a share of its age;
//! - ENIs are asked for together, up to a full call, and small calls wait for company unless calls have
//!   been rare or nobody else is on the way;
//! - while answers say "not yet", one call at a time probes for all: a thousand ENIs attaching together
//!   need no thousand answers to know that it is too early;
//! - an answer that left before somebody began to wait is no answer to him.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use terway_core::cloud::{EniObservation, EniStatus};

use super::Expect;
use super::credit::Credit;
use super::typical::Typical;
use crate::requests::MAX_IDS_PER_DESCRIBE;

/// ENIs due within this time of each other are asked for together in any case.
const GATHER: Duration = Duration::from_millis(15);
/// No small call waits longer for company.
const LONGEST_GATHER: Duration = Duration::from_secs(2);
/// Calls under way at once while answers are mostly good.
const MOST_CALLS: usize = 4;
/// Shortest and longest time until an ENI is asked for again.
const LEAST_GAP: Duration = Duration::from_millis(50);
const MOST_GAP: Duration = Duration::from_secs(15);
/// Pause after a failed call, doubled with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const MOST_PAUSE: Duration = Duration::from_secs(10);
/// An observation that nobody forgot is dropped after this time.
const KEEP_SEEN: Duration = Duration::from_secs(600);
const KINDS: usize = 3;

#[derive(Debug)]
struct Interest {
    what: Expect,
    since: Instant,
    /// When the change began, as far as that is known.
    begun: Option<Instant>,
    /// When to ask again; `None` before the first answer.
    again: Option<Instant>,
    /// Time of the last answer that said "not yet", as seen by the cloud.
    not_yet: Option<Instant>,
    asking: bool,
}

#[derive(Debug)]
struct Seen {
    observation: EniObservation,
    at: Instant,
    met: Option<Expect>,
}

/// Who is waited for, what was seen, and what that teaches.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    interests: HashMap<String, Interest>,
    /// Not asked for yet, per kind; in order of beginning, which is the order of being due.
    fresh: [BTreeSet<(Instant, String)>; KINDS],
    /// Asked for and not met, in order of being due.
    again: BTreeSet<(Instant, String)>,
    typical: [Typical; KINDS],
    /// Fresh ones of a kind wait until here after an answer of "not yet" to others like them.
    hold: [Option<Instant>; KINDS],
    seen: HashMap<String, Seen>,
    swept: Option<Instant>,
    credit: Credit,
    calls: usize,
    flowing: bool,
    failures: u32,
    paused_until: Option<Instant>,
}

impl Schedule {
    /// The change has just begun: it is asked for when it is typically done.
    pub(super) fn expect(&mut self, id: &str, what: Expect, now: Instant) {
        let begun = self
            .interests
            .get(id)
            .is_some_and(|now| now.what == what && now.begun.is_some());
        if begun || self.is_met(id, what) {
            return;
        }
        self.remove(id);
        let interest = Interest {
            what,
            since: now,
            begun: Some(now),
            again: None,
            not_yet: None,
            asking: false,
        };
        self.interests.insert(id.to_owned(), interest);
        self.fresh[what as usize].insert((now, id.to_owned()));
    }

    /// Nobody knows how far the change is: it is asked for at once.
    pub(super) fn look(&mut self, id: &str, what: Expect, now: Instant) {
        if self.interests.get(id).is_some_and(|now| now.what == what) || self.is_met(id, what) {
            return;
        }
        self.remove(id);
        let interest = Interest {
            what,
            since: now,
            begun: None,
            again: Some(now),
            not_yet: None,
            asking: false,
        };
        self.interests.insert(id.to_owned(), interest);
        self.again.insert((now, id.to_owned()));
    }

    fn is_met(&self, id: &str, what: Expect) -> bool {
        !self.interests.contains_key(id) && self.seen.get(id).is_some_and(|seen| seen.met == Some(what))
    }

    pub(super) fn forget(&mut self, id: &str) {
        self.remove(id);
        self.seen.remove(id);
    }

    pub(super) fn latest(&self, id: &str) -> Option<(EniObservation, Instant)> {
        self.seen.get(id).map(|seen| (seen.observation.clone(), seen.at))
    }

    pub(super) fn waiting(&self) -> usize {
        self.interests.len()
    }

    /// When the next call should go out; `None` while there is nothing to ask or an answer to wait for.
    pub(super) fn next_poll(&mut self, now: Instant) -> Option<Instant> {
        let allowed = if self.flowing { MOST_CALLS } else { 1 };
        if self.calls >= allowed {
            return None;
        }
        let first = self.due().next()?.0;
        let full = self.due().nth(MAX_IDS_PER_DESCRIBE - 1).map(|(at, _)| at);
        // With nobody else on the way, waiting would gain no company.
        let alone = self
            .last_due()
            .filter(|last| *last <= first + GATHER)
            .map(|last| last + GATHER);
        let paid = self
            .credit
            .ready_at(now)
            .clamp(first + GATHER, first + LONGEST_GATHER);
        let at = [Some(paid), full, alone].into_iter().flatten().min()?;
        Some(self.paused_until.map_or(at, |until| at.max(until)))
    }

    /// The ENIs to ask for now, at most one call's worth; they count as asked until an answer or a failure
    /// is reported.
    pub(super) fn take_batch(&mut self, now: Instant) -> Vec<String> {
        let due = self
            .due()
            .take_while(|(at, _)| *at <= now)
            .take(MAX_IDS_PER_DESCRIBE);
        let ids: Vec<String> = due.map(|(_, id)| id.clone()).collect();
        if ids.is_empty() {
            return ids;
        }
        for id in &ids {
            self.unqueue(id);
            if let Some(interest) = self.interests.get_mut(id) {
                interest.asking = true;
            }
        }
        self.credit.pay(ids.len(), now);
        self.calls += 1;
        ids
    }

    /// Takes in a complete answer; gives the ids whose news somebody should hear.
    pub(super) fn answered(
        &mut self,
        seen: Vec<(String, EniObservation)>,
        sent: Instant,
        now: Instant,
    ) -> Vec<String> {
        self.calls = self.calls.saturating_sub(1);
        self.failures = 0;
        self.paused_until = None;
        self.sweep(now);
        // The cloud looked some time between; the middle errs least.
        let looked = sent + now.saturating_duration_since(sent) / 2;
        let mut news = Vec::new();
        let mut lessons: [Lesson; KINDS] = Default::default();
        for (id, observation) in seen {
            let Some(interest) = self.interests.get_mut(&id) else {
                continue;
            };
            // Asked by somebody who has since been replaced, and before this one began to wait.
            if !interest.asking || interest.since > sent {
                continue;
            }
            interest.asking = false;
            let what = interest.what;
            let met = is_met(what, &observation);
            lessons[what as usize].take(interest, met, looked, self.typical[what as usize].estimate());
            let expected = !met && is_under_way(what, &observation);
            let before = self.seen.get(&id).map(|seen| &seen.observation);
            if met || before.map_or(!expected, |before| *before != observation) {
                news.push(id.clone());
            }
            if met {
                self.interests.remove(&id);
            } else {
                let typical = self.typical[what as usize].estimate();
                let at = if expected {
                    looked + gap(looked.saturating_duration_since(interest.since), typical)
                } else {
                    // It has not begun, whatever was believed, so its time counts from here.
                    interest.begun = Some(looked);
                    interest.since = looked;
                    looked + (typical / 8).max(LEAST_GAP)
                };
                let at = at.max(now);
                interest.again = Some(at);
                interest.not_yet = Some(looked);
                self.again.insert((at, id.clone()));
            }
            self.seen.insert(
                id,
                Seen {
                    observation,
                    at: now,
                    met: met.then_some(what),
                },
            );
        }
        self.learn(lessons, looked);
        news
    }

    /// The call failed: nothing was seen of anybody. All are due again after a pause that grows.
    pub(super) fn failed(&mut self, ids: Vec<String>, now: Instant) {
        self.calls = self.calls.saturating_sub(1);
        self.flowing = false;
        let pause = FIRST_PAUSE
            .saturating_mul(1 << self.failures.min(10))
            .min(MOST_PAUSE);
        self.failures += 1;
        self.paused_until = Some(now + pause);
        for id in ids {
            if let Some(interest) = self.interests.get_mut(&id).filter(|interest| interest.asking) {
                interest.asking = false;
                interest.again = Some(now + pause);
                self.again.insert((now + pause, id));
            }
        }
    }

    fn learn(&mut self, lessons: [Lesson; KINDS], looked: Instant) {
        let (mut done, mut early) = (0, 0);
        for (kind, lesson) in lessons.into_iter().enumerate() {
            let typical = &mut self.typical[kind];
            // Those far beyond the usual say nothing about the others.
            if let Some(age) = lesson
                .early
                .iter()
                .min()
                .filter(|age| **age <= typical.estimate() * 3)
            {
                self.hold[kind] = Some(looked + gap(*age, typical.estimate()));
                early += lesson.early.len();
            } else if lesson.done > 0 {
                self.hold[kind] = None;
            }
            done += lesson.done;
            typical.learn(lesson.done_at_first, lesson.early_at_first, lesson.measured);
        }
        if done + early > 0 {
            self.flowing = done >= early;
        }
    }

    /// Everybody who is not being asked for, earliest first.
    fn due(&self) -> impl Iterator<Item = (Instant, &String)> {
        let mut fresh: [_; KINDS] = std::array::from_fn(|kind| self.fresh[kind].iter().peekable());
        let mut again = self.again.iter().peekable();
        std::iter::from_fn(move || {
            let first_again = again.peek().map(|(at, _)| *at);
            let first_fresh = (0..KINDS)
                .filter_map(|kind| Some((self.fresh_due(kind, fresh[kind].peek()?.0), kind)))
                .min();
            match (first_again, first_fresh) {
                (Some(at), Some((fresh_at, _))) if at <= fresh_at => again.next().map(|(at, id)| (*at, id)),
                (_, Some((at, kind))) => fresh[kind].next().map(|(_, id)| (at, id)),
                (_, None) => again.next().map(|(at, id)| (*at, id)),
            }
        })
    }

    fn last_due(&self) -> Option<Instant> {
        let fresh = (0..KINDS).filter_map(|kind| Some(self.fresh_due(kind, self.fresh[kind].last()?.0)));
        fresh.chain(self.again.last().map(|(at, _)| *at)).max()
    }

    fn fresh_due(&self, kind: usize, since: Instant) -> Instant {
        let at = since + self.typical[kind].estimate();
        self.hold[kind].map_or(at, |hold| at.max(hold))
    }

    fn unqueue(&mut self, id: &str) {
        if let Some(interest) = self.interests.get(id) {
            let key = (interest.again.unwrap_or(interest.since), id.to_owned());
            match interest.again {
                Some(_) => self.again.remove(&key),
                None => self.fresh[interest.what as usize].remove(&key),
            };
        }
    }

    fn remove(&mut self, id: &str) {
        self.unqueue(id);
        self.interests.remove(id);
    }

    /// Drops what was seen long ago of ENIs nobody waits for; at most once in that time.
    fn sweep(&mut self, now: Instant) {
        if self.swept.is_some_and(|at| now < at + KEEP_SEEN) {
            return;
        }
        self.swept = Some(now);
        let interests = &self.interests;
        self.seen
            .retain(|id, seen| interests.contains_key(id) || now < seen.at + KEEP_SEEN);
    }
}

/// What one answer teaches about one kind.
#[derive(Debug, Default)]
struct Lesson {
    done: usize,
    done_at_first: usize,
    early_at_first: usize,
    measured: Vec<Duration>,
    early: Vec<Duration>,
}

impl Lesson {
    fn take(&mut self, interest: &Interest, met: bool, looked: Instant, typical: Duration) {
        // Of a change whose beginning is not known, nothing can be learned about its duration.
        let Some(begun) = interest.begun else { return };
        let age = looked.saturating_duration_since(begun);
        if !met {
            self.early.push(age);
            self.early_at_first += usize::from(interest.not_yet.is_none());
            return;
        }
        self.done += 1;
        match interest
            .not_yet
            .map(|before| before.saturating_duration_since(interest.since))
        {
            // A question that was late anyway does not show that an earlier one would have done.
            None if age <= typical.mul_f64(1.1) + LEAST_GAP => self.done_at_first += 1,
            // The end lies between two questions; far apart, they tell nothing.
            Some(before) if age - before <= (age / 4).max(LEAST_GAP * 4) => {
                self.measured.push((before + age) / 2);
            }
            None | Some(_) => {}
        }
    }
}

/// Time until the next question about an ENI of this age: a small share of it while it is in the usual
/// range, a large one beyond.
fn gap(age: Duration, typical: Duration) -> Duration {
    let gap = if age <= typical * 3 { age / 20 } else { age / 4 };
    gap.clamp(LEAST_GAP, MOST_GAP)
}

fn is_met(what: Expect, observation: &EniObservation) -> bool {
    match (what, observation) {
        (Expect::Attached, EniObservation::Present(eni)) => eni.status == EniStatus::InUse,
        (Expect::Free, EniObservation::Present(eni)) => eni.status == EniStatus::Available,
        (Expect::Gone, EniObservation::Absent) => true,
        (Expect::Attached | Expect::Free, EniObservation::Absent)
        | (Expect::Gone, EniObservation::Present(_)) => false,
    }
}

/// Whether this is what one sees on the way there, and so no news.
fn is_under_way(what: Expect, observation: &EniObservation) -> bool {
    let EniObservation::Present(eni) = observation else {
        return false;
    };
    match what {
        Expect::Attached => eni.status == EniStatus::Attaching,
        Expect::Free => eni.status == EniStatus::Detaching,
        Expect::Gone => eni.status == EniStatus::Deleting,
    }
}

#[cfg(test)]
mod tests;
