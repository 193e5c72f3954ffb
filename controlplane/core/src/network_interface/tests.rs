//! Decisions about one ENI; its life as a whole is in tests/life.

mod table;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use terway_crds::{AttachTo, NetworkInterface, Phase};

use super::*;
use crate::cloud::{CloudEni, EniObservation, EniStatus};
use crate::degradation::Degradation;
use crate::intent::Limits;
use crate::testing::cloud_eni;

fn at(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1_000 + seconds)
}

fn target() -> AttachTo {
    AttachTo {
        instance_id: "i-1".into(),
        trunk_eni_id: "trunk".into(),
        ..AttachTo::default()
    }
}

fn interface() -> NetworkInterface {
    let mut interface = NetworkInterface::default();
    interface.metadata.name = Some("eni-1".into());
    interface.metadata.generation = Some(1);
    interface.spec.attach_to = Some(target());
    interface
}

fn in_use() -> CloudEni {
    CloudEni {
        status: EniStatus::InUse,
        instance_id: Some("i-1".into()),
        trunk_eni_id: Some("trunk".into()),
        device_index: Some(7),
        ..cloud_eni("eni-1")
    }
}

fn bound() -> NetworkInterface {
    let mut bound = interface();
    bound.status = Some(attached(&bound, &target(), &in_use(), at(0)));
    bound
}

fn seen(eni: CloudEni) -> Option<EniObservation> {
    Some(EniObservation::Present(Box::new(eni)))
}

fn planned(
    interface: &NetworkInterface,
    holder: Holder,
    history: &History,
    seen: Option<EniObservation>,
) -> Result<Step, Wait> {
    plan(&Observed {
        interface,
        holder,
        history,
        seen: seen.as_ref().map(|seen| (seen, at(0))),
        ours: true,
        cluster_id: "c1",
        term: "me/1",
        quiet_since: at(-100),
        now: at(0),
        limits: &Limits::default(),
        degradation: Degradation::None,
    })
}

#[test]
fn what_was_just_made_is_attached_without_a_look_and_all_else_after_one() {
    let fresh = History {
        made_here: true,
        ..History::default()
    };
    assert_eq!(
        planned(&interface(), Holder::Living, &fresh, None),
        Ok(Step::Attach(target()))
    );
    assert_eq!(
        planned(&interface(), Holder::Living, &History::default(), None),
        Ok(Step::Watch)
    );
    let free = seen(cloud_eni("eni-1"));
    assert_eq!(
        planned(&interface(), Holder::Living, &History::default(), free),
        Ok(Step::Attach(target()))
    );
}

#[test]
fn the_object_of_an_eni_that_is_surely_gone_goes_even_under_a_living_pod() {
    let mut leaving = interface();
    leaving.metadata.deletion_timestamp = Some(Time(at(0)));
    let absent_for = |seconds: i64| History {
        absent_since: Some(at(-seconds)),
        ..History::default()
    };
    let plan = |memory: &History, seen| planned(&leaving, Holder::Living, memory, seen);
    let gone = Some(EniObservation::Absent);
    assert_eq!(plan(&absent_for(20), gone.clone()), Ok(Step::DropFinalizer));
    // One answer may be stale, and what is there is not taken from a living pod.
    assert_eq!(plan(&absent_for(3), gone), Err(Wait::HolderLives));
    assert_eq!(plan(&History::default(), seen(in_use())), Err(Wait::HolderLives));
}

