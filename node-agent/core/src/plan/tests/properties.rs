//! From any left-over state a plan leads to what is wanted, in one go, and takes nothing that is not ours.

use std::convert::Infallible;

use proptest::{prelude::*, sample::subsequence};

use super::*;
use crate::{
    interface::PodInterface,
    object::{self, Custody, Driver, Handles, Listed},
    observed::{Ask, Breadth, Side},
    testing::{shared, trunk},
};

/// A kernel that does what the real one does with the objects of a plan.
#[derive(Clone, Debug)]
struct Model {
    objects: State,
    foreign_rules: Vec<Rule>,
    links: Vec<u32>,
}

impl Handles for Model {
    type ReadError = Infallible;
    /// The link of an object is not there.
    type ChangeError = u32;
}

impl<K: Listed> Driver<K> for Model {
    fn observe(&mut self, _: &Ask<'_>, seen: &mut Observed) -> Result<(), Infallible> {
        for (key, value) in self.objects.of::<K>() {
            seen.state.put(key.clone(), value.clone());
        }
        seen.foreign_rules = self
            .foreign_rules
            .iter()
            .map(|rule| (rule.clone(), [3].into()))
            .collect();
        Ok(())
    }

    fn put(&mut self, key: &K, value: &K::Value) -> Result<(), u32> {
        if let Some(missing) = (1..99).find(|link| key.goes_with(*link) && !self.links.contains(link)) {
            return Err(missing);
        }
        let object = key.clone().with(value.clone());
        self.objects.retain(|old, _| !object.replaces(old));
        self.objects.insert(object);
        Ok(())
    }

    fn remove(&mut self, key: &K) -> Result<(), u32> {
        self.objects.remove(&key.clone().key());
        Ok(())
    }
}

impl LinkDeleter for Model {
    fn delete_links(&mut self, links: &[DoomedLink]) -> Result<(), u32> {
        for (link, _) in links {
            self.links.retain(|other| other != link);
            self.objects.retain(|key, _| !key.goes_with(*link));
        }
        Ok(())
    }
}

impl Model {
    fn look(&mut self) -> Observed {
        let (links, nothing) = (links(&[]), State::default());
        let ask = Ask {
            side: Side::Host,
            links: &links,
            wanted: &nothing,
            breadth: Breadth::Whole,
        };
        let Ok(seen) = object::observe(self, &ask);
        seen
    }
}

const PODS: u8 = 6;

fn pod(number: u8) -> PodInterface {
    if number.is_multiple_of(2) {
        shared(number)
    } else {
        member(number)
    }
}

/// Some pods, each possibly with another gateway, MTU or hook than usual.
fn pods() -> impl Strategy<Value = Vec<PodInterface>> {
    let odd = (any::<bool>(), any::<bool>(), any::<bool>());
    let all: Vec<u8> = (1..=PODS).collect();
    (subsequence(all, 0..=usize::from(PODS)), odd).prop_map(|(numbers, (gateway, mtu, shaped))| {
        let change = |number| {
            let mut pod = pod(number);
            if gateway {
                pod = moved(pod);
            }
            pod.mtu = if mtu { 8500 } else { 1500 };
            pod.shaped = shaped;
            pod
        };
        numbers.into_iter().map(change).collect()
    })
}

