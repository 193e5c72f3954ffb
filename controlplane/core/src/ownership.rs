//! Whose an ENI is, by what the cloud says of it now. Nobody else's ENI is ever attached, detached, deleted or used.

use terway_crds::names::tag;

use crate::cloud::CloudEni;

/// Tag of the ENIs that a person keeps from every program, with the value `true` (upstream's block list).
const EXCLUDED: &str = "terway.alibabacloud.com/excluded";

/// Why an ENI is not ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Foreign {
    #[error(
        "the ENI has the tag {}={cluster}, which is another cluster's: it is left as it is",
        tag::CLUSTER
    )]
    OtherCluster { cluster: String },
    #[error(
        "the ENI has no tag {}, so this cluster did not make it: it is left as it is",
        tag::CLUSTER
    )]
    Untagged,
    #[error("the ENI has the tag {EXCLUDED}=true: it is left as it is until the tag is removed")]
    Excluded,
}

/// Why an ENI is not this cluster's; `None` if it is.
pub fn foreign(eni: &CloudEni, cluster_id: &str) -> Option<Foreign> {
    if eni.tags.get(EXCLUDED).is_some_and(|value| value == "true") {
        return Some(Foreign::Excluded);
    }
    match eni.tags.get(tag::CLUSTER) {
        Some(cluster) if cluster == cluster_id => None,
        Some(cluster) => Some(Foreign::OtherCluster {
            cluster: cluster.clone(),
        }),
        None => Some(Foreign::Untagged),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::cloud_eni;

    #[test]
    fn the_tags_tell_whose_an_eni_is() {
        let with = |tags: &[(&str, &str)]| {
            let mut eni = cloud_eni("eni-1");
            let tags = tags
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            eni.tags = tags.collect();
            foreign(&eni, "c1")
        };
        assert_eq!(with(&[(tag::CLUSTER, "c1")]), None);
        assert_eq!(with(&[]), Some(Foreign::Untagged));
        let other = Foreign::OtherCluster { cluster: "c2".into() };
        assert_eq!(with(&[(tag::CLUSTER, "c2")]), Some(other));
        assert_eq!(
            with(&[(tag::CLUSTER, "c1"), (EXCLUDED, "true")]),
            Some(Foreign::Excluded)
        );
        assert_eq!(with(&[(tag::CLUSTER, "c1"), (EXCLUDED, "no")]), None);
    }
}
