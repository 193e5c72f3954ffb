//! Times that the controllers assume of the cloud (unverified). The keys are our own; upstream has these times in its
//! code.

use std::time::Duration;

use terway_core::intent::Limits;

use super::ConfigError;
use super::file::File;
use super::lease::Lease;

/// Keys of these times.
pub(super) const KEYS: &[&str] = &[
    "cloudCallTimeout",
    "cloudConsistency",
    "cloudStateGrace",
    "cloudTokenLife",
    "cloudSweepPeriod",
];

/// Default of the longest time of a call.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// The times that are assumed of the cloud. The defaults are for the real cloud. A simulated cloud with short latencies
/// needs less.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CloudTimes {
    /// Longest time from sending a call to the last byte of its answer. A mutating call is sent only while the lease
    /// lasts longer than this.
    pub call_timeout: Duration,
    /// The times that planners assume.
    pub limits: Limits,
    /// Time between two comparisons of cloud and cluster.
    pub sweep_period: Duration,
}

/// Reads the times. With leader election, the lease must be longer than a call.
pub(super) fn read(file: &File, lease: Option<&Lease>) -> Result<CloudTimes, ConfigError> {
    let usual = Limits::default();
    // A short lease needs short calls.
    let longest = lease.map_or(CALL_TIMEOUT, |lease| CALL_TIMEOUT.min(lease.duration * 2 / 3));
    let times = CloudTimes {
        call_timeout: file.duration("cloudCallTimeout", longest)?,
        limits: Limits {
            token_life: file.duration("cloudTokenLife", usual.token_life)?,
            consistency: file.duration("cloudConsistency", usual.consistency)?,
            grace: file.duration("cloudStateGrace", usual.grace)?,
        },
        sweep_period: file.duration("cloudSweepPeriod", Duration::from_secs(60))?,
    };
    let timeout = times.call_timeout;
    if times.sweep_period < Duration::from_secs(1) {
        let found = format!("{:?}", times.sweep_period);
        return Err(file.bad("cloudSweepPeriod", found, "a second or more"));
    }
    if timeout.is_zero() {
        return Err(file.bad("cloudCallTimeout", format!("{timeout:?}"), "a time above 0"));
    }
    if lease.is_some_and(|lease| timeout >= lease.duration) {
        let expected = "a time shorter than leaseDuration, or no call could ever be sent";
        return Err(file.bad("cloudCallTimeout", format!("{timeout:?}"), expected));
    }
    Ok(times)
}
