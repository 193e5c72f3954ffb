//! Functions of the metadata of any object.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

/// A resourceVersion as a number; 0 without one, or when it is no number. API servers hand out etcd revisions, which
/// may be compared as numbers (KEP-5504, Kubernetes 1.35).
pub fn version(resource_version: Option<&str>) -> u64 {
    resource_version.and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// The owner that controls an object; the first owner when none says that it controls.
pub fn controlling_owner(metadata: &ObjectMeta) -> Option<&OwnerReference> {
    let owners = metadata.owner_references.as_deref().unwrap_or_default();
    owners
        .iter()
        .find(|owner| owner.controller == Some(true))
        .or(owners.first())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(kind: &str, controls: Option<bool>) -> OwnerReference {
        OwnerReference {
            kind: kind.to_owned(),
            controller: controls,
            ..OwnerReference::default()
        }
    }

    fn kind(owners: Vec<OwnerReference>) -> Option<String> {
        let metadata = ObjectMeta {
            owner_references: Some(owners),
            ..ObjectMeta::default()
        };
        controlling_owner(&metadata).map(|owner| owner.kind.clone())
    }

    #[test]
    fn a_version_that_is_no_number_is_0() {
        assert_eq!(version(Some("42")), 42);
        assert_eq!(version(Some("")), 0);
        assert_eq!(version(Some("v1")), 0);
        assert_eq!(version(None), 0);
    }

    #[test]
    fn the_owner_that_controls_comes_before_the_first_one() {
        let job = || owner("Job", None);
        assert_eq!(
            kind(vec![job(), owner("ReplicaSet", Some(true))]).as_deref(),
            Some("ReplicaSet")
        );
        assert_eq!(
            kind(vec![owner("Job", Some(false)), owner("Node", None)]).as_deref(),
            Some("Job")
        );
        assert_eq!(kind(Vec::new()), None);
        assert_eq!(controlling_owner(&ObjectMeta::default()), None);
    }
}
