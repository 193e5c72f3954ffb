//! The state of a record's pod.

use terway_crds::PodEni;

use super::{PodState, pod_uid};
use crate::pod::PodFacts;

impl PodState {
    /// The state of a record's pod; `None` is a pod that does not exist.
    pub fn of(pod: Option<&PodFacts>) -> Self {
        match pod {
            Some(pod) if !pod.exited && pod.deleting => Self::Leaving,
            Some(pod) if !pod.exited => Self::Living,
            Some(_) | None => Self::Gone,
        }
    }
}

/// Whether a record is for exactly this pod, and not for an earlier pod of the same name. A record of upstream without
/// a UID is for any pod of its name.
pub fn is_for(record: &PodEni, pod: &PodFacts) -> bool {
    let uid = pod_uid(record);
    uid.is_empty() || uid == pod.uid
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use terway_crds::names::annotation;

    use super::*;

    #[test]
    fn a_pod_lives_until_its_containers_have_ended() {
        let pod = |exited, deleting| PodFacts {
            exited,
            deleting,
            ..PodFacts::default()
        };
        assert_eq!(PodState::of(Some(&pod(false, false))), PodState::Living);
        assert_eq!(PodState::of(Some(&pod(false, true))), PodState::Leaving);
        assert_eq!(PodState::of(Some(&pod(true, false))), PodState::Gone);
        assert_eq!(PodState::of(Some(&pod(true, true))), PodState::Gone);
        assert_eq!(PodState::of(None), PodState::Gone);
    }

    #[test]
    fn a_record_is_for_the_pod_whose_uid_it_names() {
        let pod = PodFacts {
            uid: "new".into(),
            ..PodFacts::default()
        };
        let mut record = PodEni::default();
        assert!(is_for(&record, &pod));
        for (uid, expected) in [("new", true), ("old", false)] {
            record.metadata.annotations = Some(BTreeMap::from([(annotation::POD_UID.into(), uid.into())]));
            assert_eq!(is_for(&record, &pod), expected);
        }
    }
}
