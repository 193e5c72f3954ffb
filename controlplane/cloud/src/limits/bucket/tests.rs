//! Order, rate and throttling of a bucket, with time as a value.

use proptest::prelude::*;

use super::*;

fn granted(bucket: &mut Bucket<u32>, now: Instant) -> Vec<u32> {
    let mut got = Vec::new();
    bucket.grant(now, usize::MAX, |waiter| {
        got.push(waiter);
        true
    });
    got
}

fn drained(per_minute: u32, now: Instant) -> Bucket<u32> {
    let mut bucket = Bucket::new(per_minute, now);
    while bucket.try_take(now) {}
    bucket
}

#[test]
fn a_minutes_worth_goes_at_once_and_then_the_rate_holds() {
    let start = Instant::now();
    let mut bucket: Bucket<u32> = Bucket::new(240, start);
    assert_eq!((0..300).filter(|_| bucket.try_take(start)).count(), 239);
    bucket.wait(Priority::Create, "node", start, 1);
    bucket.wait(Priority::Create, "node", start, 2);
    let next = bucket.next_grant().unwrap();
    assert!(next - start >= Duration::from_millis(249), "{:?}", next - start);
    assert_eq!(granted(&mut bucket, next), [1]);
}

proptest! {
    #[test]
    fn calls_that_take_unequally_long_to_arrive_are_never_too_many(
        per_minute in 2_u32..2_000,
        delays in prop::collection::vec(0_u64..250, 1..1_500),
    ) {
        let start = Instant::now();
        let mut bucket: Bucket<u32> = Bucket::new(per_minute, start);
        let mut now = start;
        let mut arrivals = Vec::new();
        for delay in delays {
            while !bucket.try_take(now) {
                now += Duration::from_millis(20);
            }
            arrivals.push(now + Duration::from_millis(delay));
        }
        arrivals.sort();
        // The cloud's own count: full until the first call arrives.
        let most = f64::from(per_minute);
        let (mut tokens, mut updated) = (most, start);
        for arrival in arrivals {
            let passed = arrival.duration_since(updated).as_secs_f64();
            tokens = (tokens + passed * most / 60.0).min(most) - 1.0;
            updated = arrival;
            prop_assert!(tokens > -1e-6, "{tokens}");
        }
    }
}

#[test]
fn urgent_calls_overtake_and_equals_queue_up() {
    let start = Instant::now();
    let mut bucket = drained(60, start);
    for (waiter, priority) in [(1, Priority::Read), (2, Priority::Fill), (3, Priority::Release)] {
        bucket.wait(priority, "node", start, waiter);
    }
    bucket.wait(Priority::Release, "node", start, 4);
    assert_eq!(
        granted(&mut bucket, start + Duration::from_millis(4001)),
        [3, 4, 2, 1]
    );
}

#[test]
fn nobody_waits_for_ever_behind_urgent_calls() {
    let start = Instant::now();
    let mut bucket = drained(60, start);
    bucket.wait(Priority::Read, "node", start, 1);
    let later = start + PATIENCE;
    let mut bucket = Bucket {
        tokens: 0.0,
        updated: later,
        ..bucket
    };
    bucket.wait(Priority::Release, "node", later, 2);
    assert_eq!(granted(&mut bucket, later + Duration::from_millis(1001)), [1]);
}

#[test]
fn the_impatient_get_a_share_and_the_urgent_the_rest() {
    let start = Instant::now();
    let mut bucket = drained(60, start);
    for waiter in 0..10 {
        bucket.wait(Priority::Create, "node", start, waiter);
    }
    let later = start + PATIENCE;
    bucket = Bucket {
        tokens: 10.0,
        updated: later,
        ..bucket
    };
    for waiter in 100..110 {
        bucket.wait(Priority::Release, "node", later, waiter);
    }
    assert_eq!(
        granted(&mut bucket, later),
        [0, 100, 101, 102, 103, 1, 104, 105, 106, 107]
    );
}

#[test]
fn a_node_that_asks_for_a_thousand_does_not_delay_another() {
    let start = Instant::now();
    let mut bucket = drained(600, start);
    for waiter in 0..1_000 {
        bucket.wait(Priority::Create, "greedy", start, waiter);
    }
    bucket.wait(Priority::Create, "modest", start, 5_000);
    bucket.wait(Priority::Create, "modest", start, 5_001);
    let served = granted(&mut bucket, start + Duration::from_millis(410));
    assert_eq!(served, [0, 5_000, 1, 5_001]);
}

