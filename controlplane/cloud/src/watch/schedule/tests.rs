//! The schedule against a cloud of plain values: who is told when, and for how many calls.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use terway_core::cloud::{CloudEni, EniKind, EniStatus};

use super::*;

const ROUND_TRIP: Duration = Duration::from_millis(60);

fn eni(id: &str, status: EniStatus) -> EniObservation {
    EniObservation::Present(Box::new(CloudEni {
        id: id.to_owned(),
        status,
        kind: EniKind::Member,
        mac: String::new(),
        zone_id: String::new(),
        vpc_id: String::new(),
        vswitch_id: String::new(),
        security_group_ids: Vec::new(),
        resource_group_id: String::new(),
        instance_id: None,
        trunk_eni_id: None,
        device_index: None,
        network_card_index: None,
        primary_ip: None,
        private_ips: Vec::new(),
        tags: BTreeMap::new(),
        creation_time: String::new(),
    }))
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A cloud in which each ENI is done at a known time; its calls take one round trip.
struct World {
    start: Instant,
    now: Instant,
    schedule: Schedule,
    done_at: BTreeMap<String, (Expect, Instant)>,
    /// Arrival of the answer, when it was sent, for whom.
    on_the_way: Vec<(Instant, Instant, Vec<String>)>,
    calls: usize,
    failing: BTreeSet<usize>,
    told: BTreeMap<String, Instant>,
}

impl World {
    fn new() -> Self {
        let start = Instant::now();
        World {
            start,
            now: start,
            schedule: Schedule::default(),
            done_at: BTreeMap::new(),
            on_the_way: Vec::new(),
            calls: 0,
            failing: BTreeSet::new(),
            told: BTreeMap::new(),
        }
    }

    fn begin(&mut self, id: &str, what: Expect, takes: Duration) {
        self.done_at.insert(id.to_owned(), (what, self.now + takes));
        self.schedule.expect(id, what, self.now);
    }

    fn look(&self, id: &str, at: Instant) -> EniObservation {
        let (what, done_at) = self.done_at[id];
        match (what, at >= done_at) {
            (Expect::Attached, false) => eni(id, EniStatus::Attaching),
            (Expect::Attached, true) => eni(id, EniStatus::InUse),
            (Expect::Free, false) => eni(id, EniStatus::Detaching),
            (Expect::Free, true) => eni(id, EniStatus::Available),
            (Expect::Gone, false) => eni(id, EniStatus::Deleting),
            (Expect::Gone, true) => EniObservation::Absent,
        }
    }

    /// Lets everything happen until this time.
    fn run_until(&mut self, end: Instant) {
        loop {
            let poll = self.schedule.next_poll(self.now).map(|at| at.max(self.now));
            let arrival = self.on_the_way.iter().map(|(at, ..)| *at).min();
            let Some(at) = [poll, arrival]
                .into_iter()
                .flatten()
                .min()
                .filter(|at| *at <= end)
            else {
                self.now = end;
                return;
            };
            self.now = at;
            if arrival == Some(at) {
                let index = self
                    .on_the_way
                    .iter()
                    .position(|(arrives, ..)| *arrives == at)
                    .unwrap();
                let (_, sent, ids) = self.on_the_way.swap_remove(index);
                self.arrive(sent, ids);
            } else {
                let ids = self.schedule.take_batch(at);
                assert!(ids.len() <= MAX_IDS_PER_DESCRIBE);
                assert!(!ids.is_empty(), "a poll was announced for nobody");
                self.on_the_way.push((at + ROUND_TRIP, at, ids));
            }
        }
    }

    fn arrive(&mut self, sent: Instant, ids: Vec<String>) {
        self.calls += 1;
        if self.failing.contains(&self.calls) {
            self.schedule.failed(ids, self.now);
            return;
        }
        let looked = sent + ROUND_TRIP / 2;
        let seen = ids
            .into_iter()
            .map(|id| (id.clone(), self.look(&id, looked)))
            .collect();
        for id in self.schedule.answered(seen, sent, self.now) {
            self.told.insert(id, self.now);
        }
    }

    fn run(&mut self, time: Duration) {
        self.run_until(self.now + time);
    }

    fn latest_told(&self) -> Duration {
        self.told
            .iter()
            .map(|(id, at)| *at - self.done_at[id].1)
            .max()
            .unwrap()
    }
}

#[test]
fn a_single_interface_is_seen_soon_after_it_is_done() {
    let mut world = World::new();
    for n in 0..60 {
        world.begin(&format!("eni-{n}"), Expect::Attached, ms(1500));
        world.run(Duration::from_secs(5));
        let late = world.told[&format!("eni-{n}")] - world.done_at[&format!("eni-{n}")].1;
        let bound = if n < 5 { ms(300) } else { ms(190) };
        assert!(late <= bound, "{n}: {late:?}");
    }
    let lates: Vec<_> = world
        .told
        .iter()
        .map(|(id, at)| *at - world.done_at[id].1)
        .collect();
    let mean = lates.iter().sum::<Duration>() / lates.len() as u32;
    assert!(mean <= ms(130), "{mean:?}");
    assert!(
        world.calls <= 130,
        "{} calls for 60 interfaces far apart",
        world.calls
    );
}

#[test]
fn a_thousand_at_once_cost_few_calls() {
    let mut world = World::new();
    for n in 0..1000 {
        world.begin(&format!("eni-{n}"), Expect::Attached, ms(1500));
    }
    world.run(Duration::from_secs(5));
    assert_eq!(world.told.len(), 1000);
    assert!(world.calls <= 25, "{} calls", world.calls);
    assert!(world.latest_told() <= ms(500), "{:?}", world.latest_told());
}

#[test]
fn a_thousand_that_end_at_different_times_cost_few_calls() {
    let mut world = World::new();
    for n in 0..1000 {
        world.begin(&format!("eni-{n}"), Expect::Attached, ms(1000 + n * 3));
    }
    world.run(Duration::from_secs(10));
    assert_eq!(world.told.len(), 1000);
    assert!(world.calls <= 60, "{} calls", world.calls);
}

/// The shape of a large start with the quotas lifted: attachments begin over a few seconds.
#[test]
fn a_thousand_within_four_seconds_cost_few_calls() {
    let mut world = World::new();
    for n in 0..1000 {
        world.begin(&format!("eni-{n}"), Expect::Attached, ms(1500));
        world.run(ms(4));
    }
    world.run(Duration::from_secs(5));
    assert_eq!(world.told.len(), 1000);
    assert!(world.calls <= 40, "{} calls", world.calls);
    assert!(world.latest_told() <= ms(1200), "{:?}", world.latest_told());
}

/// The shape of a large start under the default quotas: 500 at once, then 500 in a minute.
#[test]
fn a_minute_of_steady_trickle_costs_a_fraction_of_a_call_each() {
    let mut world = World::new();
    for n in 0..500 {
        world.begin(&format!("eni-{n}"), Expect::Attached, ms(1500));
    }
    for n in 500..1000 {
        world.run(ms(120));
        world.begin(&format!("eni-{n}"), Expect::Attached, ms(1500));
    }
    let last = world.now;
    world.run(Duration::from_secs(5));
    assert_eq!(world.told.len(), 1000);
    assert!(world.calls <= 90, "{} calls", world.calls);
    assert!(
        world.told["eni-999"] - last <= ms(2400),
        "{:?}",
        world.told["eni-999"] - last
    );
}

/// The shape of a large end under the default quotas: 400 detaches at once, then 400 in a minute, and a
/// delete after each.
#[test]
fn a_large_end_costs_a_tenth_of_a_call_each() {
    let mut world = World::new();
    let mut deleted = BTreeSet::new();
    for n in 0..7_000 {
        if n == 0 {
            for first in 0..400 {
                world.begin(&format!("eni-{first}"), Expect::Free, ms(1000));
            }
        } else if n % 10 == 0 && n < 6_000 {
            world.begin(&format!("eni-{}", 399 + n / 10), Expect::Free, ms(1000));
        }
        world.run(ms(15));
        let free: Vec<String> = world
            .told
            .keys()
            .filter(|id| !deleted.contains(*id))
            .cloned()
            .collect();
        for id in free {
            world.begin(&id, Expect::Gone, ms(0));
            deleted.insert(id);
        }
    }
    world.run(Duration::from_secs(10));
    assert_eq!((deleted.len(), world.schedule.waiting()), (999, 0));
    assert!(world.calls <= 95, "{} calls", world.calls);
}

#[test]
fn an_answer_from_before_is_no_answer() {
    let mut world = World::new();
    world.begin("eni-1", Expect::Free, ms(10));
    let at = world.schedule.next_poll(world.now).unwrap();
    assert_eq!(world.schedule.take_batch(at), ["eni-1"]);
    // While the question about the detachment is on its way, it is attached again.
    world.schedule.expect("eni-1", Expect::Attached, at + ms(5));
    let news = world.schedule.answered(
        vec![("eni-1".into(), eni("eni-1", EniStatus::InUse))],
        at,
        at + ROUND_TRIP,
    );
    assert!(news.is_empty());
    assert_eq!(world.schedule.latest("eni-1"), None);
    assert_eq!(world.schedule.waiting(), 1);
}

/// A trunk that is looked at before it is attached: the look must not count as the beginning.
#[test]
fn a_look_before_the_change_is_at_once_and_teaches_nothing() {
    let mut world = World::new();
    world.done_at.insert("eni-1".into(), (Expect::Free, world.now));
    world.schedule.look("eni-1", Expect::Attached, world.now);
    world.run(ms(100));
    assert_eq!(world.told.len(), 1, "told of a free ENI at once");
    world.run(Duration::from_secs(20));
    let polls = world.calls;
    assert!(polls <= 40, "{polls} calls in 20 s for one that does not begin");
    world.begin("eni-1", Expect::Attached, ms(1500));
    world.run(Duration::from_secs(5));
    let late = world.told["eni-1"] - world.done_at["eni-1"].1;
    assert!(late <= ms(350), "{late:?}");
    for n in 2..4 {
        let id = format!("eni-{n}");
        world.begin(&id, Expect::Attached, ms(1500));
        world.run(Duration::from_secs(5));
        let late = world.told[&id] - world.done_at[&id].1;
        assert!(late <= ms(350), "{late:?}");
    }
}

#[test]
fn changes_quicker_than_thought_are_soon_expected_sooner() {
    let mut world = World::new();
    for n in 0..12 {
        let id = format!("eni-{n}");
        world.begin(&id, Expect::Gone, ms(20));
        world.run(Duration::from_secs(3));
    }
    let late = world.told["eni-11"] - world.done_at["eni-11"].1;
    assert!(late <= ms(300), "{late:?}");
}

#[test]
fn expecting_again_is_harmless_and_forgetting_begins_anew() {
    let mut world = World::new();
    world.begin("eni-1", Expect::Attached, ms(100));
    world.run(Duration::from_secs(3));
    let (calls, now) = (world.calls, world.now);
    world.schedule.expect("eni-1", Expect::Attached, now);
    assert_eq!(
        (world.schedule.waiting(), world.schedule.next_poll(now)),
        (0, None)
    );
    assert!(world.schedule.latest("eni-1").is_some());
    world.schedule.forget("eni-1");
    assert_eq!(world.schedule.latest("eni-1"), None);
    world.schedule.expect("eni-1", Expect::Attached, now);
    world.run(Duration::from_secs(3));
    assert!(world.calls > calls);
}

#[test]
fn what_nobody_expected_is_told_at_once() {
    let mut world = World::new();
    world.begin("eni-1", Expect::Attached, Duration::from_secs(60));
    let at = world.schedule.next_poll(world.now).unwrap();
    let ids = world.schedule.take_batch(at);
    let news = world.schedule.answered(
        vec![(ids[0].clone(), EniObservation::Absent)],
        at,
        at + ROUND_TRIP,
    );
    assert_eq!(news, ["eni-1"]);
    assert_eq!(world.schedule.waiting(), 1, "it may yet appear");
}

#[test]
fn a_stuck_interface_is_asked_for_rarely_and_delays_nobody() {
    let mut world = World::new();
    world.begin("eni-stuck", Expect::Attached, Duration::from_secs(100_000));
    world.run(Duration::from_secs(3_600));
    assert!(world.calls < 400, "{} calls in an hour", world.calls);
    for n in 0..10 {
        world.begin(&format!("eni-{n}"), Expect::Attached, ms(1500));
        world.run(Duration::from_secs(20));
    }
    assert!(world.latest_told() <= ms(700), "{:?}", world.latest_told());
}

#[test]
fn failures_slow_down_and_tell_nothing() {
    let mut world = World::new();
    world.failing = (1..=200).collect();
    world.begin("eni-1", Expect::Gone, ms(10));
    world.run(Duration::from_secs(60));
    assert!(world.told.is_empty());
    assert!(world.calls <= 14, "{} calls in a minute", world.calls);
    world.failing.clear();
    world.run(Duration::from_secs(15));
    assert_eq!(world.told.len(), 1);
}

#[test]
fn old_observations_do_not_pile_up() {
    let mut world = World::new();
    for n in 0..50 {
        world.begin(&format!("eni-{n}"), Expect::Attached, ms(100));
        world.run(Duration::from_secs(60));
    }
    assert!(world.schedule.seen.len() <= 25, "{}", world.schedule.seen.len());
}

fn expects() -> impl Strategy<Value = Expect> {
    prop_oneof![Just(Expect::Attached), Just(Expect::Free), Just(Expect::Gone)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn everybody_is_told_and_never_too_early(
        arrivals in proptest::collection::vec((0u64..800, expects(), 1u64..8_000), 1..150),
        failing in proptest::collection::btree_set(1usize..60, 0..8),
        forgotten in proptest::collection::btree_set(0usize..150, 0..20),
    ) {
        let mut world = World::new();
        world.failing = failing;
        let count = arrivals.len();
        for (n, (pause, what, takes)) in arrivals.into_iter().enumerate() {
            world.run(ms(pause));
            world.begin(&format!("eni-{n}"), what, ms(takes));
        }
        for n in forgotten.iter().filter(|n| **n < count) {
            world.schedule.forget(&format!("eni-{n}"));
        }
        let forgotten_at = world.now;
        world.run(Duration::from_secs(60));
        prop_assert_eq!(world.schedule.waiting(), 0);
        prop_assert_eq!(world.schedule.next_poll(world.now), None);
        for n in 0..count {
            let id = format!("eni-{n}");
            match world.told.get(&id) {
                Some(at) => {
                    prop_assert!(*at >= world.done_at[&id].1, "{} told early", id);
                    prop_assert!(!forgotten.contains(&n) || *at <= forgotten_at, "{} told though forgotten", id);
                }
                None => prop_assert!(forgotten.contains(&n), "{} never told", id),
            }
        }
        prop_assert!(world.start <= world.now);
    }
}
