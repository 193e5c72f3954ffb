//! Intents, by behaviour and as a property over every order of answers.

use super::*;
use crate::cloud::ErrorClass;
use crate::testing::cloud_eni;
use jiff::SignedDuration;
use proptest::prelude::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1_000_000 + seconds)
}

fn limits() -> Limits {
    Limits::default()
}

#[test]
fn the_token_is_64_ascii_characters_and_differs_between_attempts() {
    let id = IntentId {
        owner_uid: "u".into(),
        index: "0".into(),
        attempt: 1,
    };
    let next = IntentId {
        attempt: 2,
        ..id.clone()
    };
    assert_eq!(id.client_token().len(), 64);
    assert!(id.client_token().is_ascii());
    assert_eq!(id.client_token(), id.clone().client_token());
    assert_ne!(id.client_token(), next.client_token());
    assert_eq!(IntentId::from_tag_value(&id.tag_value()), Some(id));
}

#[test]
fn a_fresh_intent_is_sent_and_its_first_answer_recorded() {
    let mut evidence = Evidence::fresh(1);
    assert_eq!(next(Some(at(0)), &evidence, at(0), &limits()), Step::Send);
    evidence.sending();
    evidence.replied(Reply::Created(Box::new(cloud_eni("eni-1"))), at(0), None);
    assert_eq!(
        next(Some(at(0)), &evidence, at(1), &limits()),
        Step::Record(Box::new(cloud_eni("eni-1")))
    );
}

#[test]
fn a_lost_reply_is_asked_for_again_with_the_same_token() {
    let mut evidence = Evidence::fresh(1);
    evidence.sending();
    evidence.replied(Reply::Unknown, at(0), None);
    assert_eq!(next(Some(at(0)), &evidence, at(10), &limits()), Step::Send);
}

#[test]
fn the_id_of_a_replayed_request_is_looked_at_before_it_is_believed() {
    let mut evidence = Evidence::inherited(1);
    evidence.sending();
    evidence.replied(Reply::Created(Box::new(cloud_eni("eni-1"))), at(0), None);
    assert_eq!(
        next(Some(at(0)), &evidence, at(1), &limits()),
        Step::LookUpById("eni-1".into())
    );
    evidence.lookups.push(Lookup {
        at: at(1),
        found: None,
    });
    assert_eq!(
        next(Some(at(0)), &evidence, at(2), &limits()),
        Step::Wait(Duration::from_secs(4))
    );
    evidence.lookups.push(Lookup {
        at: at(6),
        found: None,
    });
    assert_eq!(
        next(Some(at(0)), &evidence, at(6), &limits()),
        Step::NextAttempt(None)
    );
}

#[test]
fn a_refusal_counts_the_attempt_on() {
    let refusal = Refused {
        class: ErrorClass::Exhausted,
        code: "InvalidVSwitchId.IpNotEnough".into(),
        message: String::new(),
        request_id: String::new(),
    };
    let mut evidence = Evidence::fresh(1);
    evidence.sending();
    evidence.replied(Reply::Refused(refusal.clone()), at(0), None);
    assert_eq!(
        next(Some(at(0)), &evidence, at(1), &limits()),
        Step::NextAttempt(Some(refusal))
    );
}

#[test]
fn an_intent_older_than_its_token_is_searched_for_twice_before_it_is_sent_anew() {
    let mut evidence = Evidence::inherited(1);
    let old = Some(at(-601));
    assert_eq!(next(old, &evidence, at(0), &limits()), Step::LookUpByTag);
    evidence.lookups.push(Lookup {
        at: at(0),
        found: None,
    });
    assert_eq!(
        next(old, &evidence, at(0), &limits()),
        Step::Wait(Duration::from_secs(5))
    );
    assert_eq!(next(old, &evidence, at(5), &limits()), Step::LookUpByTag);
    evidence.lookups.push(Lookup {
        at: at(5),
        found: None,
    });
    assert_eq!(next(old, &evidence, at(5), &limits()), Step::NextAttempt(None));
}

#[test]
fn a_token_used_with_other_parameters_leads_to_the_eni_it_made() {
    let mut evidence = Evidence::inherited(1);
    evidence.sending();
    evidence.replied(Reply::TokenReused, at(0), None);
    assert_eq!(next(Some(at(0)), &evidence, at(0), &limits()), Step::LookUpByTag);
    evidence.lookups.push(Lookup {
        at: at(0),
        found: Some(Box::new(cloud_eni("eni-9"))),
    });
    assert_eq!(
        next(Some(at(0)), &evidence, at(0), &limits()),
        Step::Record(Box::new(cloud_eni("eni-9")))
    );
}

