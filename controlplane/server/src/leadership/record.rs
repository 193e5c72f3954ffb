//! The Lease object of the election. Its form is that of Kubernetes' own components
//! (k8s.io/client-go/tools/leaderelection).

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};

use super::Candidate;

/// The holder; empty when nobody holds the lease.
pub fn holder(lease: &Lease) -> &str {
    lease
        .spec
        .as_ref()
        .and_then(|spec| spec.holder_identity.as_deref())
        .unwrap_or_default()
}

/// How often the holder has changed.
pub fn transitions(lease: &Lease) -> i32 {
    lease
        .spec
        .as_ref()
        .and_then(|spec| spec.lease_transitions)
        .unwrap_or(0)
}

/// A new lease.
pub fn new(candidate: &Candidate, now: Timestamp) -> Lease {
    let lease = Lease {
        metadata: ObjectMeta {
            name: Some(candidate.lease.clone()),
            namespace: Some(candidate.namespace.clone()),
            ..ObjectMeta::default()
        },
        spec: None,
    };
    held(lease, candidate, 0, now)
}

/// The lease after `candidate` has taken or renewed it.
pub fn held(mut lease: Lease, candidate: &Candidate, number: i32, now: Timestamp) -> Lease {
    let known = lease.spec.take().unwrap_or_default();
    let renewal = known.holder_identity.as_deref() == Some(&candidate.identity)
        && known.lease_transitions == Some(number);
    let acquired = known.acquire_time.filter(|_| renewal);
    lease.spec = Some(LeaseSpec {
        holder_identity: Some(candidate.identity.clone()),
        lease_duration_seconds: i32::try_from(candidate.times.duration.as_secs().max(1)).ok(),
        acquire_time: acquired.or(Some(MicroTime(now))),
        renew_time: Some(MicroTime(now)),
        lease_transitions: Some(number),
        ..known
    });
    lease
}

/// The lease without a holder, so that the next candidate does not have to wait.
pub fn free(mut lease: Lease, now: Timestamp) -> Lease {
    let known = lease.spec.take().unwrap_or_default();
    lease.spec = Some(LeaseSpec {
        holder_identity: Some(String::new()),
        lease_duration_seconds: Some(1),
        renew_time: Some(MicroTime(now)),
        ..known
    });
    lease
}
