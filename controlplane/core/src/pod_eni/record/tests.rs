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

fn choice(vswitch: &str) -> Choice {
    Choice {
        vswitch: Some(Candidate {
            id: vswitch.into(),
            zone: "h".into(),
            cidrs: cidrs("10.2.0.0/24"),
            available: 9,
        }),
        security_group_ids: vec!["sg-b".into()],
    }
}

fn cidrs(text: &str) -> Cidrs {
    [text.parse().unwrap()].into_iter().collect()
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
    let next = next_attempt(&allocation(), &choice("vsw-b"), Some(&refusal()), NOW);
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
    let third = next_attempt(&next, &Choice::default(), None, NOW);
    assert_eq!(third.creation.unwrap().last_error, None);
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
            let choice = match vswitch {
                0 => Choice::default(),
                other => choice(&format!("vsw-{other}")),
            };
            let before = &record.spec.allocations[0];
            let next = next_attempt(before, &choice, refused.then(refusal).as_ref(), now);
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
