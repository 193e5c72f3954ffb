//! What shuts which way, how often it is tried, and what opens it.

use proptest::prelude::*;

use super::*;
use crate::error::classify;

const CREATE: Action = Action::CreateNetworkInterface;
const DESCRIBE: Action = Action::DescribeNetworkInterfaces;
const VSWITCHES: Action = Action::DescribeVSwitches;

fn refused(action: Action, status: u16, code: &str) -> CloudError {
    CloudError {
        http_status: Some(status),
        ..CloudError::local(
            action,
            "ENI eni-1",
            classify(status, code),
            code,
            "said the cloud",
        )
    }
}

fn unanswered(action: Action) -> CloudError {
    CloudError::local(action, "ENI eni-1", ErrorClass::Unknown, code::UNREACHABLE, "")
}

fn wrong_key(action: Action) -> CloudError {
    refused(action, 404, "InvalidAccessKeyId.NotFound")
}

fn forbidden(action: Action) -> CloudError {
    refused(action, 403, "Forbidden.RAM")
}

/// Callers who ask ten times a second, for so long; gives how many were let through.
fn calls_sent(gate: &mut Gate, from: Instant, seconds: u64, answer: impl Fn(Action) -> CloudError) -> usize {
    let mut sent = 0;
    for tick in 0..seconds * 10 {
        let now = from + Duration::from_millis(tick * 100);
        for action in Action::ALL {
            match gate.admits(action, now) {
                Admission::ShutUntil(at) => {
                    assert!(at > now);
                    continue;
                }
                Admission::OneTry => gate.trying(action, now),
                Admission::Open => {}
            }
            sent += 1;
            gate.note(action, Some(&answer(action)), now + Duration::from_millis(50));
        }
    }
    sent
}

#[test]
fn wrong_keys_hold_everything_back_and_are_tried_less_and_less() {
    let (mut gate, start) = (Gate::default(), Instant::now());
    // 1 + 2 + 4 + 8 + 16 s, and then one every 30 s: 6 in the first half minute, 25 in ten.
    assert_eq!(calls_sent(&mut gate, start, 30, wrong_key), 5);
    let sent = calls_sent(&mut gate, start + Duration::from_secs(30), 570, wrong_key);
    assert!((18..=20).contains(&sent), "{sent}");
    let troubles = gate.troubles();
    assert_eq!(troubles.len(), 1);
    assert!(troubles[0].lasting && troubles[0].cause == TroubleCause::Credentials);
    assert!(
        troubles[0].sentence.contains("InvalidAccessKeyId.NotFound"),
        "{troubles:?}"
    );
}

#[test]
fn the_first_call_that_works_opens_the_way_for_all() {
    let (mut gate, start) = (Gate::default(), Instant::now());
    gate.note(CREATE, Some(&wrong_key(CREATE)), start);
    let at = start + Duration::from_secs(1);
    assert_eq!(gate.admits(DESCRIBE, start), Admission::ShutUntil(at));
    assert_eq!(gate.admits(DESCRIBE, at), Admission::OneTry);
    gate.trying(DESCRIBE, at);
    assert!(
        matches!(gate.admits(CREATE, at), Admission::ShutUntil(_)),
        "only one tries"
    );
    assert!(gate.note(DESCRIBE, None, at));
    assert_eq!(gate.admits(CREATE, at), Admission::Open);
    assert_eq!(gate.troubles(), []);
}

#[test]
fn calls_that_failed_together_count_once() {
    let (mut gate, start) = (Gate::default(), Instant::now());
    assert!(gate.note(CREATE, Some(&wrong_key(CREATE)), start));
    for late in 0..100 {
        assert!(!gate.note(
            CREATE,
            Some(&wrong_key(CREATE)),
            start + Duration::from_millis(late)
        ));
    }
    assert_eq!(
        gate.admits(CREATE, start + Duration::from_secs(1)),
        Admission::OneTry
    );
}

