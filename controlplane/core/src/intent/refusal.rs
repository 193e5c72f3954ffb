//! The consequences of a refusal by the cloud: its record, and the time of the next attempt.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use terway_crds::CloudFailure;

use super::Refused;

/// Time before attempt `attempt` (2, 3, …). It begins at one second and doubles up to five minutes.
pub fn backoff(attempt: i32) -> Duration {
    let doublings = u32::try_from(attempt - 2).unwrap_or(0).min(16);
    Duration::from_secs(1 << doublings).min(Duration::from_secs(300))
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
        assert_eq!(backoff(2), Duration::from_secs(1));
        assert_eq!(backoff(5), Duration::from_secs(8));
        assert_eq!(backoff(40), Duration::from_secs(300));
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