#[test]
fn an_eni_that_somebody_detached_from_its_pod_is_attached_again() {
    let (nobody, living) = (History::default(), Holder::Living);
    let free = seen(cloud_eni("eni-1"));
    assert_eq!(planned(&bound(), living, &nobody, None), Err(Wait::Done));
    assert_eq!(
        planned(&bound(), living, &nobody, seen(in_use())),
        Err(Wait::Done)
    );
    assert_eq!(
        planned(&bound(), living, &nobody, free.clone()),
        Ok(Step::WriteTornOff)
    );
    let mut torn = bound();
    torn.status = Some(torn_off(&torn, at(0)));
    assert_eq!(planned(&torn, living, &nobody, free), Ok(Step::Attach(target())));
    // What was seen was out of date: nothing is done to it.
    let right = planned(&torn, living, &nobody, seen(in_use()));
    assert_eq!(right, Ok(Step::WriteAttached(Box::new(in_use()))));
}

#[test]
fn what_may_be_being_attached_is_looked_at_again_before_it_counts_as_free() {
    let mut unwanted = interface();
    unwanted.spec.attach_to = None;
    let memory = |seconds: i64| History {
        attach_sent: Some(at(-seconds)),
        ..History::default()
    };
    let free = EniObservation::Present(Box::new(cloud_eni("eni-1")));
    let plan = |sent_before: i64, seen_before: i64| {
        plan(&Observed {
            interface: &unwanted,
            holder: Holder::Gone,
            history: &memory(sent_before),
            seen: Some((&free, at(-seen_before))),
            ours: true,
            cluster_id: "c1",
            term: "me/1",
            quiet_since: at(-100),
            now: at(0),
            limits: &Limits::default(),
            degradation: Degradation::None,
        })
    };
    assert!(matches!(plan(3, 1), Err(Wait::Later(_))));
    assert_eq!(plan(20, 19), Ok(Step::LookAgain));
    assert_eq!(plan(20, 1), Ok(Step::WriteDetached));
}

#[test]
fn an_attach_under_way_is_not_repeated() {
    let sent = History {
        attach_sent: Some(at(-1)),
        ..History::default()
    };
    assert_eq!(
        planned(&interface(), Holder::Living, &sent, None),
        Ok(Step::Watch)
    );
    let attaching = CloudEni {
        status: EniStatus::Attaching,
        ..cloud_eni("eni-1")
    };
    assert_eq!(
        planned(&interface(), Holder::Living, &sent, seen(attaching)),
        Err(Wait::Cloud)
    );
    let stale = planned(&interface(), Holder::Living, &sent, seen(cloud_eni("eni-1")));
    assert!(matches!(stale, Err(Wait::Later(_))), "{stale:?}");
    let long_ago = History {
        attach_sent: Some(at(-60)),
        ..History::default()
    };
    let again = planned(&interface(), Holder::Living, &long_ago, seen(cloud_eni("eni-1")));
    assert_eq!(again, Ok(Step::Attach(target())));
}

#[test]
fn an_eni_in_use_at_the_target_is_written_down_with_its_vlan() {
    let memory = History {
        attach_sent: Some(at(-2)),
        ..History::default()
    };
    let step = planned(&interface(), Holder::Living, &memory, seen(in_use()));
    assert_eq!(step, Ok(Step::WriteAttached(Box::new(in_use()))));
    let status = bound().status.unwrap();
    assert_eq!((status.phase, status.eni_info.vid), (Phase::Bind, Some(7)));
    assert_eq!(
        planned(&bound(), Holder::Living, &History::default(), None),
        Err(Wait::Done)
    );
}

#[test]
fn a_detach_follows_a_write_of_this_term() {
    let mut deleted = bound();
    deleted.metadata.deletion_timestamp = Some(Time(at(0)));
    assert_eq!(
        planned(&deleted, Holder::Gone, &History::default(), None),
        Ok(Step::WriteTerm)
    );
    deleted.status = Some(with_term(&deleted, "me/1"));
    let detach = Step::Detach {
        instance_id: "i-1".into(),
        trunk_eni_id: "trunk".into(),
    };
    assert_eq!(
        planned(&deleted, Holder::Gone, &History::default(), None),
        Ok(detach)
    );
    // What an earlier leader began is looked at first.
    deleted.status = Some(with_term(&deleted, "other/1"));
    assert_eq!(
        planned(&deleted, Holder::Gone, &History::default(), None),
        Ok(Step::Watch)
    );
}

