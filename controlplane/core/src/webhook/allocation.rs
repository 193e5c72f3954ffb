//! Rules about the life of an allocation.

use std::time::Duration;

use terway_crds::{AllocationType, AllocationTypeKind, ReleaseStrategy};

use crate::go_duration;

/// Why an allocationType is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AllocationProblem {
    #[error("allocationType.type {0:?} is not known: use Elastic or Fixed")]
    UnknownType(String),
    #[error("a Fixed allocationType needs releaseStrategy: set it to TTL (with releaseAfter) or to Never")]
    NoStrategy,
    #[error("releaseStrategy {0:?} is not known: use TTL or Never")]
    UnknownStrategy(String),
    #[error("releaseStrategy TTL needs releaseAfter: set it to a duration such as 10m or 1h30m, not {0:?}")]
    BadReleaseAfter(String),
    #[error(
        "releaseAfter {given:?} is shorter than this cluster allows: set it to {minimum:?} or more (the control plane's setting minReleaseAfter)"
    )]
    TooShort { given: String, minimum: Duration },
    #[error(
        "releaseStrategy Never keeps the ENI until its PodENI is deleted: remove releaseAfter, or set releaseStrategy to TTL"
    )]
    NeverWithReleaseAfter,
}

/// Checks an allocationType. The release fields of an Elastic one have no effect and are not checked.
pub(super) fn check(allocation: &AllocationType, minimum: Duration) -> Result<(), AllocationProblem> {
    match &allocation.kind {
        AllocationTypeKind::Elastic => return Ok(()),
        AllocationTypeKind::Other(word) => return Err(AllocationProblem::UnknownType(word.clone())),
        AllocationTypeKind::Fixed => {}
    }
    match &allocation.release_strategy {
        None => Err(AllocationProblem::NoStrategy),
        Some(ReleaseStrategy::Other(word)) if word.is_empty() => Err(AllocationProblem::NoStrategy),
        Some(ReleaseStrategy::Other(word)) => Err(AllocationProblem::UnknownStrategy(word.clone())),
        Some(ReleaseStrategy::Never) if allocation.release_after.is_empty() => Ok(()),
        Some(ReleaseStrategy::Never) => Err(AllocationProblem::NeverWithReleaseAfter),
        Some(ReleaseStrategy::Ttl) => {
            let given = &allocation.release_after;
            match go_duration::parse(given) {
                None => Err(AllocationProblem::BadReleaseAfter(given.clone())),
                Some(after) if after < minimum => Err(AllocationProblem::TooShort {
                    given: given.clone(),
                    minimum,
                }),
                Some(_) => Ok(()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allocation(kind: &str, strategy: Option<&str>, after: &str) -> AllocationType {
        AllocationType {
            kind: kind.into(),
            release_strategy: strategy.map(ReleaseStrategy::from),
            release_after: after.to_owned(),
        }
    }

    #[test]
    fn what_can_be_kept_and_released_is_accepted() {
        let five = Duration::from_secs(300);
        for (kind, strategy, after) in [
            ("Elastic", None, ""),
            ("Elastic", Some("TTL"), "nonsense"),
            ("Fixed", Some("TTL"), "5m0s"),
            ("Fixed", Some("TTL"), "1h30m"),
            ("Fixed", Some("Never"), ""),
        ] {
            assert_eq!(
                check(&allocation(kind, strategy, after), five),
                Ok(()),
                "{kind} {strategy:?} {after}"
            );
        }
    }

    #[test]
    fn what_cannot_is_refused_with_the_field_to_change() {
        let five = Duration::from_secs(300);
        for (kind, strategy, after, words) in [
            ("Floating", None, "", "allocationType.type"),
            ("Fixed", None, "", "needs releaseStrategy"),
            ("Fixed", Some("Later"), "", "TTL or Never"),
            ("Fixed", Some("TTL"), "", "needs releaseAfter"),
            ("Fixed", Some("TTL"), "10", "needs releaseAfter"),
            ("Fixed", Some("TTL"), "-10m", "needs releaseAfter"),
            ("Fixed", Some("TTL"), "4m59s", "300s or more"),
            ("Fixed", Some("Never"), "10m", "remove releaseAfter"),
        ] {
            let problem = check(&allocation(kind, strategy, after), five)
                .unwrap_err()
                .to_string();
            assert!(problem.contains(words), "{problem}");
        }
    }
}
