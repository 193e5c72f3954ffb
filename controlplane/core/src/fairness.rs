//! A queue that serves its owners in turn. An owner with a thousand items delays another owner by one item at a time.

use std::collections::{BTreeMap, VecDeque};

/// Items of several owners, for example nodes. The owners take turns; the items of one owner are served in order of
/// arrival.
#[derive(Debug)]
pub struct FairQueue<T> {
    of: BTreeMap<String, VecDeque<T>>,
    /// Owners that have items, in the order of their next turn.
    turns: VecDeque<String>,
}

impl<T> Default for FairQueue<T> {
    fn default() -> Self {
        FairQueue {
            of: BTreeMap::new(),
            turns: VecDeque::new(),
        }
    }
}

impl<T> FairQueue<T> {
    /// Adds an item after the other items of its owner. An owner that had no items gets the last turn.
    pub fn push(&mut self, owner: &str, item: T) {
        if let Some(items) = self.of.get_mut(owner) {
            items.push_back(item);
            return;
        }
        self.of.insert(owner.to_owned(), VecDeque::from([item]));
        self.turns.push_back(owner.to_owned());
    }

    /// Takes the first item of the owner whose turn it is. Afterwards this owner has the last turn.
    pub fn pop(&mut self) -> Option<T> {
        let owner = self.turns.pop_front()?;
        let items = self.of.get_mut(&owner)?;
        let item = items.pop_front();
        if items.is_empty() {
            self.of.remove(&owner);
        } else {
            self.turns.push_back(owner);
        }
        item
    }

    /// Takes the first item of the first owner, in the order of their turns, for which `may` is true. Owners that are
    /// passed over keep their turns.
    pub fn pop_of(&mut self, may: impl Fn(&str) -> bool) -> Option<T> {
        let place = self.turns.iter().position(|owner| may(owner))?;
        let owner = self.turns.remove(place)?;
        self.turns.push_front(owner);
        self.pop()
    }

    /// The first item of each owner, in the order of their names.
    pub fn firsts(&self) -> impl Iterator<Item = &T> {
        self.of.values().filter_map(VecDeque::front)
    }

    /// Removes and returns the items for which `out` is true, in order of arrival within an owner.
    pub fn extract(&mut self, mut out: impl FnMut(&T) -> bool) -> Vec<T> {
        let mut taken = Vec::new();
        for items in self.of.values_mut() {
            for item in std::mem::take(items) {
                if out(&item) {
                    taken.push(item);
                } else {
                    items.push_back(item);
                }
            }
        }
        self.of.retain(|_, items| !items.is_empty());
        let of = &self.of;
        self.turns.retain(|owner| of.contains_key(owner));
        taken
    }

    /// Whether the queue is empty.
    pub fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn owners_take_turns_and_each_keeps_its_order() {
        let mut queue = FairQueue::default();
        for number in 0..4 {
            queue.push("greedy", ("greedy", number));
        }
        queue.push("modest", ("modest", 0));
        queue.push("modest", ("modest", 1));
        let order: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        let greedy = |number| ("greedy", number);
        let modest = |number| ("modest", number);
        assert_eq!(
            order,
            [greedy(0), modest(0), greedy(1), modest(1), greedy(2), greedy(3)]
        );
        assert!(queue.is_empty());
    }

    #[test]
    fn an_owner_that_may_not_is_passed_over_and_keeps_its_turn() {
        let mut queue = FairQueue::default();
        for (owner, number) in [("a", 0), ("b", 1), ("c", 2), ("a", 3)] {
            queue.push(owner, number);
        }
        assert_eq!(queue.pop_of(|owner| owner != "a"), Some(1));
        assert_eq!(queue.pop_of(|owner| owner == "none"), None);
        assert_eq!(std::iter::from_fn(|| queue.pop()).collect::<Vec<_>>(), [0, 2, 3]);
    }

    #[test]
    fn what_is_taken_out_of_the_middle_leaves_the_others_in_order() {
        let mut queue = FairQueue::default();
        for number in 0..6 {
            queue.push(if number < 4 { "a" } else { "b" }, number);
        }
        let mut taken = queue.extract(|number| number % 2 == 0 || *number == 5);
        taken.sort_unstable();
        assert_eq!(taken, [0, 2, 4, 5]);
        assert_eq!(std::iter::from_fn(|| queue.pop()).collect::<Vec<_>>(), [1, 3]);
    }

