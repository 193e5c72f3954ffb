//! When a record without a pod ends.

use std::time::Duration;

use jiff::Timestamp;
use terway_crds::{AllocationType, PodEni, ReleaseStrategy};

use crate::go_duration;
use crate::intent::elapsed;

/// The end of the record of a pod that is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// The record is kept until somebody deletes it. This is also so if its time cannot be read.
    Never,
    /// The record has to be deleted now.
    Now,
    /// The record has to be looked at again after this time.
    In(Duration),
}

/// When a record ends. One allocation that has to be kept keeps the whole record.
pub fn expiry(record: &PodEni, now: Timestamp) -> Expiry {
    let seen = record
        .status
        .as_ref()
        .and_then(|status| status.pod_last_seen.as_ref())
        .or(record.metadata.creation_timestamp.as_ref())
        .map(|time| time.0);
    record
        .spec
        .allocations
        .iter()
        .map(|allocation| expiry_of(&allocation.allocation_type, seen, now))
        .fold(Expiry::Now, later)
}

fn expiry_of(kind: &AllocationType, seen: Option<Timestamp>, now: Timestamp) -> Expiry {
    if !kind.is_fixed() {
        return Expiry::Now;
    }
    if kind.release_strategy != Some(ReleaseStrategy::Ttl) {
        return Expiry::Never;
    }
    let (Some(after), Some(seen)) = (go_duration::parse(&kind.release_after), seen) else {
        return Expiry::Never;
    };
    match after.checked_sub(elapsed(seen, now)) {
        Some(left) if !left.is_zero() => Expiry::In(left),
        _ => Expiry::Now,
    }
}

fn later(one: Expiry, other: Expiry) -> Expiry {
    match (one, other) {
        (Expiry::Never, _) | (_, Expiry::Never) => Expiry::Never,
        (Expiry::In(a), Expiry::In(b)) => Expiry::In(a.max(b)),
        (Expiry::In(a), Expiry::Now) | (Expiry::Now, Expiry::In(a)) => Expiry::In(a),
        (Expiry::Now, Expiry::Now) => Expiry::Now,
    }
}

/// How often `podLastSeen` of a kept record is written while a pod of its name waits for a node. It is a quarter of the
/// shortest TTL, but at least five seconds and at most an hour. `None` if no allocation has a TTL. A bound record needs
/// no such writes, because the end of its pod is written with the phase.
pub fn seen_interval(record: &PodEni) -> Option<Duration> {
    let kinds = record
        .spec
        .allocations
        .iter()
        .map(|allocation| &allocation.allocation_type);
    kinds
        .filter(|kind| kind.is_fixed() && kind.release_strategy == Some(ReleaseStrategy::Ttl))
        .filter_map(|kind| go_duration::parse(&kind.release_after))
        .map(|after| (after / 4).clamp(Duration::from_secs(5), Duration::from_secs(3600)))
        .min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::SignedDuration;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use terway_crds::{Allocation, AllocationTypeKind, PodEniStatus};

    fn kind(fixed: bool, strategy: Option<ReleaseStrategy>, after: &str) -> AllocationType {
        AllocationType {
            kind: if fixed {
                AllocationTypeKind::Fixed
            } else {
                AllocationTypeKind::Elastic
            },
            release_strategy: strategy,
            release_after: after.into(),
        }
    }

    fn record(kinds: Vec<AllocationType>) -> PodEni {
        let mut record = PodEni::default();
        record.spec.allocations = kinds
            .into_iter()
            .map(|allocation_type| Allocation {
                allocation_type,
                ..Default::default()
            })
            .collect();
        record.status = Some(PodEniStatus {
            pod_last_seen: Some(Time(Timestamp::UNIX_EPOCH)),
            ..Default::default()
        });
        record
    }

    fn after(seconds: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds)
    }

    #[test]
    fn an_elastic_record_ends_at_once_and_one_kept_for_ever_never() {
        assert_eq!(
            expiry(&record(vec![kind(false, None, "")]), after(0)),
            Expiry::Now
        );
        let never = kind(true, Some(ReleaseStrategy::Never), "");
        assert_eq!(
            expiry(&record(vec![kind(false, None, ""), never]), after(9_999_999)),
            Expiry::Never
        );
    }

    #[test]
    fn a_ttl_runs_from_when_the_pod_was_last_seen() {
        let ttl = record(vec![kind(true, Some(ReleaseStrategy::Ttl), "30s")]);
        assert_eq!(expiry(&ttl, after(20)), Expiry::In(Duration::from_secs(10)));
        assert_eq!(expiry(&ttl, after(30)), Expiry::Now);
    }

    #[test]
    fn a_ttl_that_cannot_be_read_keeps_the_record() {
        for text in ["", "soon", "-5m"] {
            let bad = record(vec![kind(true, Some(ReleaseStrategy::Ttl), text)]);
            assert_eq!(expiry(&bad, after(9_999_999)), Expiry::Never, "{text}");
        }
    }

    #[test]
    fn the_sighting_of_a_pod_is_written_as_often_as_its_ttl_needs() {
        let seconds =
            |after: &str| seen_interval(&record(vec![kind(true, Some(ReleaseStrategy::Ttl), after)]));
        assert_eq!(seconds("30s"), Some(Duration::from_millis(7500)));
        assert_eq!(seconds("10s"), Some(Duration::from_secs(5)));
        assert_eq!(seconds("48h"), Some(Duration::from_secs(3600)));
        assert_eq!(
            seen_interval(&record(vec![kind(true, Some(ReleaseStrategy::Never), "")])),
            None
        );
    }
}
