//! Chooses the vSwitch of a new ENI.

use terway_crds::VSwitchSelectionPolicy;

use crate::cloud::Cidrs;

/// A vSwitch that may be chosen, as it is known now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    pub id: String,
    pub zone: String,
    pub cidrs: Cidrs,
    /// Number of free addresses. 0 while the vSwitch is blocked, because an allocation found it exhausted.
    pub available: i64,
}

/// Why no vSwitch can be chosen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoVSwitch {
    /// No candidate is in the zone.
    #[error(
        "none of the vSwitches {candidates} is in zone {zone}: add a vSwitch of that zone to the PodNetworking"
    )]
    NotInZone { zone: String, candidates: String },
    /// The candidates in the zone have no free addresses.
    #[error(
        "vSwitches {candidates} of zone {zone} have no free address left: add a vSwitch or free addresses"
    )]
    Exhausted { zone: String, candidates: String },
}

/// Chooses one of `candidates`, which are in the user's order. `seed` makes `random` repeatable: the same pod always
/// gets the same choice.
///
/// # Errors
/// When no candidate is in the zone, or no candidate in the zone has a free address.
pub fn choose<'a>(
    policy: &VSwitchSelectionPolicy,
    zone: &str,
    candidates: &'a [Candidate],
    seed: u64,
) -> Result<&'a Candidate, NoVSwitch> {
    let in_zone: Vec<&Candidate> = candidates
        .iter()
        .filter(|candidate| candidate.zone == zone)
        .collect();
    if in_zone.is_empty() {
        return Err(NoVSwitch::NotInZone {
            zone: zone.into(),
            candidates: names(candidates.iter()),
        });
    }
    let usable: Vec<&Candidate> = in_zone
        .iter()
        .copied()
        .filter(|candidate| candidate.available > 0)
        .collect();
    let chosen = match policy {
        VSwitchSelectionPolicy::Random => usable.get((seed % usable.len().max(1) as u64) as usize).copied(),
        // Of several candidates with the most addresses, the first in the user's order is taken.
        VSwitchSelectionPolicy::Most => usable
            .iter()
            .copied()
            .rev()
            .max_by_key(|candidate| candidate.available),
        VSwitchSelectionPolicy::Ordered | VSwitchSelectionPolicy::Other(_) => usable.first().copied(),
    };
    chosen.ok_or_else(|| NoVSwitch::Exhausted {
        zone: zone.into(),
        candidates: names(in_zone.into_iter()),
    })
}

fn names<'a>(candidates: impl Iterator<Item = &'a Candidate>) -> String {
    candidates
        .map(|candidate| candidate.id.as_str())
        .collect::<Vec<_>>()
        .join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn candidate(id: &str, zone: &str, available: i64) -> Candidate {
        Candidate {
            id: id.into(),
            zone: zone.into(),
            cidrs: Cidrs::default(),
            available,
        }
    }

    fn chosen(
        policy: VSwitchSelectionPolicy,
        candidates: &[Candidate],
        seed: u64,
    ) -> Result<String, NoVSwitch> {
        choose(&policy, "h", candidates, seed).map(|candidate| candidate.id.clone())
    }

    #[test]
    fn ordered_takes_the_first_of_the_zone_that_has_addresses() {
        let all = [
            candidate("a", "i", 9),
            candidate("b", "h", 0),
            candidate("c", "h", 1),
            candidate("d", "h", 9),
        ];
        assert_eq!(chosen(VSwitchSelectionPolicy::Ordered, &all, 0), Ok("c".into()));
    }

    #[test]
    fn most_takes_the_fullest_and_the_first_of_equals() {
        let all = [
            candidate("a", "h", 5),
            candidate("b", "h", 9),
            candidate("c", "h", 9),
        ];
        assert_eq!(chosen(VSwitchSelectionPolicy::Most, &all, 0), Ok("b".into()));
    }

    #[test]
    fn a_word_that_is_no_policy_means_ordered() {
        let all = [candidate("a", "h", 1), candidate("b", "h", 9)];
        let other = VSwitchSelectionPolicy::Other("best".into());
        assert_eq!(chosen(other, &all, 7), Ok("a".into()));
    }

    #[test]
    fn random_draws_every_vswitch_with_addresses_and_the_same_one_for_the_same_pod() {
        let all = [
            candidate("a", "h", 1),
            candidate("b", "i", 1),
            candidate("c", "h", 0),
            candidate("d", "h", 9),
        ];
        let draw = |seed| chosen(VSwitchSelectionPolicy::Random, &all, seed).unwrap();
        let drawn: std::collections::BTreeSet<String> = (0..16).map(draw).collect();
        assert_eq!(drawn.into_iter().collect::<Vec<_>>(), ["a", "d"]);
        assert!((0..16).all(|seed| draw(seed) == draw(seed)));
    }

    #[test]
    fn the_sentence_names_the_zone_and_the_vswitches_that_were_asked_for() {
        let all = [
            candidate("a", "h", 0),
            candidate("b", "i", 9),
            candidate("c", "h", 0),
        ];
        let exhausted = chosen(VSwitchSelectionPolicy::Most, &all, 0)
            .unwrap_err()
            .to_string();
        assert!(exhausted.contains("a,c of zone h"), "{exhausted}");
        let elsewhere = chosen(VSwitchSelectionPolicy::Most, &all[1..2], 0)
            .unwrap_err()
            .to_string();
        assert!(elsewhere.contains("b is in zone h"), "{elsewhere}");
        assert!(chosen(VSwitchSelectionPolicy::Ordered, &[], 0).is_err());
    }

    #[test]
    fn a_zone_without_candidates_is_told_apart_from_exhaustion() {
        assert!(matches!(
            chosen(VSwitchSelectionPolicy::Ordered, &[candidate("a", "i", 1)], 0),
            Err(NoVSwitch::NotInZone { .. })
        ));
        assert!(matches!(
            chosen(VSwitchSelectionPolicy::Random, &[candidate("a", "h", 0)], 7),
            Err(NoVSwitch::Exhausted { .. })
        ));
    }

    proptest! {
        #[test]
        fn what_is_chosen_is_in_the_zone_and_has_addresses(
            all in proptest::collection::vec((0..3u8, 0..3i64), 0..6),
            policy in prop_oneof![
                Just(VSwitchSelectionPolicy::Ordered),
                Just(VSwitchSelectionPolicy::Random),
                Just(VSwitchSelectionPolicy::Most)
            ],
            seed: u64,
        ) {
            let all: Vec<Candidate> = all
                .iter()
                .enumerate()
                .map(|(i, (zone, available))| {
                    candidate(&format!("v{i}"), if *zone == 0 { "h" } else { "i" }, *available)
                })
                .collect();
            let possible = all.iter().any(|c| c.zone == "h" && c.available > 0);
            match choose(&policy, "h", &all, seed) {
                Ok(c) => {
                    prop_assert!(c.zone == "h" && c.available > 0);
                    let usable = || all.iter().filter(|c| c.zone == "h" && c.available > 0);
                    match policy {
                        VSwitchSelectionPolicy::Ordered => prop_assert_eq!(Some(c), usable().next()),
                        VSwitchSelectionPolicy::Most => {
                            prop_assert!(usable().all(|other| other.available <= c.available));
                        }
                        _ => {}
                    }
                }
                Err(_) => prop_assert!(!possible),
            }
        }
    }
}
