//! What is known of one vSwitch, and for how long it counts.

use std::time::{Duration, Instant};

use terway_core::cloud::VSwitch;
use terway_core::vswitch::Candidate;

/// How long a vSwitch is left alone that refused an address although it counted some. The time doubles with each
/// refusal in a row.
const BLOCK: Duration = Duration::from_secs(10);
const LONGEST_BLOCK: Duration = Duration::from_secs(300);

/// How long answers of the cloud count.
#[derive(Debug, Clone, Copy)]
pub struct Lives {
    /// A vSwitch with free addresses.
    pub known: Duration,
    /// A vSwitch without free addresses. Pods may wait for it, and the cloud does not tell when it has some again.
    pub full: Duration,
    /// "No such vSwitch". Somebody may be creating the vSwitch.
    pub absent: Duration,
}

impl Lives {
    /// The lives of a cluster whose vSwitches count for `known`.
    pub fn of(known: Duration) -> Self {
        Self {
            known,
            full: known.min(Duration::from_secs(5)),
            absent: Duration::from_secs(5),
        }
    }
}

/// One vSwitch as the cloud described it, and what happened to its addresses since.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) vswitch: VSwitch,
    pub(super) read_at: Instant,
    /// Addresses that were taken since the vSwitch was read, less those that were given back.
    taken: i64,
    refusals: Option<Refusals>,
}

/// Refusals in a row by a vSwitch whose count of free addresses did not grow meanwhile.
#[derive(Debug, Clone, Copy)]
struct Refusals {
    number: u32,
    until: Instant,
    /// The lowest count since the first of them.
    counted: i64,
}

impl Entry {
    pub(super) fn new(vswitch: VSwitch, now: Instant) -> Self {
        Self {
            vswitch,
            read_at: now,
            taken: 0,
            refusals: None,
        }
    }

    /// The vSwitch was read again.
    pub(super) fn read(&mut self, vswitch: VSwitch, now: Instant) {
        let count = vswitch.available_ips;
        self.refusals = self
            .refusals
            .filter(|refusals| count <= refusals.counted)
            .map(|refusals| Refusals {
                counted: count,
                ..refusals
            });
        (self.vswitch, self.read_at, self.taken) = (vswitch, now, 0);
    }

    /// Addresses were taken, or given back if `count` is negative.
    pub(super) fn used(&mut self, count: i64) {
        self.taken = self.taken.saturating_add(count);
        if count < 0 {
            self.refusals = None;
        }
    }

    /// The vSwitch refused an address.
    pub(super) fn refused(&mut self, now: Instant) {
        // This call was sent before the first of them was refused, so it says nothing new. A hundred pods that come at
        // once would otherwise block a vSwitch for minutes.
        if self.refusals.is_some_and(|refusals| now < refusals.until) {
            return;
        }
        let before = self.refusals.map_or(0, |refusals| refusals.number);
        let block = BLOCK.saturating_mul(1 << before.min(8)).min(LONGEST_BLOCK);
        self.refusals = Some(Refusals {
            number: before.saturating_add(1),
            until: now + block,
            counted: self
                .refusals
                .map_or(self.vswitch.available_ips, |refusals| refusals.counted),
        });
    }

    /// Number of addresses that can be taken now.
    pub(super) fn available(&self, now: Instant) -> i64 {
        match self.refusals {
            Some(refusals) if now < refusals.until => 0,
            _ => self.vswitch.available_ips.saturating_sub(self.taken).max(0),
        }
    }

    /// Whether the last answer still counts.
    pub(super) fn is_fresh(&self, now: Instant, lives: &Lives) -> bool {
        let life = match self.available(now) {
            0 => lives.full,
            _ => lives.known,
        };
        now.saturating_duration_since(self.read_at) < life
    }

    pub(super) fn candidate(&self, now: Instant) -> Candidate {
        Candidate {
            id: self.vswitch.id.clone(),
            zone: self.vswitch.zone_id.clone(),
            cidrs: self.vswitch.cidrs,
            available: self.available(now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use terway_core::cloud::Cidrs;

    const LIVES: Lives = Lives {
        known: Duration::from_secs(1200),
        full: Duration::from_secs(5),
        absent: Duration::from_secs(5),
    };

    fn vswitch(available_ips: i64) -> VSwitch {
        VSwitch {
            id: "vsw-1".into(),
            zone_id: "h".into(),
            vpc_id: "vpc-1".into(),
            cidrs: Cidrs::default(),
            available_ips,
        }
    }

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn refusals_of_one_moment_block_as_long_as_one_refusal() {
        let start = Instant::now();
        let mut entry = Entry::new(vswitch(100), start);
        for pod in 0..100u64 {
            entry.refused(start + Duration::from_millis(pod));
        }
        assert_eq!(entry.available(start + seconds(1)), 0);
        assert_eq!(entry.available(start + BLOCK), 100);
    }

    #[test]
    fn addresses_that_come_back_can_be_taken_again() {
        let now = Instant::now();
        let mut entry = Entry::new(vswitch(252), now);
        // A day of jobs: each takes an address and gives it back.
        for _ in 0..10_000 {
            entry.used(1);
            assert!(entry.available(now) >= 251);
            entry.used(-1);
        }
        assert_eq!(entry.available(now), 252);
    }

    #[test]
    fn a_full_vswitch_is_read_again_soon_and_another_one_late() {
        let now = Instant::now();
        let mut entry = Entry::new(vswitch(1), now);
        assert!(entry.is_fresh(now + seconds(1199), &LIVES));
        assert!(!entry.is_fresh(now + seconds(1200), &LIVES));
        entry.used(1);
        assert!(entry.is_fresh(now + seconds(4), &LIVES));
        assert!(!entry.is_fresh(now + seconds(5), &LIVES));
    }

    #[test]
    fn a_vswitch_that_refuses_what_it_counts_is_tried_more_and_more_rarely() {
        let mut now = Instant::now();
        let mut entry = Entry::new(vswitch(9), now);
        let mut last = Duration::ZERO;
        for _ in 0..20 {
            entry.refused(now);
            entry.read(vswitch(9), now);
            let block = (1..)
                .map(seconds)
                .find(|after| entry.available(now + *after) > 0)
                .unwrap();
            assert!(block >= last && block <= LONGEST_BLOCK, "{block:?}");
            last = block;
            now += block;
        }
        assert_eq!(last, LONGEST_BLOCK);
    }

    #[test]
    fn a_vswitch_that_got_room_is_used_at_once_however_often_it_refused() {
        let now = Instant::now();
        let mut entry = Entry::new(vswitch(252), now);
        for _ in 0..5 {
            entry.refused(now);
        }
        // Somebody else has taken all, and then gives all but two back.
        entry.read(vswitch(0), now);
        assert_eq!(entry.available(now), 0);
        entry.read(vswitch(250), now);
        assert_eq!(entry.available(now), 250);
        entry.refused(now);
        entry.used(-1);
        assert_eq!(entry.available(now), 251);
    }

    proptest! {
        /// Whatever numbers the cloud and the callers say, a count is a count.
        #[test]
        fn no_number_breaks_the_count(counts in proptest::collection::vec((any::<i64>(), any::<i64>(), any::<bool>()), 0..20)) {
            let now = Instant::now();
            let mut entry = Entry::new(vswitch(0), now);
            for (read, used, refused) in counts {
                entry.read(vswitch(read), now);
                entry.used(used);
                if refused {
                    entry.refused(now);
                }
                prop_assert!(entry.available(now) >= 0);
                prop_assert!(!refused || entry.available(now) == 0);
            }
        }
    }
}
