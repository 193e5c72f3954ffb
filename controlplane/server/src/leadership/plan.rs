//! Decides whether to take, renew or leave the lease.

use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::Lease;

use super::record::{holder, transitions};

/// The observations of the lease, in this process's own time. Clocks of other machines are not compared with ours.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LeaseObservation {
    /// This process's last write.
    pub own: Option<Lease>,
    version: Option<String>,
    at: Option<Instant>,
    /// When another process was last seen to hold the lease, and for how long it may believe so.
    held_by_other: Option<(Instant, Duration)>,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Another process holds it.
    Stand,
    /// There is no lease.
    Create,
    /// Take or renew it, with this number of the period.
    Write { transitions: i32 },
}

/// Decides the next step. `leads`: this process holds the lease. Another holder with our identity is an earlier process
/// of the same pod. That process is dead, but its period is not ours.
pub fn plan(
    lease: Option<&Lease>,
    seen: &mut LeaseObservation,
    identity: &str,
    leads: bool,
    now: Instant,
) -> Action {
    let Some(lease) = lease else {
        // Somebody has deleted the lease, and its holder may not know yet.
        let holds = |(at, duration)| now.saturating_duration_since(at) <= duration;
        return match seen.held_by_other.is_some_and(holds) {
            true => Action::Stand,
            false => Action::Create,
        };
    };
    seen.held_by_other = None;
    if seen.version != lease.metadata.resource_version {
        seen.version.clone_from(&lease.metadata.resource_version);
        seen.at = Some(now);
    }
    let number = transitions(lease);
    match holder(lease) {
        "" => Action::Write {
            transitions: number + 1,
        },
        holder if holder == identity && leads => Action::Write { transitions: number },
        holder if holder == identity => Action::Write {
            transitions: number + 1,
        },
        _ => {
            let seconds = lease
                .spec
                .as_ref()
                .and_then(|spec| spec.lease_duration_seconds)
                .unwrap_or(15);
            let duration = Duration::from_secs(u64::try_from(seconds).unwrap_or(15));
            seen.held_by_other = Some((now, duration));
            let unchanged_for = seen
                .at
                .map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
            if unchanged_for > duration {
                Action::Write {
                    transitions: number + 1,
                }
            } else {
                Action::Stand
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::coordination::v1::LeaseSpec;

    fn lease(holder: &str, version: &str) -> Lease {
        let mut lease = Lease::default();
        lease.metadata.resource_version = Some(version.into());
        lease.spec = Some(LeaseSpec {
            holder_identity: Some(holder.into()),
            lease_duration_seconds: Some(15),
            lease_transitions: Some(3),
            ..LeaseSpec::default()
        });
        lease
    }

    #[test]
    fn a_free_lease_is_taken_at_once_and_a_missing_one_made() {
        let now = Instant::now();
        assert_eq!(
            plan(None, &mut LeaseObservation::default(), "me", false, now),
            Action::Create
        );
        let action = plan(
            Some(&lease("", "1")),
            &mut LeaseObservation::default(),
            "me",
            false,
            now,
        );
        assert_eq!(action, Action::Write { transitions: 4 });
    }

    #[test]
    fn a_lease_of_another_is_taken_only_when_it_was_not_renewed_for_its_duration() {
        let (start, mut seen) = (Instant::now(), LeaseObservation::default());
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(
            plan(Some(&lease("other", "1")), &mut seen, "me", false, start),
            Action::Stand
        );
        assert_eq!(
            plan(Some(&lease("other", "2")), &mut seen, "me", false, after(14)),
            Action::Stand
        );
        assert_eq!(
            plan(Some(&lease("other", "2")), &mut seen, "me", false, after(29)),
            Action::Stand
        );
        let action = plan(Some(&lease("other", "2")), &mut seen, "me", false, after(30));
        assert_eq!(action, Action::Write { transitions: 4 });
    }

    #[test]
    fn a_lease_that_somebody_deletes_is_still_believed_in_by_its_holder() {
        let (start, mut seen) = (Instant::now(), LeaseObservation::default());
        let after = |seconds| start + Duration::from_secs(seconds);
        plan(Some(&lease("other", "1")), &mut seen, "me", false, start);
        // The holder renewed, and then the lease was deleted.
        plan(Some(&lease("other", "2")), &mut seen, "me", false, after(2));
        assert_eq!(plan(None, &mut seen, "me", false, after(4)), Action::Stand);
        assert_eq!(plan(None, &mut seen, "me", false, after(17)), Action::Stand);
        assert_eq!(plan(None, &mut seen, "me", false, after(18)), Action::Create);
        // A lease that its holder gave back is believed in by nobody.
        plan(Some(&lease("", "3")), &mut seen, "me", false, after(18));
        assert_eq!(plan(None, &mut seen, "me", false, after(19)), Action::Create);
    }

    #[test]
    fn a_renewal_keeps_the_period_and_a_restarted_process_begins_a_new_one() {
        let now = Instant::now();
        let renewed = plan(
            Some(&lease("me", "1")),
            &mut LeaseObservation::default(),
            "me",
            true,
            now,
        );
        assert_eq!(renewed, Action::Write { transitions: 3 });
        let restarted = plan(
            Some(&lease("me", "1")),
            &mut LeaseObservation::default(),
            "me",
            false,
            now,
        );
        assert_eq!(restarted, Action::Write { transitions: 4 });
    }
}
