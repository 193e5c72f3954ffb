//! NetworkInterfaces without an owner.

use jiff::Timestamp;
use terway_crds::{NetworkInterface, PodEni};

use super::MIN_AGE;
use crate::intent::elapsed;
use crate::network_interface::{has_our_reference, is_of, owner};

/// Whether a NetworkInterface has lost its owner, judged by the caches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ownership {
    /// It has an owner, may get an owner, or must not be deleted by us.
    Owned,
    /// It never had an owner: it was made to be deleted, and the deletion was lost.
    Orphan,
    /// The caches do not show the owner. A deletion of an ENI needs more than the caches: read the PodENI of this name
    /// from the API server, and call [`is_orphan`].
    Ask { namespace: String, name: String },
}

/// Judges by the caches. `find` finds a PodENI by namespace and name.
pub fn ownership<R: AsRef<PodEni>>(
    interface: &NetworkInterface,
    find: impl FnOnce(&str, &str) -> Option<R>,
    now: Timestamp,
) -> Ownership {
    let created = interface.metadata.creation_timestamp.as_ref();
    let young = created.is_none_or(|created| elapsed(created.0, now) < MIN_AGE);
    let leaving = interface.metadata.deletion_timestamp.is_some();
    if leaving || young || interface.spec.manage_policy.hands_off() {
        return Ownership::Owned;
    }
    let Some((namespace, name)) = owner(interface) else {
        let unused = interface.spec.attach_to.is_none() && interface.status.is_none();
        return if unused {
            Ownership::Orphan
        } else {
            Ownership::Owned
        };
    };
    match find(namespace, name) {
        Some(record) if is_of(interface, record.as_ref()) => Ownership::Owned,
        Some(_) | None => Ownership::Ask {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        },
    }
}

/// Judges by the API server. `live_uid` is the UID of the PodENI that the NetworkInterface names; `None` if there is no
/// such PodENI. Only a reference that this product wrote has a UID that counts.
pub fn is_orphan(interface: &NetworkInterface, live_uid: Option<&str>) -> bool {
    let Some(live) = live_uid else { return true };
    let reference = interface.spec.pod_eni_ref.as_ref();
    let uid = reference.and_then(|reference| reference.uid.as_deref());
    has_our_reference(interface) && uid != Some(live)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::SignedDuration;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use terway_crds::{Allocation, AttachTo, NetworkInterfaceStatus};

    use super::*;
    use crate::network_interface::{build, for_release};

    fn now() -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_secs(100_000)
    }

    fn record(uid: &str) -> PodEni {
        let mut record = PodEni::default();
        record.metadata.namespace = Some("ns".into());
        record.metadata.name = Some("db-0".into());
        record.metadata.uid = Some(uid.into());
        record
    }

    /// Old enough to be judged.
    fn old(mut interface: NetworkInterface) -> NetworkInterface {
        interface.metadata.creation_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
        interface
    }

    fn owned() -> NetworkInterface {
        old(build(&record("uid-1"), &Allocation::default(), None))
    }

    /// An object by upstream, which refers to the pod.
    fn by_upstream() -> NetworkInterface {
        let mut interface = owned();
        let reference = interface.spec.pod_eni_ref.as_mut().unwrap();
        reference.kind = Some("Pod".into());
        reference.uid = Some("uid-of-the-pod".into());
        interface
    }

    fn judged(interface: &NetworkInterface, found: Option<PodEni>) -> Ownership {
        ownership(interface, |_, _| found.map(Arc::new), now())
    }

    fn ask() -> Ownership {
        Ownership::Ask {
            namespace: "ns".into(),
            name: "db-0".into(),
        }
    }

    #[test]
    fn the_cache_is_believed_when_it_shows_the_owner_and_not_when_it_does_not() {
        assert_eq!(judged(&owned(), Some(record("uid-1"))), Ownership::Owned);
        assert_eq!(judged(&owned(), Some(record("uid-2"))), ask());
        assert_eq!(judged(&owned(), None), ask());
        assert_eq!(judged(&by_upstream(), Some(record("uid-2"))), Ownership::Owned);
    }

    #[test]
    fn the_api_server_tells_whether_the_owner_is_gone() {
        for (interface, live, orphan) in [
            (owned(), None, true),
            (owned(), Some("uid-1"), false),
            (owned(), Some("uid-2"), true),
            (by_upstream(), None, true),
            (by_upstream(), Some("uid-2"), false),
        ] {
            assert_eq!(is_orphan(&interface, live), orphan, "{live:?}");
        }
    }

    #[test]
    fn one_without_an_owner_goes_when_it_was_made_to_be_deleted() {
        let made_to_go = old(for_release("eni-1", None));
        assert_eq!(judged(&made_to_go, None), Ownership::Orphan);
        let mut wanted = made_to_go.clone();
        wanted.spec.attach_to = Some(AttachTo::default());
        assert_eq!(judged(&wanted, None), Ownership::Owned);
        let mut used = made_to_go;
        used.status = Some(NetworkInterfaceStatus::default());
        assert_eq!(judged(&used, None), Ownership::Owned);
    }

    #[test]
    fn young_leaving_and_foreign_ones_are_left_alone() {
        let mut young = owned();
        young.metadata.creation_timestamp = Some(Time(now() - SignedDuration::from_secs(599)));
        let mut of_unknown_age = owned();
        of_unknown_age.metadata.creation_timestamp = None;
        let mut leaving = owned();
        leaving.metadata.deletion_timestamp = Some(Time(now()));
        let mut unmanaged = owned();
        unmanaged.spec.manage_policy.unmanaged = true;
        let mut cached = owned();
        cached.spec.manage_policy.cache = true;
        for interface in [young, of_unknown_age, leaving, unmanaged, cached] {
            assert_eq!(judged(&interface, None), Ownership::Owned);
        }
    }
}
