//! What people are told about a PodENI.

use terway_crds::names::condition;
use terway_crds::names::event;

use super::*;
use crate::conditions::failing_reason;
use crate::news::Severity;

fn refused() -> Refused {
    Refused {
        class: ErrorClass::Invalid,
        code: "Nope".into(),
        message: "no".into(),
        request_id: "r".into(),
    }
}

#[test]
fn every_wait_has_its_words_and_its_time() {
    let second = Duration::from_secs(1);
    let delayed = Wait::Refused {
        delay: second,
        code: "Nope".into(),
        message: "no".into(),
    };
    // The wait, the reason and some words of its condition, whether it keeps a pod from starting, and the time after
    // which to look again.
    let table = [
        (Wait::Done, None, false, None),
        (Wait::Interfaces, None, false, None),
        (Wait::Pod, None, false, None),
        (Wait::Later(second), None, false, Some(second)),
        (delayed, Some(("CreateRefused", "Nope: no")), false, Some(second)),
        (
            Wait::Unattached {
                reason: "ENINotFound".into(),
                message: "ENI eni-1: gone".into(),
                needs_help: true,
            },
            Some(("ENINotFound", "eni-1: gone")),
            true,
            None,
        ),
        (
            Wait::Unattached {
                reason: "DetachedByOthers".into(),
                message: "ENI eni-1: torn".into(),
                needs_help: false,
            },
            Some(("DetachedByOthers", "eni-1: torn")),
            false,
            None,
        ),
        (Wait::NoTrunk, Some(("NoTrunk", "no trunk ENI")), true, None),
        (Wait::NoNode, Some(("NoNode", "node is not known")), true, None),
        (Wait::NotServed, Some(("NotServed", "set eniType")), true, None),
        (
            Wait::Malformed,
            Some(("Malformed", "delete this PodENI")),
            true,
            None,
        ),
        (Wait::Degraded, Some(("Degraded", "degradation")), true, None),
        (
            Wait::PodLives,
            Some(("PodStillRuns", "while the pod lives")),
            false,
            None,
        ),
    ];
    for (wait, said, matters, again) in table {
        let record = record();
        let status = waiting(&record, &wait, NOW);
        assert_eq!(status.is_some(), said.is_some(), "{wait:?}");
        if let (Some(status), Some((reason, words))) = (&status, said) {
            assert!(status.msg.contains(words), "{wait:?}: {}", status.msg);
            assert_eq!(failing_reason(&status.conditions, condition::READY), Some(reason));
            let told = PodEni {
                status: Some(status.clone()),
                ..record.clone()
            };
            assert_eq!(waiting(&told, &wait, NOW), None, "said once: {wait:?}");
        }
        let news = held_up(&wait, "note");
        assert_eq!(news.is_some(), matters, "{wait:?}");
        assert!(news.is_none_or(|news| news.severity == Severity::Warning && news.note == "note"));
        assert_eq!(wait.again(), again, "{wait:?}");
    }
}

#[test]
fn of_two_reasons_to_wait_the_one_a_person_should_know_is_told() {
    let mut given = Given::new(record());
    let mut second = given.record.spec.allocations[0].clone();
    second.creation = None;
    given.record.spec.allocations.push(second);
    given.interfaces.push(None);
    given.evidence.sending();
    assert_eq!(given.plan().wait, Wait::Malformed);
}

#[test]
fn a_phase_is_told_when_it_is_reached() {
    let mut record = record();
    let mut after = phase_only(&record, Phase::Bind, None);
    after.summary.eni_ids = "eni-1".into();
    after.summary.ips = "10.0.0.1".into();
    after.instance_id = "i-1".into();
    let news = phase_reached(&record, &after).unwrap();
    assert_eq!(news.reason, event::ATTACH_ENI_SUCCEED);
    assert_eq!(
        news.note,
        "attached ENI eni-1 with address 10.0.0.1 to instance i-1"
    );
    record.status = Some(after.clone());
    assert_eq!(phase_reached(&record, &after), None);
    after.phase = Phase::Unbind;
    let news = phase_reached(&record, &after).unwrap();
    assert_eq!(
        (news.severity, news.reason),
        (Severity::Normal, event::DETACH_ENI_SUCCEED)
    );
    for phase in [Phase::Initial, Phase::Binding, Phase::Detaching, Phase::Deleting] {
        after.phase = phase;
        assert_eq!(phase_reached(&record, &after), None);
    }
}

