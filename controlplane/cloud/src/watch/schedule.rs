//! Decides when to ask for which ENI. `Schedule` is a plain value; the caller passes the time.
//!
//! The rules and their reasons:
//! - An ENI is first asked for when its change is typically done, and again after a share of its age.
//! - ENIs are asked for together, up to a full call. A small call waits for more ENIs, unless calls have been rare or
//!   no other ENI is expected soon.
//! - While answers say "not yet", one call at a time probes for all. A thousand ENIs that attach together do not need a
//!   thousand answers to show that it is too early.
//! - An answer to a call that was sent before somebody began to wait does not count for this wait.

mod flow;
mod lesson;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use terway_core::cloud::EniObservation;

use self::flow::Flow;
use self::lesson::{Lesson, gap};
use super::credit::Credit;
use super::expect::Expect;
use super::queue::{Queue, merge};
use crate::requests::MAX_IDS_PER_DESCRIBE;

/// ENIs that are due within this time of each other are always asked for together.
const GATHER: Duration = Duration::from_millis(15);
/// Small calls a second for ENIs that attach. Under the default quotas (500 creates and 400 detaches a minute) this and
/// the next value keep an ENI's share of Describe calls below a tenth of a call each way.
const URGENT_PER_SECOND: f64 = 0.7;
/// Small calls a second for ENIs that are released.
const PATIENT_PER_SECOND: f64 = 0.3;
/// An observation of an ENI that nobody waits for is dropped after this time.
const KEEP_SEEN: Duration = Duration::from_secs(600);
/// Time between two questions for an id that the cloud refuses to look for.
const REFUSED_PAUSE: Duration = Duration::from_secs(60);
/// Number of variants of `Expect`.
const KINDS: usize = 3;

/// Somebody waits for a change of an ENI.
#[derive(Debug)]
struct Interest {
    what: Expect,
    /// When the wait began.
    since: Instant,
    /// When the change began, if this is known.
    begun: Option<Instant>,
    /// When to ask again; `None` before the first answer.
    again: Option<Instant>,
    /// When the cloud last looked and the change was not done.
    not_yet: Option<Instant>,
    /// Whether a call that asks for the ENI is under way.
    asking: bool,
}

/// The last observation of an ENI.
#[derive(Debug)]
struct LastSeen {
    observation: EniObservation,
    at: Instant,
    /// The change that the observation completed.
    met: Option<Expect>,
}

/// The ENIs that somebody waits for, the last observations, and the pace of calls.
#[derive(Debug)]
pub(super) struct Schedule {
    interests: HashMap<String, Interest>,
    /// The waiting ENIs, by `Expect`.
    queues: [Queue; KINDS],
    seen: HashMap<String, LastSeen>,
    /// When old observations were last dropped.
    swept: Option<Instant>,
    /// The allowance of calls with an ENI that attaches. Pods wait for these.
    urgent: Credit,
    /// The allowance of calls with released ENIs only.
    patient: Credit,
    flow: Flow,
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
            flow: Flow::default(),
        }
    }
}

impl Schedule {
    /// Waits for a change that has just begun. The ENI is asked for when the change is typically done.
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

    /// Waits for a change whose progress is unknown. The ENI is asked for at once.
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

    /// When to send the next call; `None` while there is nothing to ask, or while answers are due first.
    pub(super) fn next_poll(&mut self, now: Instant) -> Option<Instant> {
        if !self.flow.may_send() {
            return None;
        }
        let first = self.due().next()?.0;
        let full = self.due().nth(MAX_IDS_PER_DESCRIBE - 1).map(|(at, _)| at);
        // If all ENIs are due within GATHER, no other ENI would join the call later.
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
        Some(self.flow.not_before(at))
    }

    /// Takes the ENIs to ask for now, at most as many as fit one call. They are not due again until `answered` or
    /// `failed` is called.
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
        self.flow.sent();
        ids
    }

    /// Notes a complete answer. Returns the ids whose observation tells something new.
    pub(super) fn answered(
        &mut self,
        seen: Vec<(String, EniObservation)>,
        sent: Instant,
        now: Instant,
    ) -> Vec<String> {
        self.flow.answered();
        self.sweep(now);
        // The cloud looked at some moment between sending and answer. The middle has the smallest error.
        let looked = sent + now.saturating_duration_since(sent) / 2;
        let mut news = Vec::new();
        let mut lessons: [Lesson; KINDS] = Default::default();
        for (id, observation) in seen {
            let Some(interest) = self.interests.get_mut(&id) else {
                continue;
            };
            // The call was sent for an earlier wait of this ENI.
            if !interest.asking || interest.since > sent {
                continue;
            }
            interest.asking = false;
            let what = interest.what;
            let met = what.is_met_by(&observation);
            lessons[what as usize].take(
                interest,
                met,
                looked,
                self.queues[what as usize].typical.estimate(),
            );
            let expected = !met && what.is_under_way(&observation);
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
                    // The change has not begun yet, so its time counts from here. If its beginning was unknown, a later
                    // `expect` tells it.
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
                LastSeen {
                    observation,
                    at: now,
                    met: met.then_some(what),
                },
            );
        }
        self.learn(lessons, looked);
        news
    }

    /// Notes ids that the cloud refuses to look for. They are asked for rarely, because somebody has to act first.
    pub(super) fn refused(&mut self, ids: &[String], now: Instant) {
        let again = now + REFUSED_PAUSE;
        for id in ids {
            if let Some(interest) = self.interests.get_mut(id).filter(|interest| interest.asking) {
                interest.asking = false;
                interest.again = Some(again);
                self.queues[interest.what as usize].add_again(again, id);
            }
        }
    }

    /// Notes a failed call. All its ENIs are due again after a pause, which grows with each failure.
    pub(super) fn failed(&mut self, ids: Vec<String>, now: Instant) {
        let resumes = self.flow.failed(now);
        for id in ids {
            if let Some(interest) = self.interests.get_mut(&id).filter(|interest| interest.asking) {
                interest.asking = false;
                interest.again = Some(resumes);
                self.queues[interest.what as usize].add_again(resumes, &id);
            }
        }
    }

    fn learn(&mut self, lessons: [Lesson; KINDS], looked: Instant) {
        let (mut done, mut early) = (0, 0);
        for (queue, lesson) in self.queues.iter_mut().zip(lessons) {
            let typical = &mut queue.typical;
            // An ENI that takes far longer than usual says nothing about the others.
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
        self.flow.judge(done, early);
    }

    /// The waiting ENIs that no call asks for at present, in order of being due.
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

    /// Drops observations older than [`KEEP_SEEN`] of ENIs that nobody waits for. Does so at most once per
    /// [`KEEP_SEEN`].
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

#[cfg(test)]
mod tests;
