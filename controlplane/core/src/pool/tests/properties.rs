//! Whatever the cloud answers, whatever is lost, whoever dies: nothing twice, nothing lost, and rest.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use super::world::{Fate, PER_ADAPTER, World};
use crate::cloud::EniStatus;
use crate::pool::draft::addresses;

#[derive(Debug, Clone, Copy)]
enum Event {
    Step,
    Attached,
    Released,
    Restart,
    Time(u16),
    Fate(u8),
    PodComes(u8),
    PodGoes(u8),
    PodGoesUnreported(u8),
    Exhaust(bool),
    Recover(bool),
    /// Somebody deletes an ENI, and something contradicts the record.
    TakenAway(u8),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        8 => Just(Event::Step),
        3 => Just(Event::Attached),
        1 => Just(Event::Released),
        1 => Just(Event::Restart),
        3 => (1u16..200).prop_map(Event::Time),
        4 => (0u8..5).prop_map(Event::Fate),
        5 => (0u8..20).prop_map(Event::PodComes),
        3 => (0u8..20).prop_map(Event::PodGoes),
        1 => (0u8..20).prop_map(Event::PodGoesUnreported),
        1 => any::<bool>().prop_map(Event::Exhaust),
        1 => any::<bool>().prop_map(Event::Recover),
        1 => any::<u8>().prop_map(Event::TakenAway),
    ]
}

fn apply(world: &mut World, event: Event, generation: &mut u32, names: &mut [String]) {
    let vswitch = |first: bool| if first { "vsw-a" } else { "vsw-b" }.to_owned();
    match event {
        Event::Step => {
            world.step();
        }
        Event::Attached => world.attach_all(),
        Event::Released => world.finish_releases(),
        Event::Restart => world.restart(),
        Event::Time(seconds) => world.now += Duration::from_secs(seconds.into()),
        Event::Fate(fate) => world.fates.push_back(match fate {
            0 => Fate::Done,
            1 => Fate::DoneLost,
            2 => Fate::Lost,
            3 => Fate::Throttled,
            _ => Fate::Refused,
        }),
        Event::PodComes(slot) => {
            let name = &mut names[usize::from(slot)];
            if name.is_empty() {
                *generation += 1;
                *name = format!("p{slot}-{generation}");
                world.add_pod(name);
            }
        }
        Event::PodGoes(slot) => {
            world.remove_pod(&std::mem::take(&mut names[usize::from(slot)]), true);
        }
        Event::PodGoesUnreported(slot) => {
            world.remove_pod(&std::mem::take(&mut names[usize::from(slot)]), false);
        }
        Event::Exhaust(first) => {
            world.cloud.left.insert(vswitch(first), 0);
        }
        Event::TakenAway(number) => {
            let attached = world
                .cloud
                .enis
                .values()
                .filter(|eni| eni.status == EniStatus::InUse);
            let ids: Vec<String> = attached.map(|eni| eni.id.clone()).collect();
            if let Some(id) = ids.get(usize::from(number) % ids.len().max(1)) {
                world.take_away(id);
                world.suspected = Some(world.now);
            }
        }
        Event::Recover(first) => {
            world.cloud.left.insert(vswitch(first), 100);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, max_shrink_iters: 2000, ..ProptestConfig::default() })]
    /// [`World`] checks the limits and the bindings at every step; here is how it ends.
    #[test]
    fn every_history_ends_in_rest_with_nothing_lost(
        events in proptest::collection::vec(event(), 0..80),
        trunk: bool,
    ) {
        let mut world = if trunk { World::new().with_trunk() } else { World::new() };
        world.record.metadata.uid = Some("node-uid".into());
        let (mut generation, mut names) = (0, vec![String::new(); 20]);
        for event in events {
            apply(&mut world, event, &mut generation, &mut names);
        }
        world.fates.clear();
        for vswitch in ["vsw-a", "vsw-b"] {
            world.cloud.left.insert(vswitch.into(), 100);
        }
        // Sandboxes that were not reported in time are reported in the end.
        for uid in world.bound().into_keys() {
            if !world.pods.contains_key(&uid) {
                let now = world.now;
                world.gone.entry(uid).or_insert(now);
            }
        }
        world.settle(2500);
        let status = world.status();
        prop_assert_eq!(&status.operations, &vec![]);
        let plan = world.plan();
        prop_assert_eq!(&plan.status, &status);
        prop_assert_eq!(&plan.calls, &vec![]);
        let capacity = 3 * PER_ADAPTER;
        prop_assert_eq!(world.bound().len(), world.pods.len().min(capacity));
        prop_assert!(world.bound().keys().all(|uid| world.pods.contains_key(uid)));
        let room = capacity - world.bound().len();
        prop_assert!(world.idle() >= room.min(2), "idle {}", world.idle());
        // A trunk keeps its primary address however idle it is.
        prop_assert!(world.idle() <= 3, "idle {}", world.idle());
        let recorded: BTreeSet<&String> = status.network_interfaces.keys().collect();
        let there: BTreeSet<&String> = world.cloud.enis.keys().collect();
        prop_assert_eq!(recorded, there);
        for (id, nic) in &status.network_interfaces {
            let recorded: BTreeSet<String> = nic.ipv4.keys().cloned().collect();
            let there: BTreeSet<String> = addresses(&world.cloud.enis[id]).iter().map(ToString::to_string).collect();
            prop_assert_eq!(recorded, there);
        }
    }
}