#[test]
fn an_eni_and_a_refusal_are_told_with_their_names() {
    let eni = crate::cloud::CloudEni {
        vswitch_id: "vsw-1".into(),
        primary_ip: Some([10, 0, 0, 1].into()),
        ..cloud_eni("eni-1")
    };
    assert_eq!(
        created(&eni).note,
        "created ENI eni-1 with address 10.0.0.1 in vSwitch vsw-1"
    );
    let news = create_refused(&refused());
    assert_eq!(
        (news.severity, news.reason),
        (Severity::Warning, event::CREATE_ENI_FAILED)
    );
    assert!(
        news.note.contains("Nope: no") && !news.note.contains("r-"),
        "{}",
        news.note
    );
}

#[test]
fn an_eni_is_recorded_with_what_the_cloud_told_and_what_was_asked_for_else() {
    let mut allocation = record().spec.allocations[0].clone();
    allocation.eni.vswitch_id = "asked".into();
    allocation.eni.zone = "asked".into();
    allocation.eni.security_group_ids = vec!["asked".into()];
    let eni = crate::cloud::CloudEni {
        vswitch_id: String::new(),
        zone_id: "told".into(),
        security_group_ids: Vec::new(),
        primary_ip: Some([10, 0, 0, 1].into()),
        ..cloud_eni("eni-1")
    };
    let cidrs = ["10.0.0.0/24".parse().unwrap()].into_iter().collect();
    let with = with_eni(&allocation, &eni, Some(&cidrs));
    assert_eq!((with.eni.id.as_str(), with.ipv4.as_str()), ("eni-1", "10.0.0.1"));
    assert_eq!(
        (with.eni.vswitch_id.as_str(), with.eni.zone.as_str()),
        ("asked", "told")
    );
    assert_eq!(with.eni.security_group_ids, ["asked"]);
    assert_eq!(with.ipv4_cidr, "10.0.0.0/24");
    let again = replaced(&with, NOW);
    assert!(again.eni.id.is_empty() && again.ipv4.is_empty() && again.eni.mac.is_empty());
    let attempts = [&with, &again].map(|a| a.creation.as_ref().map_or(0, |creation| creation.attempt));
    assert_eq!(
        attempts,
        [1, 2],
        "a lost ENI is never asked for with its own token"
    );
}

#[test]
fn an_attempt_after_a_refusal_waits_unless_another_vswitch_is_tried() {
    let mut allocation = record().spec.allocations[0].clone();
    let creation = allocation.creation.get_or_insert_default();
    creation.parameters.vswitch_id = "same".into();
    let today = |id: &str| {
        let mut today = allocation.clone();
        today.creation.get_or_insert_default().parameters.vswitch_id = id.into();
        today
    };
    let exhausted = Refused {
        class: ErrorClass::Exhausted,
        ..refused()
    };
    for (today, refused, seconds) in [
        (None, Some(&exhausted), 5),
        (Some(today("same")), Some(&exhausted), 5),
        (Some(today("other")), Some(&exhausted), 0),
        (Some(today("same")), None, 0),
    ] {
        let next = next_attempt(&allocation, today.as_ref(), refused, NOW)
            .creation
            .unwrap();
        let begin = next.started_at.unwrap().0;
        assert_eq!(
            crate::intent::elapsed(NOW, begin),
            Duration::from_secs(seconds),
            "{today:?}"
        );
        assert_eq!(next.last_error.is_some(), refused.is_some());
        assert_eq!(next.attempt, 2);
    }
}
