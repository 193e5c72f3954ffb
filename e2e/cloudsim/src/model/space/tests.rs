//! The space against sets of plain numbers.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const BASE: u32 = 0x0a00_0000;
const SIZE: u32 = 128;

#[derive(Debug, Clone)]
enum Step {
    Take(u32),
    TakeNext,
    Release(u32),
    Reserve(u32, u8),
    Unreserve(u32),
    Open(u32, bool),
    Prefix(Option<u32>),
    ReleasePrefix(u32),
}

fn step() -> impl Strategy<Value = Step> {
    let unit = || 0..SIZE / 16;
    prop_oneof![
        4 => (0..SIZE).prop_map(Step::Take),
        4 => Just(Step::TakeNext),
        6 => (0..SIZE).prop_map(Step::Release),
        2 => (unit(), 26..29u8).prop_map(|(unit, length)| Step::Reserve(unit, length)),
        1 => unit().prop_map(Step::Unreserve),
        2 => (unit(), any::<bool>()).prop_map(|(unit, open)| Step::Open(unit, open)),
        4 => proptest::option::of(unit()).prop_map(Step::Prefix),
        2 => unit().prop_map(Step::ReleasePrefix),
    ]
}

fn address(place: u32) -> Ipv4Addr {
    Ipv4Addr::from(BASE + place)
}

/// The state of the space as plain sets.
#[derive(Default)]
struct Plain {
    taken: BTreeSet<u32>,
    prefixes: BTreeSet<u32>,
    /// Blocks by their first place: their length in addresses, and whether they are open.
    blocks: BTreeMap<u32, (u32, bool)>,
}

impl Plain {
    fn usable(place: u32) -> bool {
        (3..SIZE - 3).contains(&place)
    }

    fn block_of(&self, place: u32) -> Option<(u32, u32, bool)> {
        let (first, (size, open)) = self.blocks.range(..=place).next_back()?;
        (place < first + size).then_some((*first, *size, *open))
    }

    fn used(&self, place: u32) -> bool {
        self.taken.contains(&place) || self.prefixes.contains(&(place / 16 * 16))
    }

    fn free(&self) -> usize {
        let free =
            |place: &u32| Plain::usable(*place) && !self.used(*place) && self.block_of(*place).is_none();
        (0..SIZE).filter(free).count()
    }

    fn may_have_prefix(&self, first: u32) -> bool {
        self.block_of(first).is_some_and(|(_, _, open)| open)
            && (first..first + 16).all(|place| !self.used(place))
    }
}

struct Both {
    space: AddressSpace<Ipv4Addr>,
    plain: Plain,
}

impl Both {
    fn take(&mut self, step: &Step) {
        let Both { space, plain } = self;
        match *step {
            Step::Take(place) => {
                let may = Plain::usable(place) && !plain.used(place) && plain.block_of(place).is_none();
                assert_eq!(space.take(address(place)).is_ok(), may);
                if may {
                    plain.taken.insert(place);
                }
            }
            Step::TakeNext => match space.take_next() {
                Ok(given) => {
                    let place = u32::from(given) - BASE;
                    assert!(Plain::usable(place) && !plain.used(place) && plain.block_of(place).is_none());
                    plain.taken.insert(place);
                }
                Err(_) => assert_eq!(plain.free(), 0),
            },
            Step::Release(place) => {
                // Only addresses that were given singly are given back singly.
                if plain.taken.remove(&place) {
                    space.release(address(place));
                }
            }
            Step::Reserve(unit, length) => {
                let size = 1 << (32 - length);
                let first = unit * 16 / size * size;
                let apart = |place: u32| plain.block_of(place).is_none() && Plain::usable(place);
                let may = (first..first + size).all(apart);
                assert_eq!(space.reserve(address(first).block(length)).is_ok(), may);
                if may {
                    plain.blocks.insert(first, (size, false));
                }
            }
            Step::Unreserve(unit) => {
                let first = unit * 16;
                let used = plain
                    .prefixes
                    .iter()
                    .any(|one| plain.block_of(*one).is_some_and(|(of, _, _)| of == first));
                if !used && plain.blocks.remove(&first).is_some() {
                    space.unreserve(address(first));
                }
            }
            Step::Open(unit, open) => {
                space.set_open(address(unit * 16), open);
                if let Some((_, state)) = plain.blocks.get_mut(&(unit * 16)) {
                    *state = open;
                }
            }
            Step::Prefix(unit) => self.prefix(unit),
            Step::ReleasePrefix(unit) => {
                let first = unit * 16;
                if plain.prefixes.remove(&first) {
                    let prefix = Prefix {
                        first: address(first),
                    };
                    space.give_back(&[], &[prefix]);
                }
            }
        }
    }

