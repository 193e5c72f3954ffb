//! Allocations: what an answer of the cloud and a new attempt change of them, and what they leave.

use jiff::SignedDuration;
use proptest::prelude::*;
use terway_crds::{Eni, RequestParameters};

use super::*;
use crate::cloud::ErrorClass;
use crate::testing::cloud_eni;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn allocation() -> Allocation {
    Allocation {
        eni: Eni {
            zone: "asked-zone".into(),
            vpc_id: "asked-vpc".into(),
            vswitch_id: "vsw-a".into(),
            resource_group_id: "asked-rg".into(),
            security_group_ids: vec!["sg-a".into()],
            ..Eni::default()
        },
        ipv4_cidr: "10.1.0.0/24".into(),
        interface: "eth1".into(),
        creation: Some(Creation {
            attempt: 1,
            started_at: Some(Time(NOW)),
            parameters: RequestParameters {
                vswitch_id: "vsw-a".into(),
                security_group_ids: vec!["sg-a".into()],
                ..RequestParameters::default()
            },
            last_error: None,
        }),
        ..Allocation::default()
    }
}

fn refusal() -> Refused {
    Refused {
        class: ErrorClass::Invalid,
        code: "Nope".into(),
        message: "no".into(),
        request_id: "r-1".into(),
    }
}

/// The allocation as a new pod would get it now, in this vSwitch.
fn today(vswitch: &str) -> Allocation {
    let mut today = allocation();
    today.eni.vswitch_id = vswitch.into();
    today.eni.security_group_ids = vec!["sg-b".into()];
    today.ipv4_cidr = "10.2.0.0/24".into();
    let parameters = &mut today.creation.as_mut().unwrap().parameters;
    parameters.vswitch_id = vswitch.into();
    parameters.security_group_ids = vec!["sg-b".into()];
    today
}

/// Seconds until an attempt begins.
fn delay(allocation: &Allocation) -> i64 {
    let creation = allocation.creation.as_ref().unwrap();
    creation
        .started_at
        .as_ref()
        .unwrap()
        .0
        .duration_since(NOW)
        .as_secs()
}

#[test]
fn only_a_recorded_intent_of_a_stored_record_has_an_identity() {
    let mut record = PodEni::default();
    record.spec.allocations = vec![allocation(), Allocation::default()];
    assert_eq!(
        intent_id(&record, 0),
        None,
        "an object without a UID was never stored"
    );
    record.metadata.uid = Some("uid".into());
    assert_eq!(
        intent_id(&record, 0),
        Some(IntentId {
            owner_uid: "uid".into(),
            index: "0".into(),
            attempt: 1
        })
    );
    assert_eq!(intent_id(&record, 1), None, "nothing was recorded");
    assert_eq!(intent_id(&record, 2), None, "there is no such allocation");
}

#[test]
fn a_new_attempt_takes_the_choice_and_notes_why_the_last_one_failed() {
    let next = next_attempt(&allocation(), Some(&today("vsw-b")), Some(&refusal()), NOW);
    let creation = next.creation.as_ref().unwrap();
    assert_eq!(creation.attempt, 2);
    assert_eq!(creation.parameters.vswitch_id, "vsw-b");
    assert_eq!(creation.parameters.security_group_ids, ["sg-b"]);
    assert_eq!(
        (next.eni.vswitch_id.as_str(), next.ipv4_cidr.as_str()),
        ("vsw-b", "10.2.0.0/24")
    );
    assert_eq!(next.eni.security_group_ids, ["sg-b"]);
    assert_eq!(creation.last_error, Some(failure(&refusal(), NOW)));
    let error = creation.last_error.as_ref().unwrap();
    assert_eq!(
        [&*error.code, &*error.message, &*error.request_id],
        ["Nope", "no", "r-1"]
    );
    // An attempt without a refusal before it has nothing to tell.
    let third = next_attempt(&next, None, None, NOW);
    assert_eq!(third.creation.unwrap().last_error, None);
}

/// A request that today's settings would not make: the cloud refuses it until the settings are corrected.
fn refused_attempt() -> Allocation {
    let mut wrong = allocation();
    wrong.creation.as_mut().unwrap().parameters.ipv6_count = 1;
    let mut wrong_again = wrong.clone();
    for _ in 0..10 {
        wrong_again = next_attempt(&wrong_again, Some(&wrong), Some(&refusal()), NOW);
    }
    wrong_again
}

#[test]
fn a_refused_attempt_is_followed_at_once_by_one_with_corrected_settings() {
    let refused = refused_attempt();
    assert!(delay(&refused) > 200);
    // The refusal comes after the settings were corrected.
    let next = next_attempt(&refused, Some(&allocation()), Some(&refusal()), NOW);
    assert_eq!(delay(&next), 0);
    assert_eq!(next.creation.as_ref().unwrap().parameters.ipv6_count, 0);
    // The settings are corrected while the repetition waits: nobody has sent it.
    for sent in [false, true] {
        let next = corrected(&refused, Some(&allocation()), false, sent, NOW).unwrap();
        assert_eq!(delay(&next), 0);
        let (before, after) = (refused.creation.as_ref().unwrap(), next.creation.unwrap());
        assert_eq!(after.attempt, before.attempt + 1);
        assert_eq!(after.parameters, allocation().creation.unwrap().parameters);
    }
}