#[test]
fn the_finalizer_goes_only_with_the_clouds_word() {
    let mut deleted = bound();
    deleted.metadata.deletion_timestamp = Some(Time(at(0)));
    deleted.status = Some(with_term(&deleted, "me/1"));
    let gone = || Some(EniObservation::Absent);
    // Absent, but we did not delete it: the answer to a Delete decides.
    assert_eq!(
        planned(&deleted, Holder::Gone, &History::default(), gone()),
        Ok(Step::Delete)
    );
    let sent = History {
        delete_sent: Some(at(-1)),
        ..History::default()
    };
    assert_eq!(
        planned(&deleted, Holder::Gone, &sent, gone()),
        Ok(Step::DropFinalizer)
    );
    let told = History {
        not_found: true,
        ..History::default()
    };
    assert_eq!(
        planned(&deleted, Holder::Gone, &told, None),
        Ok(Step::DropFinalizer)
    );
}

#[test]
fn an_object_of_upstream_is_adopted_from_its_status() {
    let mut upstream = bound();
    upstream.spec.attach_to = None;
    upstream.status.as_mut().unwrap().observed_generation = None;
    let step = planned(&upstream, Holder::Living, &History::default(), None);
    assert_eq!(step, Ok(Step::AdoptTarget(target())));
}

#[test]
fn what_upstream_does_not_manage_is_let_go_without_a_call() {
    let mut unmanaged = bound();
    unmanaged.spec.manage_policy.unmanaged = true;
    unmanaged.metadata.deletion_timestamp = Some(Time(at(0)));
    assert_eq!(
        planned(&unmanaged, Holder::Gone, &History::default(), None),
        Ok(Step::DropFinalizer)
    );
}

#[test]
fn an_attach_that_was_never_seen_is_waited_for_before_the_eni_counts_as_free() {
    let mut given_up = interface();
    given_up.spec.attach_to = None;
    let sent = History {
        made_here: true,
        attach_sent: Some(at(-1)),
        ..History::default()
    };
    assert_eq!(planned(&given_up, Holder::Gone, &sent, None), Ok(Step::Watch));
    let free = planned(&given_up, Holder::Gone, &sent, seen(cloud_eni("eni-1")));
    assert!(matches!(free, Err(Wait::Later(_))), "{free:?}");
    let untouched = History {
        made_here: true,
        ..History::default()
    };
    assert_eq!(
        planned(&given_up, Holder::Gone, &untouched, None),
        Ok(Step::WriteDetached)
    );
}

#[test]
fn degradation_holds_back_what_gives_back_and_in_the_end_everything() {
    let free = EniObservation::Present(Box::new(cloud_eni("eni-1")));
    let used = EniObservation::Present(Box::new(in_use()));
    let plan = |interface: &NetworkInterface, observation: &EniObservation, degradation| {
        plan(&Observed {
            interface,
            holder: Holder::Gone,
            history: &History::default(),
            seen: Some((observation, at(0))),
            ours: true,
            cluster_id: "c1",
            term: "me/1",
            quiet_since: at(-100),
            now: at(0),
            limits: &Limits::default(),
            degradation,
        })
    };
    let mut leaving = bound();
    leaving.metadata.deletion_timestamp = Some(Time(at(0)));
    leaving.status = Some(with_term(&leaving, "me/1"));
    let mut moving = bound();
    moving.status = Some(with_term(&moving, "me/1"));
    moving.spec.attach_to = Some(AttachTo {
        instance_id: "i-2".into(),
        ..target()
    });
    let mut kept = bound();
    kept.status = Some(with_term(&kept, "me/1"));
    kept.spec.attach_to = None;
    let (none, l1, l0) = (Degradation::None, Degradation::L1, Degradation::L0);
    for (interface, observation, holds) in [
        // Attached for a pod.
        (&interface(), &free, [false, false, true]),
        // Detached to move with its pod.
        (&moving, &used, [false, false, true]),
        // Detached, deleted: given back.
        (&kept, &used, [false, true, true]),
        (&leaving, &used, [false, true, true]),
        (&leaving, &free, [false, true, true]),
    ] {
        for (degradation, held) in [none, l1, l0].into_iter().zip(holds) {
            let step = plan(interface, observation, degradation);
            assert_eq!(step == Err(Wait::Degraded), held, "{degradation:?}: {step:?}");
        }
    }
    // What the cloud did meanwhile is recorded all the same.
    let recorded = plan(&interface(), &used, l0);
    assert_eq!(recorded, Ok(Step::WriteAttached(Box::new(in_use()))));
}

