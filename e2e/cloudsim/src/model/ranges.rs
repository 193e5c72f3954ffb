//! Sets of numbers that are stored as ranges. The memory for the addresses of a vSwitch grows with the number of its
//! gaps, not with the number of addresses.

use std::collections::BTreeMap;

/// Numbers from `first` to `last`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub first: u128,
    pub last: u128,
}

impl Span {
    /// The span of one number.
    pub fn of(number: u128) -> Span {
        Span {
            first: number,
            last: number,
        }
    }

    /// The span of `size` numbers from `first`; at least one number.
    pub fn sized(first: u128, size: u128) -> Span {
        let last = first.saturating_add(size.saturating_sub(1));
        Span { first, last }
    }

    /// How many numbers the span has.
    pub fn size(&self) -> u128 {
        (self.last - self.first).saturating_add(1)
    }

    /// Whether the span contains all of `other`.
    pub fn contains(&self, other: &Span) -> bool {
        self.first <= other.first && other.last <= self.last
    }

    /// Whether the span shares a number with `other`.
    pub fn overlaps(&self, other: &Span) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

/// A set of numbers. Neighbours are merged, so the ranges are disjoint and never touch.
#[derive(Debug, Clone, Default)]
pub struct Ranges {
    /// The last number of each range, by its first number.
    ranges: BTreeMap<u128, u128>,
}

impl Ranges {
    /// The last of the ranges that share a number with `span`.
    fn last_overlap(&self, span: &Span) -> Option<Span> {
        let (&first, &last) = self.ranges.range(..=span.last).next_back()?;
        (last >= span.first).then_some(Span { first, last })
    }

    /// Whether any number of `span` is in the set.
    pub fn overlaps(&self, span: &Span) -> bool {
        self.last_overlap(span).is_some()
    }

    /// Whether all numbers of `span` are in the set.
    pub fn covers(&self, span: &Span) -> bool {
        self.last_overlap(span).is_some_and(|held| held.contains(span))
    }

    /// Adds a span. None of its numbers may be in the set.
    pub fn insert(&mut self, span: Span) {
        debug_assert!(!self.overlaps(&span), "{span:?} is partly in the set");
        let Span { mut first, mut last } = span;
        if let Some(before) = first.checked_sub(1)
            && let Some(held) = self.last_overlap(&Span::of(before))
        {
            first = held.first;
        }
        if let Some(after) = last.checked_add(1)
            && let Some(end) = self.ranges.remove(&after)
        {
            last = end;
        }
        self.ranges.insert(first, last);
    }

    /// Removes a span if all its numbers are in the set. Returns whether they were.
    pub fn remove(&mut self, span: Span) -> bool {
        let Some(held) = self.last_overlap(&span).filter(|held| held.contains(&span)) else {
            return false;
        };
        self.ranges.remove(&held.first);
        if held.first < span.first {
            self.ranges.insert(held.first, span.first - 1);
        }
        if span.last < held.last {
            self.ranges.insert(span.last + 1, held.last);
        }
        true
    }

    /// The first multiple of `size` from which `size` numbers are inside `within` and outside the set.
    pub fn first_gap(&self, within: &Span, size: u128) -> Option<u128> {
        let mut at = within.first.checked_next_multiple_of(size)?;
        loop {
            let candidate = Span {
                first: at,
                last: at.checked_add(size - 1)?,
            };
            if candidate.last > within.last {
                return None;
            }
            match self.last_overlap(&candidate) {
                None => return Some(at),
                Some(held) => at = held.last.checked_add(1)?.checked_next_multiple_of(size)?,
            }
        }
    }

    /// The parts of `span` that are in the set, in order.
    pub fn parts<'a>(&'a self, span: &'a Span) -> impl Iterator<Item = Span> + 'a {
        let begins_before = self
            .ranges
            .range(..span.first)
            .next_back()
            .filter(|(_, last)| **last >= span.first);
        begins_before
            .into_iter()
            .chain(self.ranges.range(span.first..=span.last))
            .map(|(&first, &last)| Span {
                first: first.max(span.first),
                last: last.min(span.last),
            })
    }

    /// How many numbers of `span` are in the set.
    pub fn count_in(&self, span: &Span) -> u128 {
        self.parts(span).map(|part| part.size()).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn a_set_of_ranges_is_a_set(steps in vec((any::<bool>(), 0u128..200, 1u128..20), 1..80)) {
            let (mut ranges, mut plain) = (Ranges::default(), BTreeSet::new());
            for (add, first, size) in steps {
                let span = Span::sized(first, size);
                let numbers = || span.first..=span.last;
                let held = numbers().filter(|number| plain.contains(number)).count();
                prop_assert_eq!(ranges.overlaps(&span), held > 0);
                prop_assert_eq!(ranges.covers(&span), held as u128 == size);
                prop_assert_eq!(ranges.count_in(&span), held as u128);
                let aligned = |at: &u128| at.is_multiple_of(size) && (*at..*at + size).all(|n| !plain.contains(&n));
                let within = Span { first: 0, last: 250 };
                let gap = (0..=251 - size).find(aligned);
                prop_assert_eq!(ranges.first_gap(&within, size), gap);
                if add && held == 0 {
                    ranges.insert(span);
                    plain.extend(numbers());
                } else if !add {
                    let removed = ranges.remove(span);
                    prop_assert_eq!(removed, held as u128 == size);
                    if removed {
                        plain.retain(|number| !numbers().contains(number));
                    }
                }
            }
        }
    }
}