/// A kernel in which these pods ran, with part of their objects lost, values spoiled, and strays beside them.
fn left_over() -> impl Strategy<Value = Model> {
    let strays = prop::collection::vec((0..PODS + 2, any::<bool>()), 0..4);
    (pods(), any::<u64>(), strays, any::<bool>()).prop_map(|(pods, lost, strays, foreign)| {
        let mut objects = wanted(&pods);
        let mut bit = 0;
        objects.retain(|_, _| {
            bit += 1;
            lost.rotate_left(bit) & 3 != 0
        });
        for (number, second_way) in strays {
            let table = if second_way { 254 } else { 1900 };
            objects.put(
                Route::direct(table, full_prefix([10, 0, 16, number].into()), TRUNK),
                (),
            );
        }
        let old_program = Filter {
            hook: Hook::Clsact(TRUNK),
            program: Program::MemberPop,
        };
        if objects.value_of(old_program).is_some() && lost & 1 == 1 {
            objects.put(old_program, 4711);
        }
        let ways = wanted(&[pod(1)]);
        let foreign_rules = ways.of::<Rule>().map(|(rule, ())| rule.clone());
        let foreign_rules: Vec<Rule> = foreign_rules.filter(|_| foreign).collect();
        objects.retain(|key, _| !matches!(key, Key::Rule(rule) if foreign_rules.contains(rule)));
        let links = (1..=PODS).map(|n| veth(&pod(n)).index).chain([trunk().index]);
        Model {
            objects,
            foreign_rules,
            links: links.collect(),
        }
    })
}

proptest! {
    /// Apply the plan, look again, and nothing is left to do.
    #[test]
    fn applied_once_it_leaves_nothing_to_do(mut kernel in left_over(), pods in pods()) {
        let wanted = wanted(&pods);
        let before = kernel.clone();
        // Veths of pods that are not wanted go.
        let dying = (1..=PODS).map(|n| veth(&self::pod(n))).filter(|link| {
            !pods.iter().any(|pod| veth(pod).index == link.index)
        });
        let doomed: Vec<DoomedLink> = dying.map(|link| (link.index, link.name)).collect();

        let plan = Plan::between(&wanted, &kernel.look(), &doomed);
        for step in &plan.steps {
            prop_assert_eq!(step.make(&mut kernel), Ok(()), "{}", step);
        }

        let seen = kernel.look();
        prop_assert_eq!(Plan::between(&wanted, &seen, &[]), Plan::default());
        for (key, object) in wanted.iter() {
            prop_assert!(seen.has_equal(key) || seen.state.get(key) == Some(object), "{:?}", key);
        }
        for (key, _) in before.objects.iter() {
            let there = seen.state.has(key) || doomed.iter().any(|(link, _)| key.goes_with(*link));
            match key.custody() {
                Custody::Completed => prop_assert!(there, "{:?} is not ours to remove", key),
                Custody::Ours(_) => prop_assert_eq!(seen.state.has(key), wanted.has(key), "{:?}", key),
            }
        }
        prop_assert_eq!(kernel.foreign_rules, before.foreign_rules);
    }

    /// A plan for some pods changes nothing that serves another pod alone.
    #[test]
    fn a_narrowed_plan_touches_only_its_pods(mut kernel in left_over(), number in 1..=PODS) {
        let want = [pod(number)];
        let one = wanted(&want);
        let mut focus = Focus::default();
        focus.addresses.insert(want[0].ip);
        focus.veths.insert(veth(&want[0]).index);
        let mut seen = kernel.look();
        seen.state = seen.state.narrowed(&focus, &one);
        for step in Plan::between(&one, &seen, &[]).steps {
            let touched = match &step {
                Step::Put(object) => one.has(&object.key()),
                Step::Remove(key) => {
                    let subject = kernel.objects.get(key).map(Object::subject);
                    subject.is_some_and(|subject| focus.has(&subject))
                }
                Step::DeleteLinks(_) => false,
            };
            prop_assert!(touched, "{}", step);
        }
    }

    /// What spared pods need stays, whatever else is removed.
    #[test]
    fn spared_pods_keep_all_they_have(mut kernel in left_over(), spared in 1..=PODS) {
        let mut focus = Focus::default();
        focus.addresses.insert(pod(spared).ip);
        focus.veths.insert(veth(&pod(spared)).index);
        let nothing = State::default();
        let mut seen = kernel.look();
        seen.state = seen.state.sparing(&focus, &nothing);
        for step in Plan::between(&nothing, &seen, &[]).steps {
            if let Step::Remove(key) = &step {
                let subject = kernel.objects.get(key).map(Object::subject).unwrap_or_default();
                prop_assert!(!focus.has(&subject) && !subject.common, "{}", step);
            }
        }
    }
}
