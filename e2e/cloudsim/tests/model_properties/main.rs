//! Properties of the model under any sequence of calls: addresses, prefixes and VLAN ids are
//! never doubled, counts are right, limits hold, tokens are idempotent, the fabric is told
//! everything, and the same seed gives the same cloud.

#![allow(clippy::expect_used, reason = "a test that cannot set itself up has failed")]

mod check;
mod play;

use std::time::Duration;

use cloudsim::World;
use cloudsim::model::{Cloud, Completion, CreateEni, DeleteEni, Idempotency};
use jiff::Timestamp;
use play::{Play, step};
use proptest::collection::vec;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_sequence_of_calls_breaks_the_cloud(steps in vec(step(), 1..120)) {
        let mut play = Play::new(7);
        for step in &steps {
            play.take(step);
            play.check();
        }
    }

    #[test]
    fn the_same_seed_and_calls_give_the_same_cloud(seed in any::<u64>(), steps in vec(step(), 1..40)) {
        let (mut first, mut second) = (Play::new(seed), Play::new(seed));
        for step in &steps {
            first.take(step);
            second.take(step);
        }
        let enis = |play: &Play| play.cloud.enis().cloned().collect::<Vec<_>>();
        prop_assert_eq!(enis(&first), enis(&second));
    }
}

fn once(token: &str, fingerprint: &str) -> Idempotency {
    Idempotency {
        client_token: Some(token.into()),
        fingerprint: fingerprint.into(),
    }
}

#[test]
fn a_token_is_forgotten_when_its_life_is_over() {
    let mut world = World::small();
    world.rules.client_token_life = cloudsim::world::Span::secs(60);
    world.rules.client_token_reuse = cloudsim::world::ClientTokenReuse::IdempotentFailed;
    let start: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
    let mut cloud = Cloud::new(&world, 1, false, start).expect("a cloud");
    let mut request = CreateEni {
        vswitch_id: "vsw-pod-h".into(),
        security_group_ids: vec!["sg-web".into()],
        once: once("t", "a"),
        ..CreateEni::default()
    };
    let first = cloud.create_network_interface(&request, start).expect("created");
    let later = start + Duration::from_secs(59);
    // The token answers also when the ENI is gone, but not after the token's life.
    cloud
        .delete_network_interface(
            &DeleteEni {
                eni_id: first.id.to_string(),
            },
            Completion::After(Duration::ZERO),
            later,
        )
        .expect("deleted");
    assert_eq!(cloud.create_network_interface(&request, later), Ok(first.clone()));
    request.once.fingerprint = "b".into();
    let refusal = cloud
        .create_network_interface(&request, later)
        .expect_err("refused");
    assert_eq!(refusal.code, "IdempotentFailed");
    let after = start + Duration::from_secs(61);
    assert_ne!(
        cloud
            .create_network_interface(&request, after)
            .expect("created")
            .id,
        first.id
    );
}

#[test]
fn a_refusal_is_remembered_by_its_token() {
    let start: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
    let mut cloud = Cloud::new(&World::small(), 1, false, start).expect("a cloud");
    let request = CreateEni {
        vswitch_id: "vsw-pod-h".into(),
        security_group_ids: vec!["sg-web".into()],
        once: once("t", ""),
        ..CreateEni::default()
    };
    assert!(cloud.withhold("vsw-pod-h", u32::MAX));
    let refusal = cloud
        .create_network_interface(&request, start)
        .expect_err("no address");
    assert_eq!(refusal.code, "InvalidVSwitchId.IpNotEnough");
    assert!(cloud.withhold("vsw-pod-h", 0));
    assert_eq!(cloud.create_network_interface(&request, start), Err(refusal));
    let fresh = CreateEni {
        once: once("u", ""),
        ..request
    };
    cloud
        .create_network_interface(&fresh, start)
        .expect("a new token works");
}