#[test]
fn an_intent_that_was_never_sent_is_forgotten_without_asking() {
    assert_eq!(
        resolve(&Evidence::fresh(1), at(0), at(0), &limits()),
        Resolution::Nothing
    );
}

#[test]
fn an_inherited_intent_is_searched_for_only_when_no_request_can_be_under_way() {
    let evidence = Evidence::inherited(1);
    assert_eq!(
        resolve(&evidence, at(0), at(2), &limits()),
        Resolution::Wait(Duration::from_secs(3))
    );
    assert_eq!(
        resolve(&evidence, at(0), at(5), &limits()),
        Resolution::LookUpByTag
    );
}

/// A cloud that remembers tokens, deletes nothing, and may lose replies.
#[derive(Default)]
struct ModelCloud {
    by_token: std::collections::BTreeMap<String, String>,
}

#[derive(Debug, Clone)]
enum Fate {
    Done,
    DoneButReplyLost,
    NotDoneAndReplyLost,
    Refused,
    Throttled,
    Restart,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        Just(Fate::Done),
        Just(Fate::DoneButReplyLost),
        Just(Fate::NotDoneAndReplyLost),
        Just(Fate::Refused),
        Just(Fate::Throttled),
        Just(Fate::Restart),
    ]
}

proptest! {
    /// Whatever is lost and however often the process restarts: one intent ends with exactly one
    /// ENI in the cloud, and it is the recorded one.
    #[test]
    fn one_intent_makes_one_eni(fates in proptest::collection::vec(fate(), 0..20)) {
        let mut cloud = ModelCloud::default();
        let mut fates = fates.into_iter();
        let (mut attempt, mut started, mut now) = (1, 0, 0);
        let mut evidence = Evidence::fresh(1);
        let mut recorded = None;
        for _ in 0..400 {
            match next(Some(at(started)), &evidence, at(now), &limits()) {
                Step::Send => {
                    let id = IntentId { owner_uid: "u".into(), index: "0".into(), attempt };
                    evidence.sending();
                    let fate = fates.next().unwrap_or(Fate::Done);
                    let existing = cloud.by_token.get(&id.client_token()).cloned();
                    let make = |cloud: &mut ModelCloud| {
                        let eni = format!("eni-{}", cloud.by_token.len());
                        cloud.by_token.entry(id.client_token()).or_insert(eni).clone()
                    };
                    match fate {
                        Fate::Done => {
                            let eni = make(&mut cloud);
                            evidence.replied(Reply::Created(Box::new(cloud_eni(&eni))), at(0), None);
                        }
                        Fate::DoneButReplyLost => {
                            make(&mut cloud);
                            evidence.replied(Reply::Unknown, at(0), None);
                        }
                        Fate::NotDoneAndReplyLost => evidence.replied(Reply::Unknown, at(0), None),
                        // The cloud refuses only what it has not done under this token already.
                        Fate::Refused if existing.is_none() => {
                            let refused = Refused {
                                class: ErrorClass::Invalid,
                                code: "X".into(),
                                message: String::new(),
                                request_id: String::new(),
                            };
                            evidence.replied(Reply::Refused(refused), at(0), None);
                        }
                        Fate::Refused | Fate::Throttled => evidence.replied(Reply::Busy, at(0), None),
                        Fate::Restart => {
                            make(&mut cloud);
                            evidence = Evidence::inherited(attempt);
                        }
                    }
                    now += 60;
                }
                Step::LookUpByTag => {
                    let id = IntentId { owner_uid: "u".into(), index: "0".into(), attempt };
                    let found = cloud.by_token.get(&id.client_token()).map(|eni| Box::new(cloud_eni(eni)));
                    evidence.lookups.push(Lookup { at: at(now), found });
                }
                Step::LookUpById(id) => {
                    let found = cloud.by_token.values().any(|eni| *eni == id);
                    let found = found.then(|| Box::new(cloud_eni(&id)));
                    evidence.lookups.push(Lookup { at: at(now), found });
                }
                Step::Record(eni) => {
                    recorded = Some(eni.id.clone());
                    break;
                }
                Step::NextAttempt(_) => {
                    attempt += 1;
                    started = now;
                    evidence = Evidence::fresh(attempt);
                }
                Step::Wait(time) => now += time.as_secs() as i64,
            }
        }
        let recorded = recorded.expect("the intent ends");
        prop_assert_eq!(cloud.by_token.values().collect::<Vec<_>>(), vec![&recorded]);
    }
}
