//! Leaked ENIs: ENIs of the cluster in the cloud that no object refers to.

use std::time::Duration;

use jiff::Timestamp;
use terway_crds::names::tag;

use super::References;
use crate::cloud::{CloudEni, EniKind, EniStatus};
use crate::intent::{IntentId, elapsed};
use crate::ownership::foreign;

/// A younger ENI is not leaked, because an object that refers to it may be about to be written.
pub const MIN_AGE: Duration = Duration::from_secs(600);

/// The ENIs of `enis` that are ours and that no object refers to. The caller lists the ENIs first and gathers the
/// references afterwards, from caches that are up to date.
pub fn leaked<'a>(
    enis: &'a [CloudEni],
    references: &References,
    cluster_id: &str,
    now: Timestamp,
) -> Vec<&'a CloudEni> {
    enis.iter()
        .filter(|eni| {
            is_ours(eni, cluster_id) && is_idle_kind(eni) && is_old(eni, now) && !is_referred(eni, references)
        })
        .collect()
}

fn is_ours(eni: &CloudEni, cluster_id: &str) -> bool {
    let tagged = |key: &str, value: &str| eni.tags.get(key).is_some_and(|found| found == value);
    !cluster_id.is_empty()
        && foreign(eni, cluster_id).is_none()
        && tagged(tag::CREATOR, tag::CREATOR_CONTROLLER)
}

/// Whether an ENI may be leaked: a free secondary ENI, a member (a leaked member stays on its trunk), or a free trunk.
fn is_idle_kind(eni: &CloudEni) -> bool {
    match eni.kind {
        EniKind::Secondary | EniKind::Trunk => eni.status == EniStatus::Available,
        EniKind::Member => matches!(eni.status, EniStatus::Available | EniStatus::InUse),
        EniKind::Primary | EniKind::Other(_) => false,
    }
}

fn is_old(eni: &CloudEni, now: Timestamp) -> bool {
    // An ENI without a readable time has an unknown age and is not deleted.
    parse_time(&eni.creation_time).is_some_and(|created| elapsed(created, now) >= MIN_AGE)
}

/// Reads a time of the cloud, such as `2026-01-01T00:00:00Z`. Some endpoints write no seconds (unverified).
fn parse_time(text: &str) -> Option<Timestamp> {
    text.parse()
        .ok()
        .or_else(|| format!("{}:00Z", text.strip_suffix('Z')?).parse().ok())
}

fn is_referred(eni: &CloudEni, references: &References) -> bool {
    if references.eni_ids.contains(&eni.id) {
        return true;
    }
    let Some(intent) = eni
        .tags
        .get(tag::INTENT)
        .and_then(|value| IntentId::from_tag_value(value))
    else {
        return false;
    };
    references
        .open_intents
        .get(&(intent.owner_uid, intent.index))
        .is_some_and(|attempt| *attempt == intent.attempt)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::testing::cloud_eni;

    fn now() -> Timestamp {
        "2026-01-01T01:00:00Z".parse().unwrap()
    }

    fn ours(id: &str) -> CloudEni {
        let mut eni = cloud_eni(id);
        eni.tags.insert(tag::CLUSTER.into(), "c1".into());
        eni.tags
            .insert(tag::CREATOR.into(), tag::CREATOR_CONTROLLER.into());
        eni
    }

    fn ids(enis: &[CloudEni], references: &References) -> Vec<String> {
        leaked(enis, references, "c1", now())
            .iter()
            .map(|eni| eni.id.clone())
            .collect()
    }

    #[test]
    fn an_old_eni_of_ours_that_nothing_refers_to_is_leaked() {
        assert_eq!(ids(&[ours("a")], &References::default()), ["a"]);
    }

    #[test]
    fn foreign_young_and_referred_ones_are_left_alone() {
        let foreign = cloud_eni("foreign");
        let mut other_cluster = ours("other");
        other_cluster.tags.insert(tag::CLUSTER.into(), "c2".into());
        let mut excluded = ours("excluded");
        excluded
            .tags
            .insert("terway.alibabacloud.com/excluded".into(), "true".into());
        let mut young = ours("young");
        young.creation_time = "2026-01-01T00:55:00Z".into();
        let mut timeless = ours("timeless");
        timeless.creation_time = "yesterday".into();
        let mut attached = ours("attached");
        attached.status = EniStatus::InUse;
        let known = References {
            eni_ids: BTreeSet::from(["known".to_owned()]),
            ..References::default()
        };
        let all = [
            foreign,
            other_cluster,
            excluded,
            young,
            timeless,
            attached,
            ours("known"),
        ];
        assert_eq!(ids(&all, &known), Vec::<String>::new());
    }

    #[test]
    fn the_tag_of_a_living_intent_is_a_reference_and_that_of_a_past_attempt_is_not() {
        let mut living = ours("living");
        living.tags.insert(tag::INTENT.into(), "uid/0/2".into());
        let mut past = ours("past");
        past.tags.insert(tag::INTENT.into(), "uid/0/1".into());
        let known = References {
            open_intents: BTreeMap::from([(("uid".to_owned(), "0".to_owned()), 2)]),
            ..References::default()
        };
        assert_eq!(ids(&[living, past], &known), ["past"]);
    }

    #[test]
    fn a_member_in_use_is_collected_and_a_trunk_in_use_is_not() {
        let mut member = ours("member");
        (member.kind, member.status) = (EniKind::Member, EniStatus::InUse);
        let mut trunk = ours("trunk");
        (trunk.kind, trunk.status) = (EniKind::Trunk, EniStatus::InUse);
        assert_eq!(ids(&[member, trunk], &References::default()), ["member"]);
    }

    #[test]
    fn times_without_seconds_are_read() {
        assert_eq!(
            parse_time("2026-01-01T00:55Z"),
            "2026-01-01T00:55:00Z".parse().ok()
        );
    }
}