    fn prefix(&mut self, unit: Option<u32>) {
        let named = unit.map(|unit| Prefix {
            first: address(unit * 16),
        });
        let wanted = Wanted {
            prefix_count: u32::from(named.is_none()),
            prefixes: named.into_iter().collect(),
            ..Wanted::default()
        };
        let given = self.space.claim(&wanted);
        let could = (0..SIZE / 16)
            .map(|unit| unit * 16)
            .find(|first| self.plain.may_have_prefix(*first));
        match (given, unit) {
            (Ok(held), _) => {
                let first = u32::from(held.prefixes[0].first) - BASE;
                assert!(self.plain.may_have_prefix(first));
                self.plain.prefixes.insert(first);
            }
            (Err(_), Some(unit)) => assert!(!self.plain.may_have_prefix(unit * 16)),
            (Err(_), None) => assert_eq!(could, None),
        }
    }

    fn check(&self) {
        assert_eq!(self.space.available() as usize, self.plain.free());
        for (first, (size, _)) in &self.plain.blocks {
            let units = || (*first..first + size).step_by(16);
            let given = units().filter(|unit| self.plain.prefixes.contains(unit)).count();
            let empty = |unit: &u32| (*unit..unit + 16).all(|place| !self.plain.used(place));
            let used = BlockUse {
                given: given as u32,
                available: units().filter(empty).count() as u64,
            };
            assert_eq!(self.space.block_use(address(*first)), Some(used));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_space_counts_and_gives_as_plain_sets_do(steps in vec(step(), 1..150)) {
        let mut both = Both {
            space: AddressSpace::new(address(0), 25, 0),
            plain: Plain::default(),
        };
        for step in &steps {
            both.take(step);
            both.check();
        }
    }
}

#[test]
fn what_cannot_be_had_whole_is_not_had_in_part() {
    let mut space = AddressSpace::new(address(0), 28, 0);
    let listed = vec![address(5), address(6)];
    let wanted = Wanted {
        listed: listed.clone(),
        count: 9,
        ..Wanted::default()
    };
    assert!(space.claim(&wanted).is_err());
    assert_eq!(space.available(), 10);
    let wanted = Wanted { count: 8, ..wanted };
    assert_eq!(
        space.claim(&wanted).map(|held| held.addresses[..2].to_vec()),
        Ok(listed)
    );
    assert_eq!(space.available(), 0);
}

#[test]
fn addresses_that_come_back_are_given_out_last() {
    let mut space = AddressSpace::new(address(0), 28, 0);
    let first = space.take_next().expect("there is one");
    space.release(first);
    let rest: Vec<_> = (0..10)
        .map(|_| space.take_next().expect("there is one"))
        .collect();
    assert_eq!(rest.last(), Some(&first));
}

#[test]
fn of_ipv6_the_first_and_the_last_nine_are_the_systems() {
    let base: Ipv6Addr = "2001:db8::".parse().expect("an address");
    let mut space = AddressSpace::new(base, 64, 0);
    for (text, may) in [
        ("2001:db8::", false),
        ("2001:db8::1", true),
        ("2001:db8::ffff:ffff:ffff:fff6", true),
        ("2001:db8::ffff:ffff:ffff:fff7", false),
        ("2001:db8:0:1::1", false),
    ] {
        assert_eq!(
            space.take(text.parse().expect("an address")).is_ok(),
            may,
            "{text}"
        );
    }
}