#[test]
fn dismissed_waiters_are_gone_and_the_others_stay() {
    let start = Instant::now();
    let mut bucket = drained(600, start);
    for waiter in 0..4 {
        bucket.wait(Priority::Read, "node", start, waiter);
    }
    assert_eq!(bucket.dismiss(|waiter| waiter % 2 == 0), [0, 2]);
    assert_eq!(granted(&mut bucket, start + Duration::from_secs(1)), [1, 3]);
}

#[test]
fn a_waiter_that_left_costs_no_token() {
    let start = Instant::now();
    let mut bucket = drained(60, start);
    bucket.wait(Priority::Create, "node", start, 1);
    bucket.wait(Priority::Create, "node", start, 2);
    let mut got = Vec::new();
    bucket.grant(start + Duration::from_millis(1001), usize::MAX, |waiter| {
        got.push(waiter);
        waiter != 1
    });
    assert_eq!(got, [1, 2]);
}

#[test]
fn throttling_halves_once_per_burst_and_heals() {
    let start = Instant::now();
    let mut bucket: Bucket<u32> = Bucket::new(600, start);
    for _ in 0..50 {
        bucket.throttled(start);
    }
    assert!((bucket.share - 0.5).abs() < 0.01);
    assert!(!bucket.try_take(start + Duration::from_millis(900)));
    assert!(bucket.try_take(start + Duration::from_millis(1100)));
    bucket.refill(start + RECOVERY);
    assert!((bucket.share - 1.0).abs() < 1e-9);
}

proptest! {
    #[test]
    fn never_more_than_burst_plus_rate(
        per_minute in 1u32..1000,
        steps in proptest::collection::vec((0u64..3000, 0usize..40, any::<bool>()), 1..40),
    ) {
        let start = Instant::now();
        let mut bucket: Bucket<()> = Bucket::new(per_minute, start);
        let (mut now, mut taken) = (start, 0u32);
        for (millis, asks, throttle) in steps {
            now += Duration::from_millis(millis);
            if throttle {
                bucket.throttled(now);
            }
            taken += (0..asks).filter(|_| bucket.try_take(now)).count() as u32;
            let bound = f64::from(per_minute) * (1.0 + (now - start).as_secs_f64() / 60.0);
            prop_assert!(f64::from(taken) <= bound + 1.0);
        }
    }

    /// However many nodes ask for however much, each is served once before any is served twice more
    /// than another that is still waiting.
    #[test]
    fn nodes_of_one_class_are_served_evenly(asks in proptest::collection::vec(1u32..60, 2..12)) {
        let start = Instant::now();
        let mut bucket: Bucket<usize> = Bucket::new(6_000, start);
        while bucket.try_take(start) {}
        for (node, count) in asks.iter().enumerate() {
            for _ in 0..*count {
                bucket.wait(Priority::Attach, &node.to_string(), start, node);
            }
        }
        let mut served = vec![0u32; asks.len()];
        let mut now = start;
        while bucket.is_wanted() {
            now += Duration::from_millis(11);
            bucket.grant(now, 1, |node| {
                served[node] += 1;
                true
            });
            let most = served.iter().copied().max().unwrap_or(0);
            for (node, count) in asks.iter().enumerate() {
                prop_assert!(served[node] == *count || served[node] + 1 >= most, "{:?}", served);
            }
        }
        prop_assert_eq!(served, asks);
    }

    #[test]
    fn at_the_announced_time_somebody_is_served(
        per_minute in 1u32..2000,
        throttle in any::<bool>(),
        waiters in 1u32..20,
    ) {
        let start = Instant::now();
        let mut bucket = drained(per_minute, start);
        if throttle {
            bucket.throttled(start);
        }
        for waiter in 0..waiters {
            bucket.wait(Priority::Create, "node", start, waiter);
        }
        let mut served = 0;
        while let Some(at) = bucket.next_grant() {
            let got = granted(&mut bucket, at).len();
            prop_assert!(got > 0);
            served += got;
        }
        prop_assert_eq!(served as u32, waiters);
    }
}