    #[derive(Debug, Clone)]
    enum Act {
        Push(u8),
        Pop,
    }

    fn acts() -> impl Strategy<Value = Vec<Act>> {
        let act = prop_oneof![3 => (0u8..6).prop_map(Act::Push), 2 => Just(Act::Pop)];
        proptest::collection::vec(act, 0..300)
    }

    #[derive(Debug, Clone)]
    enum Change {
        Push(u8),
        Pop,
        /// Takes out the items whose number has this remainder.
        Extract(u32),
    }

    fn changes() -> impl Strategy<Value = Vec<Change>> {
        let change = prop_oneof![
            4 => (0u8..4).prop_map(Change::Push),
            2 => Just(Change::Pop),
            1 => (0u32..3).prop_map(Change::Extract),
        ];
        proptest::collection::vec(change, 0..100)
    }

    /// The oldest item of each owner.
    fn oldest(waiting: &[(u8, u32)]) -> Vec<(u8, u32)> {
        let mut first: Vec<(u8, u32)> = Vec::new();
        for item in waiting {
            if first.iter().all(|(owner, _)| *owner != item.0) {
                first.push(*item);
            }
        }
        first.sort_unstable();
        first
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        /// Nothing is lost, nothing comes twice, and an owner's items come in the order of their arrival, also after
        /// some were taken out of the middle.
        #[test]
        fn every_item_comes_out_once_and_in_its_turn(changes in changes()) {
            let mut queue = FairQueue::default();
            // Items that wait, in the order of their arrival.
            let mut waiting: Vec<(u8, u32)> = Vec::new();
            let mut arrived = 0u32;
            for change in changes {
                match change {
                    Change::Push(owner) => {
                        arrived += 1;
                        queue.push(&owner.to_string(), (owner, arrived));
                        waiting.push((owner, arrived));
                    }
                    Change::Pop => match queue.pop() {
                        None => prop_assert!(waiting.is_empty()),
                        Some(item) => {
                            prop_assert!(oldest(&waiting).contains(&item), "{item:?} is not its owner's oldest");
                            waiting.retain(|other| *other != item);
                        }
                    },
                    Change::Extract(remainder) => {
                        let out = |(_, number): &(u8, u32)| number % 3 == remainder;
                        let mut taken = queue.extract(out);
                        taken.sort_unstable();
                        let mut expected: Vec<_> = waiting.iter().copied().filter(out).collect();
                        expected.sort_unstable();
                        prop_assert_eq!(taken, expected);
                        waiting.retain(|item| !out(item));
                    }
                }
                let mut firsts: Vec<_> = queue.firsts().copied().collect();
                firsts.sort_unstable();
                prop_assert_eq!(firsts, oldest(&waiting));
                prop_assert_eq!(queue.is_empty(), waiting.is_empty());
            }
        }

        /// While somebody waits, nobody else is served more than once between two of his turns, however
        /// much the others ask for.
        #[test]
        fn nobody_is_starved(acts in acts()) {
            let mut queue = FairQueue::default();
            let mut waiting = [0u32; 6];
            // For each owner that waits: how often the others were served since its last turn.
            let mut passed = [[0u32; 6]; 6];
            let mut arrived = 0u32;
            let mut last = [None; 6];
            for act in acts {
                match act {
                    Act::Push(owner) => {
                        arrived += 1;
                        queue.push(&owner.to_string(), (owner, arrived));
                        let owner = usize::from(owner);
                        if waiting[owner] == 0 {
                            passed[owner] = [0; 6];
                        }
                        waiting[owner] += 1;
                    }
                    Act::Pop => {
                        let Some((owner, number)) = queue.pop() else {
                            prop_assert_eq!(waiting, [0; 6]);
                            continue;
                        };
                        let owner = usize::from(owner);
                        prop_assert!(last[owner] < Some(number), "first come, first served");
                        last[owner] = Some(number);
                        waiting[owner] -= 1;
                        passed[owner] = [0; 6];
                        for other in (0..6).filter(|other| *other != owner && waiting[*other] > 0) {
                            passed[other][owner] += 1;
                            prop_assert!(passed[other][owner] <= 1, "{owner} overtook {other} twice");
                        }
                    }
                }
            }
        }
    }
}