#[test]
fn a_wait_that_a_person_should_know_of_is_said_once_with_what_to_do() {
    for (wait, reason, word) in [
        (Wait::HolderLives, "PodStillRuns", "when the pod is gone"),
        (
            Wait::Elsewhere {
                instance_id: "i-9".into(),
            },
            "AttachedElsewhere",
            "instance i-9 by somebody else: detach it there",
        ),
        (Wait::Degraded, "Degraded", "degradation in ctrl-config.yaml"),
        (Wait::NotFound, ENI_NOT_FOUND, "does not know this ENI"),
    ] {
        let mut interface = bound();
        let status = waiting(&interface, &wait, at(1)).unwrap();
        let ready = &status.conditions[0];
        assert_eq!((ready.status.as_str(), ready.reason.as_str()), ("False", reason));
        assert!(ready.message.contains(word), "{}", ready.message);
        // The rest of the status stays as it is.
        assert_eq!(
            (&status.phase, status.instance_id.as_str()),
            (&Phase::Bind, "i-1")
        );
        interface.status = Some(status);
        assert_eq!(waiting(&interface, &wait, at(60)), None);
    }
    for silent in [Wait::Done, Wait::Cloud, Wait::Later(Duration::from_secs(1))] {
        assert_eq!(waiting(&bound(), &silent, at(1)), None);
    }
}

#[test]
fn a_wait_is_looked_at_again_where_nobody_tells_of_its_end() {
    let elsewhere = Wait::Elsewhere {
        instance_id: "i-9".into(),
    };
    assert_eq!(elsewhere.look_again(), Some(Duration::from_secs(30)));
    assert_eq!(
        Wait::Later(Duration::from_secs(7)).look_again(),
        Some(Duration::from_secs(7))
    );
    for told in [
        Wait::Done,
        Wait::Cloud,
        Wait::HolderLives,
        Wait::NotFound,
        Wait::Degraded,
    ] {
        assert_eq!(told.look_again(), None);
    }
}

#[test]
fn the_poller_waits_for_what_is_wanted_or_was_asked_for() {
    let awaited = |interface: &NetworkInterface, history: &History| {
        let observed = Observed {
            interface,
            holder: Holder::Gone,
            history,
            seen: None,
            ours: true,
            cluster_id: "c1",
            term: "me/1",
            quiet_since: at(-100),
            now: at(0),
            limits: &Limits::default(),
            degradation: Degradation::None,
        };
        observed.awaited()
    };
    let none = History::default();
    assert_eq!(awaited(&interface(), &none), Awaited::Attached);
    let mut unwanted = interface();
    unwanted.spec.attach_to = None;
    assert_eq!(awaited(&unwanted, &none), Awaited::Free);
    let mut leaving = interface();
    leaving.metadata.deletion_timestamp = Some(Time(at(0)));
    assert_eq!(awaited(&leaving, &none), Awaited::Free);
    let deleted = History {
        delete_sent: Some(at(0)),
        ..none
    };
    assert_eq!(awaited(&leaving, &deleted), Awaited::Gone);
}
