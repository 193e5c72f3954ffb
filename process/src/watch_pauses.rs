//! The pauses of a watch after failures.
//!
//! kube-runtime's `default_backoff` is not used. It pauses after every error alike, up to half a minute. After an
//! outage the API server answers "Expired" to a watch that asks for a version that it no longer has. This answer asks
//! for a new list, and the server that gives it is back, so the outage's pauses are over.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use kube::runtime::watcher::{Error, Event};

/// The first pause. It doubles with each failure in a row.
const FIRST: Duration = Duration::from_millis(200);
/// The longest pause. A leader decides nothing before its watches are back.
const LONGEST: Duration = Duration::from_secs(3);

/// The pauses of one watch.
#[derive(Debug, Default)]
pub struct WatchPauses {
    failures: u32,
}

impl WatchPauses {
    /// Notes an event. The beginning of a list is no success: it comes before the API server is asked.
    pub fn succeeded<K>(&mut self, event: &Event<K>) {
        if !matches!(event, Event::Init) {
            self.failures = 0;
        }
    }

    /// The pause after a failure of the watch of `what`. Watches that failed together come back apart.
    pub fn after(&mut self, what: &impl Hash, error: &Error) -> Duration {
        if is_expired(error) {
            self.failures = 0;
            return Duration::ZERO;
        }
        self.failures = self.failures.saturating_add(1);
        let doublings = (self.failures - 1).min(8);
        let pause = FIRST.saturating_mul(1 << doublings).min(LONGEST);
        let mut hasher = DefaultHasher::new();
        (what, self.failures, std::process::id()).hash(&mut hasher);
        pause.mul_f64(0.7 + 0.3 * (hasher.finish() % 1000) as f64 / 1000.0)
    }
}

/// Whether the API server no longer has the version from which a watch wants to go on.
fn is_expired(error: &Error) -> bool {
    let status = match error {
        Error::WatchError(status) => status,
        Error::WatchStartFailed(kube::Error::Api(status))
        | Error::WatchFailed(kube::Error::Api(status))
        | Error::InitialListFailed(kube::Error::Api(status)) => status,
        _ => return false,
    };
    status.code == 410
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    fn answer(code: u16) -> Box<Status> {
        Box::new(Status {
            code,
            ..Status::default()
        })
    }

    fn away() -> Error {
        Error::WatchStartFailed(kube::Error::Api(answer(503)))
    }

    #[test]
    fn a_version_that_is_gone_is_followed_by_a_list_at_once_and_ends_the_pauses_of_the_outage() {
        for expired in [
            Error::WatchError(answer(410)),
            Error::WatchStartFailed(kube::Error::Api(answer(410))),
        ] {
            let mut pauses = WatchPauses::default();
            for _ in 0..20 {
                pauses.after(&"pods", &away());
            }
            assert_eq!(pauses.after(&"pods", &expired), Duration::ZERO);
            assert!(pauses.after(&"pods", &away()) <= FIRST);
        }
    }

    #[test]
    fn an_outage_of_any_length_is_over_within_three_seconds_of_its_end() {
        let mut pauses = WatchPauses::default();
        let mut last = Duration::ZERO;
        for _ in 0..100 {
            // A list begins before each try.
            pauses.succeeded::<()>(&Event::Init);
            last = pauses.after(&"pods", &away());
            assert!(last <= LONGEST, "{last:?}");
        }
        assert!(
            last >= LONGEST / 2,
            "a server that is away is not asked all the time: {last:?}"
        );
        pauses.succeeded::<()>(&Event::InitDone);
        assert!(pauses.after(&"pods", &away()) <= FIRST);
    }
}