#[test]
fn a_missing_permission_holds_its_own_action_back() {
    let (mut gate, start) = (Gate::default(), Instant::now());
    for _ in 0..2 {
        gate.note(CREATE, Some(&forbidden(CREATE)), start);
        assert_eq!(
            gate.admits(CREATE, start),
            Admission::Open,
            "it may be about one vSwitch"
        );
    }
    gate.note(CREATE, Some(&forbidden(CREATE)), start);
    assert!(matches!(gate.admits(CREATE, start), Admission::ShutUntil(_)));
    assert_eq!(gate.admits(DESCRIBE, start), Admission::Open);
    gate.note(DESCRIBE, None, start);
    assert!(matches!(gate.admits(CREATE, start), Admission::ShutUntil(_)));
    assert_eq!(gate.troubles()[0].cause, TroubleCause::Permission);
    assert!(!gate.troubles()[0].lasting);
}

#[test]
fn a_permission_for_some_objects_only_holds_nothing_back() {
    let (mut gate, start) = (Gate::default(), Instant::now());
    for _ in 0..20 {
        gate.note(CREATE, Some(&forbidden(CREATE)), start);
        gate.note(CREATE, Some(&forbidden(CREATE)), start);
        gate.note(CREATE, None, start);
        assert_eq!(gate.admits(CREATE, start), Admission::Open);
    }
}

#[test]
fn a_question_that_may_be_forbidden_is_no_trouble() {
    let (mut gate, start) = (Gate::default(), Instant::now());
    let action = Action::DescribeSecurityGroups;
    for _ in 0..5 {
        gate.note(action, Some(&forbidden(action)), start);
    }
    assert!(matches!(gate.admits(action, start), Admission::ShutUntil(_)));
    assert_eq!(gate.troubles(), []);
}

#[test]
fn a_service_that_does_not_answer_does_not_stop_the_other() {
    let (mut gate, start) = (Gate::default(), Instant::now());
    for _ in 0..3 {
        gate.note(CREATE, Some(&unanswered(CREATE)), start);
    }
    assert!(matches!(gate.admits(DESCRIBE, start), Admission::ShutUntil(_)));
    assert_eq!(gate.admits(VSWITCHES, start), Admission::Open);
    assert_eq!(gate.troubles()[0].cause, TroubleCause::Unreachable);
    let later = start + Duration::from_secs(1);
    gate.trying(DESCRIBE, later);
    // A fault of the cloud's own is an answer.
    gate.note(DESCRIBE, Some(&refused(DESCRIBE, 500, "InternalError")), later);
    assert_eq!(gate.admits(CREATE, later), Admission::Open);
}

#[test]
fn a_try_that_was_not_sent_goes_to_the_next() {
    let (mut gate, start) = (Gate::default(), Instant::now());
    gate.note(CREATE, Some(&wrong_key(CREATE)), start);
    let at = start + Duration::from_secs(1);
    gate.trying(CREATE, at);
    assert!(matches!(gate.admits(DESCRIBE, at), Admission::ShutUntil(_)));
    gate.not_tried(CREATE, at);
    assert_eq!(gate.admits(DESCRIBE, at), Admission::OneTry);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever happened before, once calls work they are let through within the longest interval, and
    /// nothing is left of the trouble.
    #[test]
    fn it_never_stays_shut(events in proptest::collection::vec((0usize..11, 0u8..6, 0u64..20_000), 0..80)) {
        let (mut gate, mut now) = (Gate::default(), Instant::now());
        for (action, what, pause) in events {
            now += Duration::from_millis(pause);
            let action = Action::ALL[action];
            match gate.admits(action, now) {
                Admission::ShutUntil(_) => continue,
                Admission::OneTry => gate.trying(action, now),
                Admission::Open => {}
            }
            let error = match what {
                0 => None,
                1 => Some(wrong_key(action)),
                2 => Some(forbidden(action)),
                3 => Some(unanswered(action)),
                4 => Some(refused(action, 503, "ServiceUnavailable")),
                _ => {
                    gate.not_tried(action, now);
                    continue;
                }
            };
            gate.note(action, error.as_ref(), now);
        }
        for action in Action::ALL {
            now += MOST_TRY;
            match gate.admits(action, now) {
                Admission::ShutUntil(_) => prop_assert!(false, "{action} is still shut"),
                Admission::OneTry => gate.trying(action, now),
                Admission::Open => {}
            }
            gate.note(action, None, now);
        }
        prop_assert_eq!(gate.troubles(), []);
        for action in Action::ALL {
            prop_assert_eq!(gate.admits(action, now), Admission::Open);
        }
    }
}
