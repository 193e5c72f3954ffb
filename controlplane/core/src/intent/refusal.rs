//! The consequences of a refusal by the cloud: its record, and the time of the next attempt.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use terway_crds::CloudFailure;

use super::Refused;

/// Time before attempt `attempt` (2, 3, …) after a refusal at `now`. It begins at one second and doubles up to five
/// minutes. Objects that were refused together come back apart: the parts of a second of `now` add up to two fifths.
pub fn backoff(attempt: i32, now: Timestamp) -> Duration {
    let doublings = u32::try_from(attempt.saturating_sub(2)).unwrap_or(0).min(16);
    let delay = Duration::from_secs(1 << doublings).min(Duration::from_secs(300));
    delay.mul_f64(1.0 + 0.4 * f64::from(now.subsec_millisecond().unsigned_abs()) / 1000.0)
}

/// A refusal as a custom resource records it.
pub fn failure(refused: &Refused, now: Timestamp) -> CloudFailure {
    CloudFailure {
        code: refused.code.clone(),
        message: refused.message.clone(),
        request_id: refused.request_id.clone(),
        at: Some(Time(now)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::ErrorClass;

    #[test]
    fn attempts_after_a_refusal_come_later_and_later() {
        let now = Timestamp::UNIX_EPOCH;
        assert_eq!(backoff(i32::MIN, now), Duration::from_secs(1));
        assert_eq!(backoff(2, now), Duration::from_secs(1));
        assert_eq!(backoff(5, now), Duration::from_secs(8));
        assert_eq!(backoff(40, now), Duration::from_secs(300));
        assert_eq!(backoff(i32::MAX, now), Duration::from_secs(300));
    }

    #[test]
    fn a_thousand_that_were_refused_together_come_back_apart() {
        let refused = |millis| Timestamp::UNIX_EPOCH + Duration::from_millis(millis);
        let delays: std::collections::BTreeSet<Duration> =
            (0..1000).map(|millis| backoff(40, refused(millis))).collect();
        assert!(delays.len() > 900);
        assert!(delays.iter().all(|delay| (300..=420).contains(&delay.as_secs())));
    }

    #[test]
    fn a_refusal_is_recorded_with_the_words_of_the_cloud_and_its_time() {
        let refused = Refused {
            class: ErrorClass::Exhausted,
            code: "InvalidVSwitchId.IpNotEnough".into(),
            message: "no address is left".into(),
            request_id: "r-1".into(),
        };
        let now = Timestamp::UNIX_EPOCH + Duration::from_secs(7);
        let recorded = failure(&refused, now);
        assert_eq!(
            (recorded.code, recorded.message, recorded.request_id),
            (refused.code, refused.message, refused.request_id)
        );
        assert_eq!(recorded.at, Some(Time(now)));
    }
}
