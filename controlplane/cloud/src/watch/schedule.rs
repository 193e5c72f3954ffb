//! When to ask for which ENI: a plain value, time passed in.
//!
//! Rules, and why:
//! - an ENI is first asked for when its change is typically done, and again after a share of its age;
//! - ENIs are asked for together, up to a full call, and small calls wait for company unless calls have
//!   been rare or nobody else is on the way;
//! - while answers say "not yet", one call at a time probes for all: a thousand ENIs attaching together
//!   need no thousand answers to know that it is too early;
//! - an answer that left before somebody began to wait is no answer to him.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use terway_core::cloud::{EniObservation, EniStatus};

use super::Expect;
use super::credit::Credit;
use super::queue::{Queue, merge};
use crate::requests::MAX_IDS_PER_DESCRIBE;

/// ENIs due within this time of each other are asked for together in any case.
const GATHER: Duration = Duration::from_millis(15);
/// Small calls a second that a steady trickle of attachments, or of releases, may cost. Under the default
/// quotas (500 creates, 400 detaches a minute) this keeps an ENI's share of Describe calls below a tenth of
/// a call each way.
const URGENT_PER_SECOND: f64 = 0.7;
const PATIENT_PER_SECOND: f64 = 0.3;
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
/// Kinds of `Expect`, in the order of its declaration.
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
#[derive(Debug)]
pub(super) struct Schedule {
    interests: HashMap<String, Interest>,
    /// By kind of change.
    queues: [Queue; KINDS],
    seen: HashMap<String, Seen>,
    swept: Option<Instant>,
    /// For calls about attachments, which pods wait for, and for calls about nothing but releases.
    urgent: Credit,
    patient: Credit,
    calls: usize,
    flowing: bool,
    failures: u32,
    paused_until: Option<Instant>,
}

impl Default for Schedule {
    fn default() -> Self {
        Schedule {
            interests: HashMap::new(),
            queues: Default::default(),
            seen: HashMap::new(),
            swept: None,
            urgent: Credit::new(URGENT_PER_SECOND, Duration::from_secs(2)),
            patient: Credit::new(PATIENT_PER_SECOND, Duration::from_secs(3)),
            calls: 0,
            flowing: false,
            failures: 0,
            paused_until: None,
        }
    }
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
        self.queues[what as usize].add_fresh(now, id);
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
        self.queues[what as usize].add_again(now, id);
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
        let last = self.queues.iter().filter_map(Queue::last_due).max();
        let alone = last
            .filter(|last| *last <= first + GATHER)
            .map(|last| last + GATHER);
        let [attached, free, gone] = &self.queues;
        let released = [free.first_due(), gone.first_due()].into_iter().flatten().min();
        let urgent = attached
            .first_due()
            .map(|due| self.urgent.pays_at(now, due + GATHER));
        let patient = released.map(|due| self.patient.pays_at(now, due + GATHER));
        let at = [urgent, patient, full, alone].into_iter().flatten().min()?;
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
        let mut for_pods = false;
        for id in &ids {
            self.unqueue(id);
            if let Some(interest) = self.interests.get_mut(id) {
                interest.asking = true;
                for_pods |= interest.what == Expect::Attached;
            }
        }
        let credit = if for_pods {
            &mut self.urgent
        } else {
            &mut self.patient
        };
        credit.pay(ids.len(), now);
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
            lessons[what as usize].take(
                interest,
                met,
                looked,
                self.queues[what as usize].typical.estimate(),
            );
            let expected = !met && is_under_way(what, &observation);
            let before = self.seen.get(&id).map(|seen| &seen.observation);
            if met || before.map_or(!expected, |before| *before != observation) {
                news.push(id.clone());
            }
            if met {
                self.interests.remove(&id);
            } else {
                let typical = self.queues[what as usize].typical.estimate();
                let at = if expected {
                    looked + gap(looked.saturating_duration_since(interest.since), typical)
                } else {
                    // It has not begun, whatever was believed, so its time counts from here; of one that
                    // was only looked at, the call that begins it will still tell.
                    interest.begun = interest.begun.map(|_| looked);
                    let age = looked.saturating_duration_since(interest.since);
                    looked + gap(age, typical).max(typical / 8)
                };
                let at = at.max(now);
                interest.again = Some(at);
                interest.not_yet = Some(looked);
                self.queues[what as usize].add_again(at, &id);
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
                self.queues[interest.what as usize].add_again(now + pause, &id);
            }
        }
    }

    fn learn(&mut self, lessons: [Lesson; KINDS], looked: Instant) {
        let (mut done, mut early) = (0, 0);
        for (queue, lesson) in self.queues.iter_mut().zip(lessons) {
            let typical = &mut queue.typical;
            // Those far beyond the usual say nothing about the others.
            if let Some(age) = lesson
                .early
                .iter()
                .min()
                .filter(|age| **age <= typical.estimate() * 3)
            {
                queue.hold = Some(looked + gap(*age, typical.estimate()));
                early += lesson.early.len();
            } else if lesson.done > 0 {
                queue.hold = None;
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
        let [attached, free, gone] = &self.queues;
        merge(attached.due(), merge(free.due(), gone.due()))
    }

    fn unqueue(&mut self, id: &str) {
        if let Some(interest) = self.interests.get(id) {
            let queue = &mut self.queues[interest.what as usize];
            match interest.again {
                Some(at) => queue.remove_again(at, id),
                None => queue.remove_fresh(interest.since, id),
            }
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
            .map(|before| before.saturating_duration_since(begun))
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
