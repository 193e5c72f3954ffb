//! Timing of the Lease: upstream's keys and defaults.

use std::time::Duration;

use super::ConfigError;
use super::file::File;

/// Keys of these times.
pub(super) const KEYS: &[&str] = &["leaseDuration", "renewDeadline", "retryPeriod"];

/// Timing of the Lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// How long a holder may be silent before others take over.
    pub duration: Duration,
    /// How long a holder tries to renew before it gives up; shorter than `duration`.
    pub renew_deadline: Duration,
    /// Time between two tries.
    pub retry_period: Duration,
}

impl Lease {
    pub(super) fn read(file: &File) -> Result<Self, ConfigError> {
        let seconds = Duration::from_secs;
        let lease = Lease {
            duration: file.duration("leaseDuration", seconds(15))?,
            renew_deadline: file.duration("renewDeadline", seconds(10))?,
            retry_period: file.duration("retryPeriod", seconds(2))?,
        };
        if lease.duration.as_secs() == 0 {
            let expected = "a second or more: a Lease counts whole seconds";
            return Err(file.bad("leaseDuration", format!("{:?}", lease.duration), expected));
        }
        if lease.renew_deadline >= lease.duration {
            let expected = "a time shorter than leaseDuration";
            return Err(file.bad("renewDeadline", format!("{:?}", lease.renew_deadline), expected));
        }
        if lease.retry_period >= lease.renew_deadline || lease.retry_period.is_zero() {
            let expected = "a time above 0 and shorter than renewDeadline";
            return Err(file.bad("retryPeriod", format!("{:?}", lease.retry_period), expected));
        }
        Ok(lease)
    }
}