#[test]
fn a_request_that_may_have_been_sent_stays_as_it_is() {
    let refused = refused_attempt();
    let begins = refused.creation.as_ref().unwrap().started_at.as_ref().unwrap().0;
    let today = allocation();
    // Its time has come, and an earlier leader may have sent it.
    assert_eq!(corrected(&refused, Some(&today), false, true, begins), None);
    assert!(corrected(&refused, Some(&today), false, false, begins).is_some());
    // The outcome of an attempt without a refusal before it is what it waits for.
    assert_eq!(corrected(&allocation(), Some(&refused), false, false, NOW), None);
    // An ENI that was made is made.
    let made = with_eni(&refused, &cloud_eni("eni-1"), None);
    assert_eq!(corrected(&made, Some(&today), false, false, NOW), None);
    // Nothing is corrected where nothing differs, or where nothing can be said.
    assert_eq!(corrected(&refused, Some(&refused), true, false, NOW), None);
    assert_eq!(corrected(&refused, None, true, false, NOW), None);
}

#[test]
fn another_vswitch_is_tried_only_where_it_can_help() {
    let mut other = allocation();
    other.creation.as_mut().unwrap().parameters.vswitch_id = "vsw-b".into();
    for (class, seconds) in [
        (ErrorClass::Exhausted, 0),
        (ErrorClass::NotFound, 0),
        (ErrorClass::Limit, 1),
        (ErrorClass::Invalid, 1),
    ] {
        let refused = Refused { class, ..refusal() };
        let next = next_attempt(&allocation(), Some(&other), Some(&refused), NOW);
        assert_eq!(delay(&next), seconds, "{class:?}");
        // The next choice would be the first vSwitch again, and so on without end.
        assert_eq!(corrected(&next, Some(&allocation()), false, false, NOW), None);
        // Unless somebody took the vSwitch out of the PodNetworking.
        assert!(corrected(&next, Some(&allocation()), true, false, NOW).is_some());
    }
}

#[test]
fn a_full_vswitch_is_tried_again_soon_however_often_it_was_full() {
    let full = Refused {
        class: ErrorClass::Exhausted,
        ..refusal()
    };
    let mut next = allocation();
    for _ in 0..20 {
        next = next_attempt(&next, None, Some(&full), NOW);
        assert_eq!(delay(&next), 5);
    }
}

#[test]
fn an_eni_that_is_gone_is_replaced_by_another_of_the_same_request() {
    let bound = Allocation {
        ipv6: "fd00::5".into(),
        ..with_eni(&allocation(), &cloud_eni("eni-1"), None)
    };
    assert_eq!(open_intent(&bound), None);
    let replaced = replaced(&bound, NOW);
    assert_eq!(
        [
            &replaced.eni.id,
            &replaced.eni.mac,
            &replaced.ipv4,
            &replaced.ipv6
        ],
        [""; 4]
    );
    let (before, after) = (bound.creation.unwrap(), open_intent(&replaced).unwrap());
    assert_eq!(after.attempt, before.attempt + 1);
    assert_eq!(after.parameters, before.parameters);
    assert_eq!(delay(&replaced), 0);
}

proptest! {
    /// However often it is refused, each attempt has a token of its own, begins no earlier than now, and changes
    /// nothing but vSwitch, groups, CIDR and the intent.
    #[test]
    fn attempts_never_share_a_token(choices in proptest::collection::vec((0..3u8, any::<bool>()), 1..20)) {
        let mut record = PodEni::default();
        record.metadata.uid = Some("uid".into());
        record.spec.allocations = vec![allocation()];
        let mut tokens = vec![intent_id(&record, 0).unwrap().client_token()];
        for (number, (vswitch, refused)) in choices.into_iter().enumerate() {
            let now = NOW + SignedDuration::from_mins(i64::try_from(number).unwrap());
            let today = match vswitch {
                0 => None,
                other => Some(today(&format!("vsw-{other}"))),
            };
            let before = &record.spec.allocations[0];
            let next = next_attempt(before, today.as_ref(), refused.then(refusal).as_ref(), now);
            let framed = Allocation {
                eni: Eni {
                    vswitch_id: before.eni.vswitch_id.clone(),
                    security_group_ids: before.eni.security_group_ids.clone(),
                    ..next.eni.clone()
                },
                ipv4_cidr: before.ipv4_cidr.clone(),
                creation: before.creation.clone(),
                ..next.clone()
            };
            prop_assert_eq!(&framed, before);
            let begins = next.creation.as_ref().unwrap().started_at.as_ref().unwrap().0;
            prop_assert!(begins >= now);
            record.spec.allocations[0] = next;
            let token = intent_id(&record, 0).unwrap().client_token();
            prop_assert!(!tokens.contains(&token));
            tokens.push(token);
        }
    }
}
