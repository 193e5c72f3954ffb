//! References of `bind`: upstream's figures for the same work (its tuned configuration, on two cores), and the aims of
//! this project.

use crate::args::Quotas;
use crate::table::Reference;

/// References for one run; they hold for 1,000 pods on 50 nodes only.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct References {
    pub single_seconds: Reference,
    pub up_seconds: Reference,
    pub up_p50: Reference,
    pub pods_per_second: Reference,
    pub down_seconds: Reference,
    pub cloud_calls_up: Reference,
    pub cloud_calls_down: Reference,
    pub requests_up: Reference,
    pub requests_up_with_events: Reference,
    pub requests_down: Reference,
    pub cpu_seconds: Reference,
    pub peak_mb: Reference,
}

impl References {
    /// The references for this run.
    pub fn of(quotas: Quotas) -> Self {
        let common = References {
            single_seconds: Reference::both("4.0", 2.4),
            cloud_calls_up: Reference::both("3", 2.1),
            cloud_calls_down: Reference::both("4", 2.1),
            requests_up: Reference::aim(5.0),
            requests_up_with_events: Reference::both("8.3", 7.0),
            requests_down: Reference::figure("8.3"),
            ..References::default()
        };
        match quotas {
            Quotas::Default => References {
                up_seconds: Reference::both("65", 63.0),
                down_seconds: Reference::figure("100"),
                cpu_seconds: Reference::both("10.2", 3.0),
                peak_mb: Reference::both("151", 40.0),
                ..common
            },
            Quotas::Lifted => References {
                up_seconds: Reference::both("14.5", 8.0),
                up_p50: Reference::figure("9.4"),
                pods_per_second: Reference::figure("69"),
                down_seconds: Reference::figure("24"),
                cpu_seconds: Reference::both("7.0", 3.0),
                peak_mb: Reference::both("158–171", 40.0),
                ..common
            },
        }
    }
}
